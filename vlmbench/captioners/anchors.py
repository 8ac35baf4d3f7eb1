"""Captioners that generate nothing: they choose among the captions of a training set.

`Retriever`: the training caption whose embedding is nearest to the image's, by one dual encoder. `Asif`: the training
caption whose relative representation is nearest (Norelli et al., ASIF: Coupled Data Turns Unimodal Models to Multimodal
without Training, 2022).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from vlmbench.captioners.base import Captioner, Decoding, Done, Encoder, Item, Runtime, Setup, one_line
from vlmbench.captioners.batches import Batcher
from vlmbench.captioners.names import CaptionerKind, Models
from vlmbench.encoders.asif import NONZERO, POWER, relative
from vlmbench.encoders.base import PRE_PROJ, PROJ
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.metrics.rows import products
from vlmbench.records.result import ModelFacts

_BLOCK = 4096


@dataclass(frozen=True)
class Anchors:
    """A training set as pairs of an image and a caption.

    Attributes:
        images: [M, D] unit-norm image features of each pair (an image with five captions occurs five times);
            `Retriever` needs none.
        texts: [M, E] unit-norm text features of each pair.
        captions: [M] the captions.
    """

    images: np.ndarray | None
    texts: np.ndarray
    captions: tuple[str, ...]


@dataclass(eq=False)
class _Choosing:
    """The common part of both: images are encoded in batches, and a caption is chosen for each. `gather` encodes the
    training set; `decoding` is what else decides the choice."""

    system: str
    facts: ModelFacts
    encoder: Encoder
    gather: Callable[[], Anchors]
    decoding: dict[str, Any]
    runtime: Runtime

    @cached_property
    def anchors(self) -> Anchors:
        """The training set, encoded for the first caption."""
        return self.gather()

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions in batches."""
        return Batcher(self._caption, self.runtime.batch_size, self.runtime.reporter.warn).stream(items)

    def _caption(self, items: Sequence[Item]) -> list[str]:
        encoder = self.encoder.encoder
        pixels = np.stack([encoder.preprocess(item.image) for item in items])
        layer = PROJ if PROJ in encoder.layers else PRE_PROJ
        x = unit(np.asarray(encoder.encode_images(pixels)[layer]))
        return [one_line(self.anchors.captions[row]) for row in self.choose(x)]

    def choose(self, x: np.ndarray) -> np.ndarray:
        """[B, D] unit-norm image features to [B] rows of the anchors."""
        raise NotImplementedError


class Retriever(_Choosing):
    """The nearest training caption by cosine; of ties, the first."""

    def choose(self, x: np.ndarray) -> np.ndarray:
        """[B, D] unit-norm image features to [B] rows of the anchors."""
        return np.asarray(np.argmax(x @ self.anchors.texts.T, axis=1))


class Asif(_Choosing):
    """The training caption whose relative representation is nearest to the image's; of ties, the first.

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
    return np.asarray(x / np.where(norms > 0, norms, 1))


def _open(kind: str, models: Models, setup: Setup) -> Captioner:
    name, (images, texts) = f"{kind}:{models}", (models.names[0], models.names[-1])
    requested = setup.decoding
    if requested != Decoding(seed=requested.seed, max_new_tokens=requested.max_new_tokens):
        raise UsageError(
            f"{kind} picks an existing caption: --prompt, --num-beams, --temperature and --shots have no effect",
            where=name,
        )
    setup.dual_encoder(texts)
    training = setup.training("its captions")
    split = training.split
    pairs = [(row, caption) for row, captions in enumerate(split.captions) for caption in captions]
    opened = {name: setup.encoder(name) for name in dict.fromkeys((images, texts))}
    files = [item.files for item in opened.values()]
    first = opened[images].files
    decoding: dict[str, Any] = {
        "anchors": f"{training.dataset}/{split.name}",
        "anchors_sha256": digest([training.fingerprint, split.captions])[:16],
        "pairs": len(pairs),
        "precision": setup.runtime.precision,
        **({"engine": setup.runtime.engine} if setup.runtime.engine else {}),
        "processor": digest([[item.preprocessing_sha256, item.tokenizer_sha256] for item in files])[:16],
    }
    weights = first.weights_sha256
    if kind == ASIF.name:
        decoding |= {"k": min(NONZERO, len(pairs)), "p": POWER}
        weights = digest([weights, opened[texts].files.weights_sha256])
    facts = ModelFacts(
        id=name,
        revision=first.revision,
        weights_sha256=weights,
        kind=kind,
        trust_remote_code=any(item.own_code for item in files),
    )

    def gather() -> Anchors:
        captions = tuple(caption for _, caption in pairs)
        embedded = setup.text_embeddings(texts, captions)
        if kind == RETRIEVAL.name:
            return Anchors(None, embedded, captions)
        ids, x = setup.training_features(images, PROJ if PROJ in first.family.layers else PRE_PROJ)
        row_of = {id: row for row, id in enumerate(ids)}
        usable = [place for place, (row, _) in enumerate(pairs) if split.ids[row] in row_of]
        rows = [row_of[split.ids[pairs[place][0]]] for place in usable]
        return Anchors(unit(x)[rows], embedded[usable], tuple(captions[place] for place in usable))

    chosen = Retriever if kind == RETRIEVAL.name else Asif
    system = f"{kind}:{','.join(item.system for item in files)}"
    return chosen(system, facts, opened[images], gather, decoding, setup.runtime)


# Version 2: captions chosen with text embeddings of format 1 are not reused.
RETRIEVAL, ASIF = (
    CaptionerKind(
        name=name,
        open=partial(_open, name),
        parse=partial(Models.parse, least=1, most=most),
        store_version=2,
        draws_on_captions=True,
    )
    for name, most in (("retrieval", 1), ("asif", 2))
)
