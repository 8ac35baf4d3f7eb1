"""``asif:VISION+TEXT@ANCHORS``: two encoders and a captioned anchor set as a model, over the features of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.encoders.asif import relative
from vlmbench.encoders.base import PROJ, ImageEncoder, Preprocess, Scale
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.names import AsifRef, ModelRef, parse_model
from vlmbench.features.store import FeatureEntry
from vlmbench.features.table import Table
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.metrics.rows import is_sparse
from vlmbench.session.features import Features, SplitFeatures, require_layer, require_texts, unreadable
from vlmbench.session.images import OpenSplit, Selection
from vlmbench.session.models import OpenModel

LARGEST = 500_000_000
"""Numbers of relative representations that are held at once, where they have to be dense."""
SPARSE = 4
"""Representations are dense where there are up to this many times k anchors: sparse ones would save nothing."""
CAPTIONS = 65_536
"""Captions whose embeddings are held at once."""


@dataclass(frozen=True)
class Asif:
    """An ASIF model.

    Attributes:
        features: those of its two encoders.
        ref: its name.
    """

    features: Features
    ref: AsifRef

    @cached_property
    def model(self) -> OpenModel:
        """What identifies it, both encoders and the anchors; and its image side by itself, for images of no dataset."""
        vision, ref = self._vision.files, self.ref
        text = require_texts(self.features.models.open(self.text), alone=True).files
        anchors = self.features.images.open(self.selection)
        encoders = [vision.weights_sha256, text.weights_sha256, text.preprocessing_sha256]
        files = ModelFiles(
            id=str(ref),
            source=str(ref),
            system=str(ref),
            revision=None,
            directory=Path(),
            config={},
            family=ASIF,
            weights_sha256=digest([*encoders, anchors.fingerprint, anchors.split.captions, ref.k, ref.p]),
            preprocessing_sha256=vision.preprocessing_sha256,
            tokenizer_sha256=text.tokenizer_sha256,
            own_code=vision.own_code or text.own_code,
        )
        return OpenModel(files, lambda: _Images(self, self._vision.encoder, self._anchors()))

    @cached_property
    def vision(self) -> ModelRef:
        """The image encoder, whose features are stored."""
        return parse_model(self.ref.vision)

    @cached_property
    def text(self) -> ModelRef:
        """The text encoder."""
        return parse_model(self.ref.text)

    def read(self, selection: Selection, layer: str = PROJ, *, sparse: bool = False) -> SplitFeatures:
        """Relative representations [N, A] of images, its only layer; `sparse` allows them to be sparse.

        Raises:
            UsageError: another layer is wanted.
            InputError: the anchors have no captions, or dense representations would not fit in memory.
        """
        require_layer(self.model.files, layer)
        found = self.features.read(self.vision, selection, self._layer)
        anchors = self._anchors()
        self.features.refuse_skipped(anchors.rows, anchors.opened)
        x = self._relative(found.x, self._images(anchors))
        if is_sparse(x) and not sparse:
            if x.shape[0] * x.shape[1] > LARGEST:
                raise InputError(
                    f"{x.shape[0]:,} x {x.shape[1]:,} relative representations do not fit in memory",
                    where=str(self.ref),
                    fix="fewer images with --limit, or a smaller anchor set",
                )
            x = x.toarray()
        if not is_sparse(x):
            x = Table([x])
        protocol = {**found.protocol, "layer": PROJ, "asif_k": self.ref.k, "asif_p": self.ref.p}
        protocol["anchors"] = anchors.opened.fingerprint
        return replace(found, x=x, model=self.model.facts, protocol=protocol)

    def texts(self, texts: Sequence[str]) -> tuple[Any, Scale]:
        """Relative representations [T, A] of texts, sparse where anchors are many; the scale is 1, ASIF has none."""
        values, _ = self.features.texts(self.text, texts)
        return self._relative(values, self._captions(self._anchors())), Scale(1.0)

    @property
    def _vision(self) -> OpenModel:
        return self.features.models.open(self.vision)

    @property
    def selection(self) -> Selection:
        """The anchors: of the split that is named, else the training split, else the dataset's own choice."""
        images, anchors = self.features.images, self.ref.anchors
        default = "train" if "train" in images.dataset(anchors).info.splits else None
        return Selection(anchors, images.choose_split(anchors, self.ref.given.get("split") or default))

    def _anchors(self) -> "_Anchors":
        selection = self.selection
        opened = self.features.images.open(selection)
        self.features.prepare([self.vision], selection)
        entry = self.features.entry(self.vision, opened)
        manifest = entry.manifest()
        skipped = set(manifest.skipped) if manifest is not None else set()
        rows = np.array([row for row, id in enumerate(opened.split.ids) if id not in skipped], np.int64)
        if not opened.split.captions or not all(opened.split.captions[row] for row in rows):
            raise InputError(
                f"{visible(str(selection.dataset))} has no captions, and anchors need some",
                where=str(self.ref),
                fix="a captioned set",
            )
        return _Anchors(opened, entry, rows)

    @property
    def _layer(self) -> str:
        layers = self._vision.files.family.layers
        return PROJ if PROJ in layers else layers[0]

    @property
    def _stored(self) -> str:
        """The stored layer of the image encoder that representations are made from."""
        return self._vision.files.family.stored_as(self._layer)

    def _images(self, anchors: "_Anchors") -> Iterator[np.ndarray]:
        """The anchors' image features, a shard at a time; an image with several captions stands as often."""
        layer = self._stored
        counts = np.array([len(own) for own in anchors.opened.split.captions])
        position = 0
        while position < anchors.entry.images:
            covered, tensors = next(anchors.entry.shards(position))
            if tensors is None:
                self.features.read(self.vision, self.selection, self._layer)  # encodes it again
                covered, tensors = next(anchors.entry.shards(position))
            if tensors is None:
                raise unreadable(anchors.entry)
            if len(tensors["row"]):
                yield np.repeat(tensors[layer], counts[tensors["row"]], axis=0)
            position = covered.stop

    def _captions(self, anchors: "_Anchors") -> Iterator[np.ndarray]:
        """The anchors' text features, `CAPTIONS` at a time."""
        captions = chain.from_iterable(anchors.opened.split.captions[row] for row in anchors.rows)
        while part := list(islice(captions, CAPTIONS)):
            yield self.features.texts(self.text, part)[0]

    def _relative(self, values: np.ndarray, anchors: Iterator[np.ndarray]) -> Any:
        found = relative(values, anchors, k=self.ref.k, p=self.ref.p)
        return found if found.shape[1] > SPARSE * self.ref.k else found.toarray()


@dataclass(frozen=True)
class _Anchors:
    """The anchor set: its split, its image features' place in the store, and the images that have features."""

    opened: OpenSplit
    entry: FeatureEntry
    rows: np.ndarray


@dataclass(frozen=True)
class _Images:
    """An ASIF model's image side as an encoder."""

    asif: Asif
    vision: ImageEncoder
    anchors: _Anchors
    layers: tuple[str, ...] = (PROJ,)

    @property
    def preprocess(self) -> Preprocess:
        """The image encoder's."""
        return self.vision.preprocess

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """A batch of prepared images to ``proj``: dense relative representations [B, A] float32."""
        values = self.vision.encode_images(pixels)[self.asif._stored]
        found = self.asif._relative(values, self.asif._images(self.anchors))
        return {PROJ: found.toarray() if is_sparse(found) else found}
