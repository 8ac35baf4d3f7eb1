"""CLIPScore and RefCLIPScore of captions, with any dual encoder, over the images of a captioned set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlmbench.captioners.anchors import unit
from vlmbench.encoders.base import PROJ
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.clipscore import METRICS, PREFIX, W, clip_scores
from vlmbench.runs.captioners import dual_encoder, text_embeddings
from vlmbench.runs.session import Session

DEFAULT_CLIP = "openai/clip-vit-base-patch32"
"""The paper's encoder."""


@dataclass
class Seen:
    """Looks at images by a dual encoder.

    Attributes:
        session: models and data sets are opened through it.
        model: the dual encoder.
        dataset: whose images; their ids are those of the captions.
        split: one of its splits; none: test, else what there is.
    """

    session: Session
    model: str
    dataset: str
    split: str | None = None

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides the scores, for the record."""
        files = dual_encoder(self.session, self.model).files
        return {
            "model": f"{files.id}@{files.weights_sha256[:16]}",
            "precision": self.session.precision,
            "prefix": PREFIX,
            "w": W,
        }

    def scores(
        self, ids: Sequence[str], candidates: Sequence[str], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Per-image scores [N] float64 by metric.

        Args:
            ids: [N] images.
            candidates: [N] captions.
            references: [N] reference captions of each.

        Raises:
            InputError: an image is not in the set or cannot be decoded.
            UsageError: the model has no text side.
        """
        dual_encoder(self.session, self.model)
        images = self._images()
        lacking = [id for id in ids if id not in images]
        if lacking:
            raise InputError(
                f"{len(lacking)} captions are of images that are not in {visible(self.dataset)}, "
                f"the first is {visible(lacking[0])}",
                where=self.dataset,
                mend="name the set with these images: -d DATASET --split SPLIT",
            )
        flat = [caption for group in references for caption in group]
        embedded = text_embeddings(self.session, self.model, [PREFIX + text for text in (*candidates, *flat)])
        embedded = embedded.astype(np.float64)
        ends = np.cumsum([len(group) for group in references])
        groups = np.split(embedded[len(candidates) :], ends[:-1])
        x = unit(np.stack([images[id] for id in ids]).astype(np.float64))
        return dict(zip(METRICS, clip_scores(x, embedded[: len(candidates)], groups), strict=True))

    def _images(self) -> dict[str, np.ndarray]:
        """Image features by id; a damaged image is left out, and missed only if a caption is of it."""
        lenient = Session(replace(self.session.context, on_bad_image="skip"))
        split = lenient.choose_split(self.dataset, self.split)
        found = lenient.features(self.model, self.dataset, split, layer=PROJ)
        return dict(zip(found.ids, found.x, strict=True))
