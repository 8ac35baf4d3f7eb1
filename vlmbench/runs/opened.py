"""What a session hands out: the features of a split, and a model that is loaded once it has something to do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vlmbench.data.base import DatasetInfo, Split
from vlmbench.data.images import BadImage
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.foundations.text import visible
from vlmbench.records.result import DatasetFacts, ModelFacts
from vlmbench.runs.context import Context


@dataclass(frozen=True)
class SplitFeatures:
    """The features of a split by a model.

    Attributes:
        x: [N, D] float32, un-normalised; damaged images that were skipped have no row.
        y: [N] int64 class indices, or [N, C] uint8 for multi-label sets.
        ids: [N] image ids.
        classnames: [C] readable names.
        templates: the dataset's own prompt templates.
        metric: the metric the literature reports for it.
        multilabel: whether y is a matrix.
        dataset: the dataset's part of a record.
        model: the model's part of a record.
        protocol: what else decides the features: layer, precision, preprocessing, limit.
        versions: the packages that encoded them.
        encoded: images encoded now; 0 where all came from the store.
        available_splits: the splits the dataset has.
        captions: [N] captions of each image, for captioned sets.
        group: the group a registry puts the dataset in.
    """

    x: np.ndarray
    y: np.ndarray
    ids: tuple[str, ...]
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    metric: str
    multilabel: bool
    dataset: DatasetFacts
    model: ModelFacts
    protocol: dict[str, Any]
    versions: dict[str, str]
    encoded: int
    available_splits: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Opened:
    """A split that is chosen, limited and fingerprinted."""

    info: DatasetInfo
    split: Split
    fingerprint: str


def refuse_skipped(skipped: tuple[str, ...], opened: Opened, context: Context) -> None:
    """Stored features that lack damaged images serve a run that skips them, with a warning, and no other.

    Raises:
        BadImage: images were skipped and ``on_bad_image`` is ``error``.
    """
    if not skipped:
        return
    if context.on_bad_image != "skip":
        raise BadImage(
            f"{len(skipped)} images cannot be decoded, the first is {visible(skipped[0])}",
            where=skipped[0],
            mend="mend or remove them, or --on-bad-image skip",
        )
    context.reporter.warn(
        f"{len(skipped)} damaged images of {opened.info.id} were left out, the first is {visible(skipped[0])}"
    )


@dataclass
class OpenModel:
    """A model that is found, and loaded once it has something to do."""

    files: ModelFiles
    load: Callable[[], Any]

    @cached_property
    def encoder(self) -> Any:
        """The adapter, loaded when first asked for."""
        return self.load()

    def get(self) -> Any:
        """The same, as a function."""
        return self.encoder

    @property
    def loaded(self) -> bool:
        """Whether it has been needed."""
        return "encoder" in self.__dict__

    @property
    def facts(self) -> ModelFacts:
        """Its part of a record."""
        files = self.files
        kind = files.family.kind if files.family is not ASIF else ASIF.name
        return ModelFacts(id=files.id, revision=files.revision, weights_sha256=files.weights_sha256, kind=kind)
