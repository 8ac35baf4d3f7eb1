"""Image–text retrieval: recall at 1, 5 and 10 in both directions, in blocks, so that large sets fit in memory.

As usual (Karpathy and Fei-Fei 2015; CLIP_benchmark), an image with several captions counts as found if any of
them is among the top k, and each caption is a query of its own. Ties count half each, so that an encoder
that gives everything the same score is not rewarded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.rows import paired_products, products
from vlmbench.metrics.spec import Columns, MetricSpec, figure, of
from vlmbench.metrics.stats.intervals import RESAMPLES, iter_bootstrap_weights, percentile_interval, wilson

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

AT = (1, 5, 10)
INTERVALS = "wilson for image to text; bootstrap over images for text to image"
TIE = 1e-6
"""Cosines closer than this are equal: blocks of a matrix product differ by rounding."""

_BLOCK = 4096


@dataclass(frozen=True)
class Ranks:
    """The rank of the correct match, 0 best, each tie a half.

    Attributes:
        image_to_text: [N] rank of the best of an image's own captions among all captions.
        text_to_image: [T] rank of a caption's own image among all images.
    """

    image_to_text: NDArray[np.float64]
    text_to_image: NDArray[np.float64]


def ranks(images: Any, texts: Any, owner: NDArray[np.int64], *, block: int = _BLOCK) -> Ranks:
    """Ranks by cosine, in blocks of `block` x `block` scores. Raises `InputError` where shapes do not match, or an
    image has no text.

    Args:
        images: [N, D] float32, unit norm, dense or sparse.
        texts: [T, D] float32, unit norm, dense or sparse.
        owner: [T] the image each text describes; every image has at least one.
    """
    if images.ndim != 2 or texts.ndim != 2 or images.shape[1] != texts.shape[1] or len(owner) != texts.shape[0]:
        raise InputError(f"images {images.shape}, texts {texts.shape} and {len(owner)} owners do not belong together")
    count = images.shape[0]
    if len(owner) == 0 or len(np.unique(owner)) != count or owner.min() < 0 or owner.max() >= count:
        raise InputError("every image needs a text, and every text an image")
    own = np.concatenate(
        [
            paired_products(texts[start : start + block], images[owner[start : start + block]])
            for start in range(0, len(owner), block)
        ]
    )
    best = np.full(count, -np.inf)
    np.maximum.at(best, owner, own)
    found_images, found_texts = np.zeros(count), np.zeros(len(owner))
    for first in range(0, count, block):
        rows = slice(first, min(first + block, count))
        for start in range(0, len(owner), block):
            columns = slice(start, min(start + block, len(owner)))
            scores = products(images[rows], texts[columns])
            mine = owner[columns][None, :] == np.arange(rows.start, rows.stop)[:, None]
            scores[mine] = -np.inf
            found_images[rows] += _ahead(scores, best[rows, None]).sum(axis=1)
            found_texts[columns] += _ahead(scores, own[None, columns]).sum(axis=0)
    return Ranks(found_images, found_texts)


def _ahead(scores: NDArray[np.float32], bar: NDArray[np.float64]) -> NDArray[np.float32]:
    bar32 = bar.astype(np.float32)
    ahead: NDArray[np.float32] = (scores > bar32 + TIE) + np.float32(0.5) * (np.abs(scores - bar32) <= TIE)
    return ahead


def top_k(
    queries: NDArray[np.float32], items: NDArray[np.float32], k: int, *, block: int = _BLOCK
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest of the items [M, D] of each query [Q, D] by inner product, in blocks; equal scores in the items'
    order.

    Gives indices [Q, k] and scores [Q, k], best first; k is at most M.
    """
    k = min(k, len(items))
    places = np.empty((len(queries), k), np.int64)
    values = np.empty((len(queries), k), np.float32)
    for first in range(0, len(queries), block):
        rows = slice(first, min(first + block, len(queries)))
        indices = np.full((rows.stop - rows.start, 0), 0, np.int64)
        best = np.full((rows.stop - rows.start, 0), 0, np.float32)
        for start in range(0, len(items), block):
            scores = queries[rows] @ items[start : start + block].T
            columns = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
            both, ids = np.concatenate([best, scores], axis=1), np.concatenate([indices, columns], axis=1)
            order = np.argsort(-both, axis=1, kind="stable")[:, :k]
            best, indices = np.take_along_axis(both, order, 1), np.take_along_axis(ids, order, 1)
        places[rows], values[rows] = indices, best
    return places, values


def sample_columns(ids: Sequence[str], found: Ranks, owner: NDArray[np.int64]) -> dict[str, Any]:
    """The per-sample columns: id, image_rank (float), caption_ranks (list of float), one row per image."""
    lists: list[list[float]] = [[] for _ in ids]
    for image, rank in zip(owner.tolist(), found.text_to_image.tolist(), strict=True):
        lists[image].append(rank)
    return {"id": list(ids), "image_rank": found.image_to_text, "caption_ranks": lists}


def metric_names() -> list[str]:
    """``image_to_text_recall_1`` … and ``text_to_image_recall_1`` …, at 1, 5 and 10, and those of other packages."""
    return [spec.name for spec in of("retrieval")]


def metrics_from_samples(
    columns: Columns, names: Sequence[str], seed: int, *, resamples: int = RESAMPLES
) -> dict[str, "Metric"]:
    """The metrics `names` with 95 % intervals. Raises `InputError` where a column is missing."""
    found = {}
    for spec in of("retrieval"):
        if spec.name in names and spec.compute is not None:
            missing = [name for name in spec.columns if name not in columns]
            if missing:
                raise InputError(f"retrieval needs the per-sample column {missing[0]}")
            found[spec.name] = spec.compute(columns, seed, resamples)
    return found


def _found(columns: Columns, k: int) -> NDArray[np.float64]:
    """Whether one of each image's own captions is among the top k."""
    return np.asarray(np.asarray(columns["image_rank"], np.float64) < k, np.float64)


def _hits(columns: Columns, k: int) -> NDArray[np.float64]:
    """How many of each image's captions find it among the top k, `[N]`."""
    if "caption_ranks" not in columns:
        return np.asarray(columns[f"hits_{k}"], np.float64)
    return np.array([float((np.asarray(item, np.float64) < k).sum()) for item in columns["caption_ranks"]])


def _captions(columns: Columns) -> NDArray[np.float64]:
    """How many captions each image has, `[N]`."""
    if "caption_ranks" not in columns:
        return np.asarray(columns["captions"], np.float64)
    return np.array([len(item) for item in columns["caption_ranks"]], np.float64)


def _hit_share(columns: Columns, k: int) -> NDArray[np.float64]:
    """What each image contributes to the share of captions that find theirs."""
    hits = _hits(columns, k)
    return np.asarray(hits * len(hits) / _captions(columns).sum(), np.float64)


def _image_to_text(k: int, columns: Columns, seed: int, resamples: int) -> "Metric":
    share = float(_found(columns, k).mean())
    low, high = wilson(share, len(columns["image_rank"]))
    return figure(share, low, high)


def _text_to_image(k: int, columns: Columns, seed: int, resamples: int) -> "Metric":
    """The ranks of captions of one image are not independent, so images are resampled."""
    hits, counts = _hits(columns, k), _captions(columns)
    value = float(hits.sum() / counts.sum())
    if not resamples:
        return figure(value)
    stream = iter_bootstrap_weights(len(hits), resamples, derive_seed(seed, "bootstrap", "retrieval", k))
    drawn = [(weights @ hits) / (weights @ counts) for weights in stream]
    low, high = percentile_interval(np.concatenate(drawn))
    return figure(value, min(low, value), max(high, value))


_BLIND = "how close the wrong answers are, and captions that also fit another image"

SPECS = [
    MetricSpec(
        name=f"image_to_text_recall_{k}",
        title=f"image to text R@{k}",
        family="retrieval",
        definition=f"share of images with one of their captions among the {k} nearest" if k > 1
        else "share of images whose nearest caption is one of theirs",
        source="Karpathy and Fei-Fei 2015",
        blind_to=_BLIND,
        columns=("image_rank",),
        compute=partial(_image_to_text, k),
        per_image=partial(_found, k=k),
        test="mcnemar",
        keeps={"image_rank": lambda columns: np.minimum(columns["image_rank"], 99)},
        order=k,
        elsewhere=(f"text_retrieval_recall@{k}",),
    )
    for k in AT
] + [
    MetricSpec(
        name=f"text_to_image_recall_{k}",
        title=f"text to image R@{k}",
        family="retrieval",
        definition=f"share of captions whose image is among the {k} nearest" if k > 1
        else "share of captions whose nearest image is theirs",
        source="Karpathy and Fei-Fei 2015",
        blind_to=_BLIND,
        columns=("caption_ranks",),
        compute=partial(_text_to_image, k),
        per_image=partial(_hit_share, k=k),
        test="bootstrap",
        keeps={"captions": _captions, f"hits_{k}": partial(_hits, k=k)},
        order=100 + k,
        elsewhere=(f"image_retrieval_recall@{k}",),
    )
    for k in AT
]  # fmt: skip
