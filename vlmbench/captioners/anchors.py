"""Captioners that write nothing: they choose among the captions of a training set.

`Retriever`: the training caption whose embedding is nearest to the image's, by one dual encoder. `Asif`: the training
caption whose relative representation is nearest (Norelli et al., ASIF: Coupled Data Turns Unimodal Models to Multimodal
without Training, 2022).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from vlmbench.captioners.base import Done, Item, one_line
from vlmbench.captioners.batches import Batcher
from vlmbench.encoders.base import PRE_PROJ, PROJ, ImageEncoder
from vlmbench.foundations.progress import Reporter
from vlmbench.records.result import ModelFacts

ASIF_K = 800
"""Entries of a relative representation that are kept (the paper's choice)."""
ASIF_P = 8
"""Exponent of its entries (the paper's choice)."""


@dataclass(frozen=True)
class Anchors:
    """A training set as these captioners see it: pairs of an image and a caption.

    Attributes:
        images: [M, D] unit-norm image features of each pair (an image with five captions stands five times);
            `Retriever` needs none.
        texts: [M, E] unit-norm text features of each pair.
        captions: [M] the captions.
        facts: what identifies the set in a record.
    """

    images: np.ndarray | None
    texts: np.ndarray
    captions: tuple[str, ...]
    facts: dict[str, Any]


class _Choosing:
    """What the two share: images are encoded in batches, a caption is chosen for each."""

    def __init__(
        self,
        system: str,
        facts: ModelFacts,
        encoder: Callable[[], ImageEncoder],
        anchors: Callable[[], Anchors],
        key: dict[str, Any],
        *,
        batch_size: int,
        reporter: Reporter,
    ) -> None:
        self.system = system
        self.facts = facts
        self._encoder = encoder
        self._anchors = anchors
        self._key = key
        self.batch_size = batch_size
        self.reporter = reporter

    @cached_property
    def anchors(self) -> Anchors:
        """The training set, encoded when the first caption is asked for."""
        return self._anchors()

    @property
    def decoding(self) -> dict[str, Any]:
        """What decides the choice besides the weights."""
        return self._key

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions in batches."""
        return Batcher(self._caption, self.batch_size, self.reporter.warn).stream(items)

    def _caption(self, items: Sequence[Item]) -> list[str]:
        encoder = self._encoder()
        pixels = np.stack([encoder.preprocess(item.image) for item in items])
        layer = PROJ if PROJ in encoder.layers else PRE_PROJ
        x = unit(np.asarray(encoder.encode_images(pixels)[layer]))
        return [one_line(self.anchors.captions[row]) for row in self.choose(x)]

    def choose(self, x: np.ndarray) -> np.ndarray:
        """[B, D] unit-norm image features to [B] rows of the anchors."""
        raise NotImplementedError


class Retriever(_Choosing):
    """The nearest training caption by cosine; of several equally near, the first."""

    def choose(self, x: np.ndarray) -> np.ndarray:
        """[B, D] unit-norm image features to [B] rows of the anchors."""
        rows: np.ndarray = np.argmax(x @ self.anchors.texts.T, axis=1)
        return rows


class Asif(_Choosing):
    """The training caption whose relative representation is nearest to the image's; of several equally near.

    The first.
    """

    @cached_property
    def _texts(self) -> tuple[csr_matrix, np.ndarray]:
        """Relative representations of the distinct captions, and the first row of each."""
        first = np.array(
            list({caption: row for row, caption in reversed(list(enumerate(self.anchors.captions)))}.values())
        )
        first.sort()
        return relative(self.anchors.texts[first], self.anchors.texts), first

    def choose(self, x: np.ndarray) -> np.ndarray:
        """[B, D] unit-norm image features to [B] rows of the anchors."""
        if self.anchors.images is None:
            raise ValueError("ASIF needs the anchors' images")
        texts, first = self._texts
        scores = relative(x, self.anchors.images) @ texts.T
        return np.asarray(first[scores.toarray().argmax(axis=1)])


def relative(
    x: np.ndarray, anchors: np.ndarray, *, k: int = ASIF_K, p: float = ASIF_P, block: int = 1024
) -> csr_matrix:
    """Relative representations (Norelli et al. 2022, section 2): cosines to the anchors, the `k` largest kept, raised
    to `p`, unit norm.

    Args:
        x: [B, D] unit norm.
        anchors: [M, D] unit norm.
        k: entries kept in a row.
        p: exponent; cosines below zero are taken for zero.
        block: rows computed at a time.

    Returns:
        [B, M] sparse, float64, rows of unit norm (zero where no cosine is positive).
    """
    m = len(anchors)
    k = min(k, m)
    rows, columns, values = [], [], []
    for start in range(0, len(x), block):
        cosines = np.asarray(x[start : start + block], np.float64) @ np.asarray(anchors, np.float64).T
        kept = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        entries = np.maximum(np.take_along_axis(cosines, kept, axis=1), 0.0) ** p
        entries /= np.maximum(np.linalg.norm(entries, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        rows.append(np.repeat(np.arange(start, start + len(cosines)), k))
        columns.append(kept.ravel())
        values.append(entries.ravel())
    return csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(len(x), m))


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of `x` [N, D] with unit norm (zero rows stay zero)."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    scaled: np.ndarray = x / np.where(norms > 0, norms, 1)
    return scaled
