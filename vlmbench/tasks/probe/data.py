"""The data a probe is trained and tested on, from any source, and from a features file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from vlmbench.features.table import Table
from vlmbench.foundations.hashing import sha256_file
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible
from vlmbench.heads.fewshot import few_shot_sample, holdout
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.metrics.choice import require_metric
from vlmbench.metrics.classification import metric_names
from vlmbench.records.result import DatasetFacts, Metric, ModelFacts
from vlmbench.tasks.probe.features_file import read_features

TRAIN, VAL, TEST = "train", "val", "test"
SAME = 0.998
"""The cosine of centred features from which images are near-duplicates; in `shapes`, without any, it reaches 0.9976."""
PAIRS = 20_000_000
"""Pairs of images that are compared at most: a second or two."""


@dataclass(frozen=True)
class ProbeData:
    """One training set, its validation set and its test set.

    Attributes:
        system: the name a table shows.
        model: the encoder, if vlmbench ran it.
        dataset: the test split.
        x: features by split (train, test, and val if the dataset has one), `[N, D]` float32.
        y: labels by split, `[N]` int64 or `[N, C]` uint8.
        ids: `[N]` of the test split.
        classnames: `[C]`.
        metric: the main metric.
        multilabel: whether an image can have several labels.
        protocol: what decided the features.
        versions: packages that computed them.
        facts: for ``run.json``.
        zero_shot: the zero-shot classifier of a dual encoder, if requested.
        zero_shot_figure: its figure on the test split.
        prompts: its prompts as in a record; empty for the default.
        group: the dataset's group in the catalogue.
        raw_classnames: `[C]` as the dataset spells them, which a saved probe predicts; empty: `classnames`.
        suffix: what follows the system's name on a test set that is not the training set's own.
        groups: the group of each training image (a patient), `[N]`; empty: images are not grouped.
    """

    system: str
    model: ModelFacts | None
    dataset: DatasetFacts
    x: dict[str, Table]
    y: dict[str, NDArray[Any]]
    ids: tuple[str, ...]
    classnames: tuple[str, ...]
    metric: str
    multilabel: bool
    protocol: dict[str, Any]
    versions: dict[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    zero_shot: ZeroShotWeights | None = None
    zero_shot_figure: Metric | None = None
    prompts: dict[str, JsonValue] = field(default_factory=dict)
    group: str = ""
    raw_classnames: tuple[str, ...] = ()
    suffix: str = ""
    groups: tuple[str, ...] = ()

    @property
    def by_group(self) -> str:
        """What a record says of validation images that were drawn by group."""
        return ", by group" if self.groups else ""


def from_file(path: Path, reporter: Reporter, *, normalised: bool, metric: str | None = None) -> ProbeData:
    """A features file as data for a probe; the system is named after it.

    Raises:
        AbsentError: there is no such file.
        InputError: it is malformed.
        UsageError: `metric` cannot be computed from such labels.
    """
    file = read_features(path, reporter)
    multilabel = file.y[TRAIN].ndim == 2
    require_metric(metric, len(file.classnames), multilabel=multilabel, where=str(path))
    data = ProbeData(
        system=path.stem,
        model=None,
        dataset=DatasetFacts(id=f"features:{path.name}", fingerprint=sha256_file(path), split=TEST),
        x=dict(file.x),
        y=file.y,
        ids=tuple(map(str, range(len(file.y[TEST])))),
        classnames=file.classnames,
        metric=metric or metric_names(len(file.classnames), multilabel=multilabel)[0],
        multilabel=multilabel,
        protocol={"layer": "given", "normalize": normalised},
        versions={},
    )
    return to_unit_norm(data) if normalised else data


def with_validation(data: ProbeData, seed: int) -> tuple[ProbeData, str]:
    """The data with a validation split, and its source: the dataset's own, else a part of train."""
    if VAL in data.x and len(data.x[VAL]):
        return data, "own split"
    train, val = holdout(data.y[TRAIN], seed, groups=data.groups)
    x = {**data.x, TRAIN: data.x[TRAIN][train], VAL: data.x[TRAIN][val]}
    y = {**data.y, TRAIN: data.y[TRAIN][train], VAL: data.y[TRAIN][val]}
    return replace(data, x=x, y=y), f"a stratified fifth of train{data.by_group}"


def to_unit_norm(data: ProbeData) -> ProbeData:
    """The data with features scaled to unit length."""
    return replace(data, x={name: part.normalised() for name, part in data.x.items()})


def near_duplicates(train: Table, test: Table) -> NDArray[np.int64]:
    """The rows of test images `[M]` whose features are those of a training image, or nearly; none where there are too
    many pairs to look at (`PAIRS`).

    The cosine is at least `SAME` after the training mean is taken off: with it all features, pixels above all, point
    one way.
    """
    if len(train) * len(test) > PAIRS:
        return np.zeros(0, np.int64)
    known, others = (x if isinstance(x, Table) else Table([x]) for x in (train, test))
    whole = np.asarray(known, dtype=np.float32)
    mean = whole.mean(axis=0)

    def unit(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        apart = rows - mean
        return np.asarray(apart / np.linalg.norm(apart, axis=1, keepdims=True).clip(np.finfo(np.float32).tiny))

    directions = unit(whole)
    near = [(unit(np.asarray(block)) @ directions.T).max(axis=1) >= SAME for block in others.blocks()]
    return np.flatnonzero(np.concatenate(near))


def warn_of_data(data: ProbeData, shots: Sequence[int | None], reporter: Reporter) -> None:
    """Warns, once for all heads, of images in both training and test set, and of classes with too few images."""
    if len(copies := near_duplicates(data.x[TRAIN], data.x[TEST])):
        alone, first = len(copies) == 1, visible(data.ids[copies[0]])
        reporter.warn(
            f"{data.dataset.id}: {len(copies)} of {len(data.ids)} test images {'is' if alone else 'are'} the same as a "
            f"training image, or nearly ({'' if alone else 'the first: '}{first}): figures may be too high"
        )
    for k in sorted({k for k in shots if k is not None and not data.multilabel}):
        if short := few_shot_sample(data.y[TRAIN], k, 0, data.groups).short:
            classes = (
                f"the class {visible(data.classnames[short[0]])} has"
                if len(short) == 1
                else f"{len(short)} classes have"
            )
            what = f"{data.dataset.id}: {classes} fewer images than {k} shots"
            reporter.warn(f"{what}; all of theirs are used")
