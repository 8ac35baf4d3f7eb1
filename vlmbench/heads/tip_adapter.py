"""The head ``tip-adapter``: a cache of the training images beside the zero-shot classifier, without training.

Zhang et al. 2022 (Tip-Adapter): for a feature f, training features F and their one-hot labels L, all
of unit length, and the zero-shot classifier's logits z(f)::

    logits = alpha · exp(-beta · (1 - f·Fᵀ)) · L + z(f)

alpha and beta are chosen on validation images, in a grid that is the same for every dataset (`ALPHAS`, `BETAS`). Where
there are none they are `ALPHA` and `BETA`.

Public code: gaopengcuhk/Tip-Adapter (no licence) searches 200 × 20 values up to limits that a file per dataset sets; on
ImageNet it searches, and reports, on the test set (``?choose=test`` does so here); on the other datasets its validation
split has many more images than a person with k labels per class has. Its cache holds means over ten random crops of
each image, here the images as they are; its logit scale is always 100, here it is the model's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from vlmbench.heads.spec import HeadData, HeadSpec
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.heads.zeroshot import logits as zero_shot_logits

ALPHAS = tuple(float(value) for value in np.geomspace(0.1, 50, 20).round(4))
BETAS = tuple(float(value) for value in np.arange(0.5, 20))
ALPHA, BETA = 1.0, 5.5
"""Without validation images: a choice of ours; the authors' code has a pair for each dataset (ImageNet: 1.17, 1)."""
_CELLS = 2**24


@dataclass(frozen=True)
class Cache:
    """A fitted head.

    Attributes:
        keys: `[N, D]`, of the features' precision.
        labels: `[N]`, ascending.
        text: the zero-shot classifier.
        alpha: weight of the cache.
        beta: how fast the weight of a training image falls with its distance.
        detail: the fit's part of a record.
    """

    keys: NDArray[np.floating]
    labels: NDArray[np.integer]
    text: ZeroShotWeights
    alpha: float = ALPHA
    beta: float = BETA
    detail: Mapping[str, JsonValue] = field(default_factory=dict)

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Logits `[N, C]` of unit features `[N, D]`."""
        found = zero_shot_logits(x, self.text)
        rows = max(1, _CELLS // len(self.keys))
        for first in range(0, len(x), rows):
            part = slice(first, first + rows)
            affinity = np.exp(self.beta * (x[part] @ self.keys.T - 1))
            found[part] += self.alpha * self.by_class(affinity)
        return found

    def by_class(self, affinity: NDArray[np.floating]) -> NDArray[np.floating]:
        """The sum over each class's training images of `[N, number of them]`: the product with one-hot labels."""
        sums = np.zeros((len(affinity), len(self.text.weights)), affinity.dtype)
        present, starts = np.unique(self.labels, return_index=True)
        sums[:, present] = np.add.reduceat(affinity, starts, axis=1)
        return sums


def fit(data: HeadData) -> Cache:
    """Stores the images and chooses what is None. Settings: ``alpha``, ``beta``, ``choose``."""
    return choose(data, cache_of(data))


def cache_of(data: HeadData) -> Cache:
    """The cache of the training images, class by class, before anything is chosen."""
    order = np.argsort(data.y, kind="stable")
    return Cache(np.asarray(data.x)[order], data.y[order], data.text)


def choose(data: HeadData, cache: Cache) -> Cache:
    """The cache with alpha and beta as given, else chosen on the validation images, else the defaults."""
    given = {key: data.settings[key] for key in ("alpha", "beta")}
    alphas = ALPHAS if given["alpha"] is None else (float(given["alpha"]),)
    betas = BETAS if given["beta"] is None else (float(given["beta"]),)
    found: dict[str, JsonValue] = {}
    if data.x_val is None or None not in given.values():
        alpha, beta = (float(given[key] or default) for key, default in (("alpha", ALPHA), ("beta", BETA)))
    else:
        (alpha, beta), found = data.choose(_grid(cache, data.x_val, alphas, betas))
    detail = {**cache.detail, "alpha": alpha, "beta": beta, **found}
    return Cache(cache.keys, cache.labels, cache.text, alpha, beta, detail)


def restore(data: HeadData, arrays: Mapping[str, NDArray[Any]], detail: Mapping[str, Any]) -> Cache:
    """A fitted head again."""
    keys, labels = arrays["keys"], arrays["labels"]
    return replace(cache_of(data), keys=keys, labels=labels, alpha=detail["alpha"], beta=detail["beta"], detail=detail)


def _grid(
    cache: Cache, x: NDArray[np.floating], alphas: tuple[float, ...], betas: tuple[float, ...]
) -> Iterator[tuple[tuple[float, float], NDArray[np.floating]]]:
    """The logits for every alpha and beta, small alphas (near zero-shot) first."""
    text = zero_shot_logits(x, cache.text)
    rows = max(1, _CELLS // len(cache.keys))
    parts = [x[at : at + rows] @ cache.keys.T - 1 for at in range(0, len(x), rows)]
    sums = [np.concatenate([cache.by_class(np.exp(beta * part)) for part in parts]) for beta in betas]
    for alpha in alphas:
        for beta, one in zip(betas, sums, strict=True):
            yield (alpha, beta), text + np.float32(alpha) * one


SPEC = HeadSpec(
    name="tip-adapter",
    definition="zero-shot logits plus votes of the training images by exp(-beta (1 - cosine)); nothing is trained",
    source="Zhang et al. 2022",
    fit=fit,
    settings={"alpha": None, "beta": None, "choose": "validation"},
    text=True,
    validation=True,
    restore=restore,
)
