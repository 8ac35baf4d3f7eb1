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

from vlmbench.captioners.base import Done, Item, one_line
from vlmbench.captioners.batches import Batcher
from vlmbench.encoders.asif import relative
from vlmbench.encoders.base import PRE_PROJ, PROJ, ImageEncoder
from vlmbench.foundations.progress import Reporter
from vlmbench.metrics.rows import products
from vlmbench.records.result import ModelFacts

_BLOCK = 4096


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
    """The training caption whose relative representation is nearest to the image's; of several equally near, the first.

    Representations of the distinct captions take `NONZERO` numbers and places each.
    """

    @cached_property
    def _texts(self) -> tuple[Any, np.ndarray]:
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
        images = relative(x, self.anchors.images)
        best, place = np.full(len(x), -np.inf), np.zeros(len(x), np.int64)
        for start in range(0, len(first), _BLOCK):
            scores = products(images, texts[start : start + _BLOCK])
            nearest = scores.argmax(axis=1)
            score = scores[np.arange(len(x)), nearest]
            nearer = score > best
            best[nearer], place[nearer] = score[nearer], start + nearest[nearer]
        return np.asarray(first[place])


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of `x` [N, D] with unit norm (zero rows stay zero)."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    scaled: np.ndarray = x / np.where(norms > 0, norms, 1)
    return scaled
