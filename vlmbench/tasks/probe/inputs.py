"""The data a probe is trained and tested on, from a model and a dataset."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.base import DatasetInfo
from vlmbench.data.names import DatasetName
from vlmbench.encoders.base import PRE_PROJ, PROJ
from vlmbench.encoders.families import DUAL
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible
from vlmbench.heads.prompts import PromptSet, prompt_sets
from vlmbench.heads.zeroshot import zero_shot_columns
from vlmbench.metrics.choice import DEFAULT
from vlmbench.metrics.classification import metric_names, metrics_from_samples
from vlmbench.session.features import SplitFeatures, require_layer
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.held_out import SHARE, hold_out, one_split, rows_of
from vlmbench.tasks.probe.data import TEST, TRAIN, VAL, ProbeData, to_unit_norm
from vlmbench.tasks.probe.fit import ProbeRequest


def from_session(session: Session, model: str, dataset: DatasetName, request: ProbeRequest) -> ProbeData:
    """A model's features of a dataset's splits; a single split is divided into training and test set.

    If the record or the start of the probe needs it and the model has a text encoder, with a zero-shot classifier and
    its figure on the test split.

    Args:
        session: provides the features.
        model: as the user names it.
        dataset: as the user names it.
        request: everything else.

    Raises:
        InputError: the dataset has several splits but no training split, no classes, or a class with too few images.
        UsageError: the layer does not exist or cannot be used.
    """
    info = session.dataset(dataset).info
    normalised = request.unit
    layer = probe_layer(session, model, request)
    images = {name: Selection(dataset, split, request.limit) for name, split in probe_splits(session, dataset).items()}
    whole = {name: session.features(model, selection, layer=layer) for name, selection in images.items()}
    found, test_rows = _parts(whole, session.context.seed, request.holdout or SHARE)
    tested = found[TEST]
    data = ProbeData(
        group=info.group,
        raw_classnames=info.raw_classnames,
        system=session.model(model).files.system,
        model=tested.model,
        dataset=tested.dataset,
        x={name: part.x for name, part in found.items()},
        y={name: part.y for name, part in found.items()},
        ids=tested.ids,
        classnames=info.classnames,
        metric=request.metric or _own_metric(info),
        multilabel=info.multilabel,
        protocol={
            **tested.protocol,
            "normalize": normalised,
            "train_fingerprint": found[TRAIN].dataset.fingerprint,
            **({"val_fingerprint": found[VAL].dataset.fingerprint} if VAL in found else {}),
            **({"tokenizer_sha256": session.model(model).files.tokenizer_sha256} if request.from_text else {}),
        },
        versions=tested.versions,
        facts=session.throughput(whole[TEST]),
        groups=found[TRAIN].items.groups,
    )
    few = any(k is not None for k in request.shots)
    if (few or request.from_text) and session.model(model).files.family.kind == DUAL:
        chosen = zero_shot_prompts(request.prompts, info, session.context.cache_dir)
        names = [(name,) for name in info.classnames]
        head = session.text_weights(model, names, chosen, info.raw_classnames or info.classnames)
        x = tested.x if layer == PROJ else session.features(model, images[TEST]).x[test_rows]
        columns = zero_shot_columns(x, head, tested.y, tested.ids)
        figure = metrics_from_samples(columns, [data.metric], session.context.seed)[data.metric]
        prompts = chosen.protocol() if request.prompts else {}
        data = replace(data, zero_shot=head, zero_shot_figure=figure, prompts=prompts)
    return to_unit_norm(data) if normalised else data


def probe_layer(session: Session, model: str, request: ProbeRequest) -> str:
    """The layer of a model that a head is fitted to.

    Raises:
        UsageError: the model has no such layer or, for a head that needs it, no text encoder.
    """
    if request.from_text:
        session.require_texts(model)
        if request.layer == PRE_PROJ:
            raise UsageError(
                f"the head {request.head.name} needs features after the projection, like the text's",
                fix="leave out --features-layer",
            )
    layer = request.layer or (PROJ if request.from_text else PRE_PROJ)
    require_layer(session.model(model).files, layer)
    return layer


def zero_shot_prompts(prompts: Sequence[str], info: DatasetInfo, cache_dir: Path) -> PromptSet:
    """The one prompt set of the zero-shot classifier that a probe is compared with or starts from.

    Raises:
        UsageError: there are several.
        VlmbenchError: see `heads.prompts.prompt_sets`.
    """
    sets = prompt_sets(prompts, info, cache_dir)
    if len(sets) > 1:
        raise UsageError(
            f"a probe is compared with one zero-shot classifier, but there are {len(sets)} prompt sets: "
            + ", ".join(visible(one.name) for one in sets),
            where="--prompts",
            fix=f"--prompts {visible(sets[0].name)}",
        )
    return sets[0]


def _own_metric(info: DatasetInfo) -> str:
    names = metric_names(len(info.classnames), multilabel=info.multilabel)
    return info.metric if info.metric in names else DEFAULT


def probe_splits(session: Session, dataset: DatasetName) -> dict[str, str]:
    """The dataset's splits by their role in a probe (train, val, test); a single split is the test split.

    Raises:
        InputError: it has several splits but no training split, or no classes.
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
    """Train, test and perhaps val, and the rows of the test split that are used: all, or the held-out ones."""
    if TRAIN in whole:
        return whole, slice(None)
    only = whole[TEST]
    train, test = hold_out(only.y, only.info.classnames, share, seed, only.dataset.id, only.items.groups)
    return {TRAIN: rows_of(only, train, share), TEST: rows_of(only, test, share)}, test
