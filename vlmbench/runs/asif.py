"""``asif:VISION+TEXT@ANCHORS``: two encoders and a captioned anchor set as a model that a session can open.

``?k=100&p=8&split=val`` after the anchors sets the anchors that are kept, the power, and the anchors' split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import numpy as np

from vlmbench.encoders.base import PROJ, Scale
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.heads.asif import NONZERO, POWER, relative
from vlmbench.runs.opened import SplitFeatures

if TYPE_CHECKING:
    from vlmbench.runs.session import Session

PREFIX = "asif:"
FORM = "asif:VISION+TEXT@ANCHORS[?k=800&p=8&split=train]"
LARGEST = 500_000_000
"""Numbers of a relative representation that are held at once."""


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
        raise UsageError(f"k and p are numbers: {visible(query)}", where=visible(name), mend=FORM) from error
    if not (plus and at and vision and text and anchors) or options or found.k < 1 or not found.p > 0:
        raise UsageError(f"not an ASIF model: {visible(name)}", where=visible(name), mend=FORM)
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
        )

    def features(self, dataset: str, split: str, limit: int | None) -> SplitFeatures:
        """Relative representations [N, A] of a split's images."""
        found = self.session.features(self.spec.vision, dataset, split, layer=self._layer(), limit=limit)
        anchors = self._anchors()
        x = self._relative(found.x, anchors.x[self._rows(anchors)])
        protocol = {**found.protocol, "layer": PROJ, "asif_k": self.spec.k, "asif_p": self.spec.p}
        facts = self.session.model(self.name).facts
        return replace(found, x=x, model=facts, protocol={**protocol, "anchors": anchors.dataset.fingerprint})

    def text_embeddings(self, texts: Sequence[str]) -> tuple[np.ndarray, Scale]:
        """Relative representations [T, A] of texts; the scale is 1, ASIF has none."""
        captions = [text for own in self._anchors().captions for text in own]
        values, _ = self.session.text_embeddings(self.spec.text, list(texts))
        anchors, _ = self.session.text_embeddings(self.spec.text, captions)
        return self._relative(values, anchors), Scale(1.0)

    def _anchors(self) -> SplitFeatures:
        found = self.session.features(self.spec.vision, self.spec.anchors, self.split, layer=self._layer())
        if not found.captions or not all(found.captions):
            raise InputError(
                f"{visible(self.spec.anchors)} has no captions to be anchors", where=self.name, mend="a captioned set"
            )
        return found

    def _layer(self) -> str:
        layers = self.session.model(self.spec.vision).files.family.layers
        return PROJ if PROJ in layers else layers[0]

    @staticmethod
    def _rows(anchors: SplitFeatures) -> np.ndarray:
        """The image of each anchor pair: one with several captions is several anchors."""
        return np.repeat(np.arange(len(anchors.ids)), [len(own) for own in anchors.captions])

    def _relative(self, values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        if len(values) * len(anchors) > LARGEST:
            raise InputError(
                f"{len(values):,} x {len(anchors):,} relative representations do not fit in memory",
                where=self.name,
                mend="fewer images with --limit, or a smaller anchor set",
            )
        return relative(values, anchors, k=self.spec.k, p=self.spec.p)
