"""``asif:VISION+TEXT@ANCHORS``: two encoders and a captioned anchor set as a model that a session can open.

``?k=100&p=8&split=val`` after the anchors sets the anchors that are kept, the power, and the anchors' split.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np
from scipy.sparse import issparse

from vlmbench.data.names import DatasetName
from vlmbench.encoders.base import PROJ, ImageEncoder, Preprocess, Scale
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.relative import NONZERO, POWER, relative
from vlmbench.features.store import FeatureEntry
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.session.features import OpenSplit, Part, SplitFeatures, refuse_skipped, unreadable

if TYPE_CHECKING:
    from vlmbench.session.session import Session

PREFIX = "asif:"
FORM = "asif:VISION+TEXT@ANCHORS[?k=800&p=8&split=train]"
LARGEST = 500_000_000
"""Numbers of relative representations that are held at once, where they have to be dense."""
SPARSE = 4
"""Representations are dense where there are at most so many times k anchors: sparse ones would save nothing."""
CAPTIONS = 65_536
"""Captions whose embeddings are held at once."""


@dataclass(frozen=True)
class Spec:
    """The parts of the name."""

    vision: str
    text: str
    anchors: str
    k: int
    p: float
    split: str | None


def parse(name: str) -> Spec:
    """The parts of ``asif:VISION+TEXT@ANCHORS?k=…&p=…&split=…``.

    Raises:
        UsageError: it has another form.
    """
    body, _, query = name.removeprefix(PREFIX).partition("?")
    vision, plus, rest = body.partition("+")
    text, at, anchors = rest.partition("@")
    options = dict(parse_qsl(query, keep_blank_values=True))
    k, p, split = options.pop("k", str(NONZERO)), options.pop("p", str(POWER)), options.pop("split", None)
    try:
        found = Spec(vision, text, anchors, int(k), float(p), split)
    except ValueError as error:
        raise UsageError(f"k and p are numbers: {visible(query)}", where=visible(name), fix=FORM) from error
    if not (plus and at and vision and text and anchors) or options or found.k < 1 or not found.p > 0:
        raise UsageError(f"not an ASIF model: {visible(name)}", where=visible(name), fix=FORM)
    return found


@dataclass(frozen=True)
class Asif:
    """An ASIF model within a session; its methods are the session's for such a name."""

    session: "Session"
    name: str
    spec: Spec

    @property
    def split(self) -> str:
        """The anchors' split: the one asked for, else the training split, else the dataset's own choice."""
        splits = self.session.dataset(self.spec.anchors).info.splits
        asked = self.spec.split or ("train" if "train" in splits else None)
        return self.session.choose_split(self.spec.anchors, asked)

    def files(self) -> ModelFiles:
        """What identifies it: both encoders and the anchors."""
        vision = self.session.model(self.spec.vision).files
        text = self.session.require_texts(self.spec.text, alone=True).files
        anchors = self.session.fingerprint(self.spec.anchors, self.split)
        key = [vision.weights_sha256, text.weights_sha256, anchors, self.spec.k, self.spec.p]
        return ModelFiles(
            id=self.name,
            source=self.name,
            system=self.name,
            revision=None,
            directory=Path(),
            config={},
            family=ASIF,
            weights_sha256=digest(key),
            preprocessing_sha256=vision.preprocessing_sha256,
            tokenizer_sha256=text.tokenizer_sha256,
            own_code=vision.own_code or text.own_code,
        )

    def features(
        self, dataset: DatasetName, split: str, limit: int | None, part: Part | None, *, sparse: bool = False
    ) -> SplitFeatures:
        """Relative representations [N, A] of a split's images; `sparse` allows them to be sparse.

        Raises:
            InputError: the anchors have no captions, or dense representations would not fit in memory.
        """
        found = self.session.features(self.spec.vision, dataset, split, layer=self._layer(), limit=limit, part=part)
        anchors = self._anchors()
        refuse_skipped(anchors.rows, anchors.opened, self.session.context)
        x = self._relative(found.x, self._images(anchors))
        if issparse(x) and not sparse:
            if x.shape[0] * x.shape[1] > LARGEST:
                raise InputError(
                    f"{x.shape[0]:,} x {x.shape[1]:,} relative representations do not fit in memory",
                    where=self.name,
                    fix="fewer images with --limit, or a smaller anchor set",
                )
            x = x.toarray()
        protocol = {**found.protocol, "layer": PROJ, "asif_k": self.spec.k, "asif_p": self.spec.p}
        facts = self.session.model(self.name).facts
        return replace(found, x=x, model=facts, protocol={**protocol, "anchors": anchors.opened.fingerprint})

    def image_encoder(self) -> "_Images":
        """Its image side by itself, for images that are in no dataset."""
        return _Images(self, self.session.model(self.spec.vision).encoder, self._anchors())

    def text_embeddings(self, texts: Sequence[str]) -> tuple[Any, Scale]:
        """Relative representations [T, A] of texts, sparse where anchors are many; the scale is 1, ASIF has none."""
        values, _ = self.session.text_embeddings(self.spec.text, list(texts))
        return self._relative(values, self._captions(self._anchors())), Scale(1.0)

    def _anchors(self) -> "_Anchors":
        session, vision, dataset = self.session, self.spec.vision, self.spec.anchors
        opened = session._open(dataset, self.split, None)
        session.prepare([vision], dataset, self.split)
        entry = session._entry(vision, opened)
        manifest = entry.manifest()
        skipped = set(manifest.skipped) if manifest is not None else set()
        rows = np.array([row for row, id in enumerate(opened.split.ids) if id not in skipped], np.int64)
        if not opened.split.captions or not all(opened.split.captions[row] for row in rows):
            raise InputError(
                f"{visible(dataset)} has no captions to be anchors", where=self.name, fix="a captioned set"
            )
        return _Anchors(opened, entry, rows)

    @property
    def _stored(self) -> str:
        """The stored layer of the image encoder that representations are made from."""
        return self.session.model(self.spec.vision).files.family.stored_as(self._layer())

    def _images(self, anchors: "_Anchors") -> Iterator[np.ndarray]:
        """The anchors' image features, a shard at a time; an image with several captions stands as often."""
        layer = self._stored
        counts = np.array([len(own) for own in anchors.opened.split.captions])
        position = 0
        while position < anchors.entry.images:
            covered, tensors = next(anchors.entry.shards(position))
            if tensors is None:
                self.session.features(self.spec.vision, self.spec.anchors, self.split, layer=self._layer())  # fixes it
                covered, tensors = next(anchors.entry.shards(position))
            if tensors is None:
                raise unreadable(anchors.entry)
            if len(tensors["row"]):
                yield np.repeat(tensors[layer], counts[tensors["row"]], axis=0)
            position = covered.stop

    def _captions(self, anchors: "_Anchors") -> Iterator[np.ndarray]:
        """The anchors' text features, so many captions at a time."""
        captions = chain.from_iterable(anchors.opened.split.captions[row] for row in anchors.rows)
        while part := list(islice(captions, CAPTIONS)):
            yield self.session.text_embeddings(self.spec.text, part)[0]

    def _layer(self) -> str:
        layers = self.session.model(self.spec.vision).files.family.layers
        return PROJ if PROJ in layers else layers[0]

    def _relative(self, values: np.ndarray, anchors: Iterator[np.ndarray]) -> Any:
        found = relative(values, anchors, k=self.spec.k, p=self.spec.p)
        return found if found.shape[1] > SPARSE * self.spec.k else found.toarray()


@dataclass(frozen=True)
class _Anchors:
    """The anchor set: its split, its image features' place in the store, and the images that have features."""

    opened: OpenSplit
    entry: FeatureEntry
    rows: np.ndarray


@dataclass(frozen=True)
class _Images:
    """An ASIF model's image side as an encoder."""

    coupled: Asif
    vision: ImageEncoder
    anchors: _Anchors
    layers: tuple[str, ...] = (PROJ,)

    @property
    def preprocess(self) -> Preprocess:
        """The image encoder's."""
        return self.vision.preprocess

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """A batch of prepared images to ``proj``: dense relative representations [B, A] float32."""
        values = self.vision.encode_images(pixels)[self.coupled._stored]
        found = self.coupled._relative(values, self.coupled._images(self.anchors))
        return {PROJ: found.toarray() if issparse(found) else found}
