"""What a probe is trained and tested on, from a model and a dataset or from a features file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from vlmbench.data.base import DatasetInfo
from vlmbench.data.names import DatasetName
from vlmbench.encoders.base import PRE_PROJ, PROJ
from vlmbench.encoders.families import DUAL
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import sha256_file
from vlmbench.foundations.text import visible
from vlmbench.heads.fewshot import holdout
from vlmbench.heads.prompts import PromptSet, prompt_sets
from vlmbench.heads.zeroshot import ZeroShotWeights, logits, normalise
from vlmbench.metrics.choice import DEFAULT, require_metric
from vlmbench.metrics.classification import metric_names, metrics_from_samples, sample_columns, softmax
from vlmbench.records.result import DatasetFacts, Metric, ModelFacts
from vlmbench.session.features import SplitFeatures
from vlmbench.session.session import Session
from vlmbench.tasks.probe.features_file import read_features
from vlmbench.tasks.probe.held_out import SHARE, hold_out, one_split, rows_of

TRAIN, VAL, TEST = "train", "val", "test"


@dataclass(frozen=True)
class ProbeData:
    """One training set, its validation set and its test set.

    Attributes:
        system: the name a table shows.
        model: the encoder, if vlmbench ran it.
        dataset: the test split.
        x: features by split (train, test, and val where the dataset has one), `[N, D]` float32.
        y: labels by split, `[N]` int64 or `[N, C]` uint8.
        ids: `[N]` of the test split.
        classnames: `[C]`.
        metric: the figure that decides.
        multilabel: whether an image can have several labels.
        protocol: what decided the features.
        versions: packages that made them.
        facts: for ``run.json``.
        zero_shot: the zero-shot classifier of a dual encoder, where one was asked for.
        zero_shot_figure: its figure on the test split.
        prompts: what a record says of its prompts; empty where they are the default.
        group: the group a registry puts the dataset in.
    """

    system: str
    model: ModelFacts | None
    dataset: DatasetFacts
    x: dict[str, NDArray[np.floating]]
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


def from_file(path: Path, *, normalised: bool, metric: str | None = None) -> ProbeData:
    """A features file as data for a probe; the system is named after it.

    Raises:
        AbsentError: there is no such file.
        InputError: it is not as it has to be.
        UsageError: `metric` is not computed of such labels.
    """
    file = read_features(path)
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
    return _normalised(data) if normalised else data


def from_session(
    session: Session,
    model: str,
    dataset: DatasetName,
    *,
    layer: str | None,
    normalised: bool,
    limit: int | None,
    prompts: Sequence[str],
    zero_shot: bool,
    zero_shot_start: bool,
    share: float | None = None,
    metric: str | None = None,
) -> ProbeData:
    """The features of a dataset's splits by a model; of a dataset of one split, a part of it is the test set.

    Args:
        session: gives the features.
        model: as the user names it.
        dataset: as the user names it.
        layer: ``proj`` or ``pre_proj``; the default is ``pre_proj``, or ``proj`` with `zero_shot_start`.
        normalised: bring features to unit length.
        limit: so many images a split.
        prompts: the prompt set of the zero-shot classifier; see `zero_shot_prompts`.
        zero_shot: whether to evaluate zero-shot on the test split, where the model has a text side.
        zero_shot_start: whether the probe starts from the zero-shot classifier (needs a text side and ``proj``).
        share: of a dataset of one split that is held out for the test; none: `SHARE`.
        metric: the metric that decides; none: the dataset's own.

    Raises:
        InputError: the dataset has several splits and none to train on, no classes, or too few images of one.
        UsageError: the layer does not exist or does not fit.
    """
    info = session.dataset(dataset).info
    splits = probe_splits(session, dataset)
    dual = session.model(model).files.family.kind == DUAL
    if zero_shot_start:
        session.require_texts(model)
        if layer == PRE_PROJ:
            raise UsageError(
                "--init zeroshot starts from text, which lives after the projection", fix="drop --features-layer"
            )
    layer = layer or (PROJ if zero_shot_start else PRE_PROJ)
    whole = {name: session.features(model, dataset, split, layer=layer, limit=limit) for name, split in splits.items()}
    found, test_rows = _parts(whole, session.context.seed, share or SHARE)
    tested = found[TEST]
    data = ProbeData(
        group=info.group,
        system=session.model(model).files.system,
        model=tested.model,
        dataset=tested.dataset,
        x={name: part.x for name, part in found.items()},
        y={name: part.y for name, part in found.items()},
        ids=tested.ids,
        classnames=tested.classnames,
        metric=metric or _own_metric(tested),
        multilabel=tested.multilabel,
        protocol={
            **tested.protocol,
            "normalize": normalised,
            "train_fingerprint": found[TRAIN].dataset.fingerprint,
            **({"val_fingerprint": found[VAL].dataset.fingerprint} if VAL in found else {}),
        },
        versions=tested.versions,
        facts=session.throughput(whole[TEST]),
    )
    if dual and (zero_shot or zero_shot_start):
        chosen = zero_shot_prompts(prompts, info, session.context.cache_dir)
        names = [(name,) for name in info.classnames]
        head = session.text_weights(model, names, chosen, info.raw_classnames or info.classnames)
        x = tested.x
        if layer != PROJ:
            x = session.features(model, dataset, splits[TEST], layer=PROJ, limit=limit).x[test_rows]
        columns = sample_columns(softmax(logits(x, head)), tested.y, tested.ids)
        figure = metrics_from_samples(columns, [data.metric], session.context.seed)[data.metric]
        told = chosen.protocol() if prompts else {}
        data = replace(data, zero_shot=head, zero_shot_figure=figure, prompts=told)
    return _normalised(data) if normalised else data


def zero_shot_prompts(asked: Sequence[str], info: DatasetInfo, cache_dir: Path) -> PromptSet:
    """The one prompt set of the zero-shot classifier that a probe is held against, or starts from.

    Raises:
        UsageError: several are asked for.
        VlmbenchError: see `heads.prompts.prompt_sets`.
    """
    sets = prompt_sets(asked, info, cache_dir)
    if len(sets) > 1:
        raise UsageError(
            f"a probe is held against one zero-shot classifier, and there are {len(sets)} prompt sets: "
            + ", ".join(visible(one.name) for one in sets),
            where="--prompts",
            fix=f"--prompts {visible(sets[0].name)}",
        )
    return sets[0]


def _own_metric(tested: SplitFeatures) -> str:
    names = metric_names(len(tested.classnames), multilabel=tested.multilabel)
    return tested.metric if tested.metric in names else DEFAULT


def probe_splits(session: Session, dataset: DatasetName) -> dict[str, str]:
    """The dataset's splits by their part in a probe (train, val, test); an undivided one has only test.

    Raises:
        InputError: it has several splits and none to train on, or no classes.
    """
    info = session.dataset(dataset).info
    test = session.choose_split(dataset, None)
    if not one_split(info) and (TRAIN not in info.splits or test == TRAIN):
        raise InputError(
            f"{visible(info.id)} has the splits {', '.join(map(visible, info.splits))}; a probe needs train and test",
            where=info.id,
            fix="folder:PATH with PATH/train/<class>/ and PATH/test/<class>/, or vlmbench zeroshot",
        )
    if not info.classnames:
        raise InputError(f"{visible(info.id)} has no classes", where=info.id, fix="vlmbench retrieval, for captions")
    return {name: name for name in (TRAIN, VAL) if name in info.splits and name != test} | {TEST: test}


def _parts(
    whole: dict[str, SplitFeatures], seed: int, share: float
) -> tuple[dict[str, SplitFeatures], NDArray[np.int64] | slice]:
    """Train, test and perhaps val; and which rows of the test split are tested on, all or the held-out ones."""
    if TRAIN in whole:
        return whole, slice(None)
    only = whole[TEST]
    train, test = hold_out(only.y, only.classnames, share, seed, only.dataset.id)
    return {TRAIN: rows_of(only, train, share), TEST: rows_of(only, test, share)}, test


def with_validation(data: ProbeData, seed: int) -> tuple[ProbeData, str]:
    """The data with a validation split, and where it came from: the dataset's own, else a part of train."""
    if VAL in data.x and len(data.x[VAL]):
        return data, "own split"
    train, val = holdout(data.y[TRAIN], seed)
    x = {**data.x, TRAIN: data.x[TRAIN][train], VAL: data.x[TRAIN][val]}
    y = {**data.y, TRAIN: data.y[TRAIN][train], VAL: data.y[TRAIN][val]}
    return replace(data, x=x, y=y), "a stratified fifth of train"


def _normalised(data: ProbeData) -> ProbeData:
    return replace(data, x={name: normalise(part) for name, part in data.x.items()})
