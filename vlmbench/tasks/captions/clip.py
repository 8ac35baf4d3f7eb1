"""CLIPScore and RefCLIPScore of captions, with any dual encoder, on the images of a captioned set."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from vlmbench.captioners.anchors import unit
from vlmbench.data.base import Split
from vlmbench.data.captions.read import Aligned
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import encodable, visible
from vlmbench.metrics.captions.clipscore import PREFIX, SPECS, W, clip_scores
from vlmbench.metrics.captions.scoring import Scored
from vlmbench.records.result import ModelFacts
from vlmbench.session.features import SplitFeatures
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioners import dual_encoder, unit_embeddings

DEFAULT_CLIP = "openai/clip-vit-base-patch32"
"""The paper's encoder."""
_BLOCK = 4096


@dataclass
class ClipImages:
    """Scores captions with a dual encoder.

    Attributes:
        session: opens models and datasets.
        model: the dual encoder.
        dataset: the dataset with the images; captions refer to their ids.
        of: ids of the images with captions; the others are not encoded.
        split: one of the set's splits; None: test, else what there is.
    """

    session: Session
    model: str
    dataset: str
    of: Collection[str]
    split: str | None = None

    @property
    def facts(self) -> ModelFacts:
        """The dual encoder, for the record."""
        return dual_encoder(self.session, self.model).facts

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides the scores, for the record."""
        files = dual_encoder(self.session, self.model).files
        return {
            "model": f"{files.id}@{files.weights_sha256[:16]}",
            "processor": digest([files.preprocessing_sha256, files.tokenizer_sha256])[:16],
            "precision": self.session.precision,
            **({"engine": self.session.engine} if self.session.engine else {}),
            **self.session.decoding,
            "prefix": PREFIX,
            "w": W,
        }

    def scores(
        self, ids: Sequence[str], candidates: Sequence[str], references: Sequence[Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Per-caption scores [N] float64 by metric.

        Each image and each text is embedded once, however often it occurs.

        Args:
            ids: [N] the image of each caption.
            candidates: [N] captions.
            references: [N] reference captions of each.

        Raises:
            InputError: an image is not in the set or cannot be decoded.
            UsageError: the model has no text side.
        """
        dual_encoder(self.session, self.model)
        images = self._images(ids)
        said = [PREFIX + text for text in encodable(candidates)]
        known = [[PREFIX + text for text in encodable(group)] for group in references]
        unique = list(dict.fromkeys(chain(said, chain.from_iterable(known))))
        embedded = unit_embeddings(self.session, self.model, unique)
        place = {text: row for row, text in enumerate(unique)}
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, len(ids), _BLOCK):
            block = slice(start, start + _BLOCK)
            x = unit(np.stack([images[id] for id in ids[block]]).astype(np.float64))
            texts = embedded[[place[text] for text in said[block]]].astype(np.float64)
            groups = [embedded[[place[text] for text in group]].astype(np.float64) for group in known[block]]
            found.append(clip_scores(x, texts, groups))
        return {spec.name: np.concatenate([part[k] for part in found]) for k, spec in enumerate(SPECS)}

    def add_to(self, systems: Sequence[Scored], aligned: Aligned, metrics: Collection[str]) -> None:
        """Adds those of CLIPScore and RefCLIPScore that are in `metrics` to the columns of every system."""
        if not metrics:
            return
        for item, rows, captions in zip(systems, aligned.images, aligned.candidates, strict=True):
            ids = [aligned.ids[row] for row in rows]
            found = self.scores(ids, captions, [aligned.references[row] for row in rows])
            item.columns.update({name: found[name] for name in metrics})

    @cached_property
    def _features(self) -> SplitFeatures:
        """The features of every image in `of` that can be decoded."""
        lenient, split = self.session.skipping_damaged(), self._split.name
        return lenient.features(self.model, Selection(lenient.images.only(self.dataset, split, self.of), split))

    @cached_property
    def _split(self) -> Split:
        return self.session.dataset(self.dataset).split(self.session.choose_split(self.dataset, self.split))

    def _images(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Image features by id; damaged images are left out, an error only if they have a caption."""
        there = set(self._split.ids)
        unknown = [id for id in dict.fromkeys(ids) if id not in there]
        if unknown:
            raise InputError(
                f"captions for {len(unknown):,} images that are not in {visible(self.dataset)}; "
                f"the first is {visible(unknown[0])}",
                where=self.dataset,
                fix="name the dataset with these images",
            )
        images = dict(zip(self._features.ids, np.asarray(self._features.x), strict=True))
        damaged = [id for id in dict.fromkeys(ids) if id not in images]
        if damaged:
            raise InputError(
                f"{len(damaged):,} images cannot be decoded; the first is {visible(damaged[0])}",
                where=self.dataset,
                fix="fix or replace it",
            )
        return images
