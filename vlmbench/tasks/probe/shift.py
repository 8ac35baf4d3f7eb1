"""Train here, test there: a fitted head, and zero-shot beside it, on test sets other than the training set's own.

Nothing of these sets is there when a head is fitted: `run.py` fits first, and then asks a `ShiftedTest` for scores.
Where a test set has some of the classes only, the logits of the others are left out, as ImageNet-R and -A are scored,
and the training set's own test split is scored by the same classes too, so that both figures are of one task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.base import DatasetInfo, Split
from vlmbench.data.catalogue import FAMILY, expand, family, with_corruptions
from vlmbench.data.merged import ClassMap, read_class_map
from vlmbench.data.names import DatasetRef, same_images
from vlmbench.encoders.base import PROJ
from vlmbench.encoders.families import DUAL
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.heads.class_map import ClassMatch, match_classes, require_known
from vlmbench.heads.classnames import ClassNames
from vlmbench.heads.spec import FittedHead, head_columns
from vlmbench.metrics.choice import DEFAULT, computable
from vlmbench.metrics.classification import PROBABILITIES, metric_names, metrics_from_samples
from vlmbench.records.classification import TRAINED_ON, WITH_CLASSES_OF
from vlmbench.records.result import DatasetFacts, Metric
from vlmbench.records.store import StoredRun
from vlmbench.session.context import Stopwatch
from vlmbench.session.features import SplitFeatures
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass
from vlmbench.tasks.held_out import SHARE, hold_out, one_split
from vlmbench.tasks.probe.data import TEST, TRAIN, ProbeData, to_unit_norm
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.inputs import probe_splits, zero_shot_prompts
from vlmbench.tasks.zeroshot import ZeroShotPlan, ZeroShotRequest, run_zeroshot, score_zeroshot


@dataclass(frozen=True)
class ShiftPlan:
    """A test set with its classes among those of the training set; or the training set's own test split, restricted.

    Attributes:
        images: the images that are looked at.
        match: the classes.
        rows: of these images, those that are scored, `[N]` int64.
        own: whether it is the training set's own test split.
        system: what follows a probe's and a zero-shot classifier's name.
        protocol: the same for the protocols of both.
    """

    images: Selection
    match: ClassMatch
    rows: NDArray[np.int64]
    own: bool
    system: tuple[str, str]
    protocol: dict[str, Any]

    def features(self, session: Session, model: str, layer: str, *, sparse: bool = False) -> SplitFeatures:
        """A model's features of the images that are scored, labelled by `match.columns`."""
        whole = session.features(model, self.images, layer=layer, sparse=sparse)
        wanted = {session.images.open(self.images).split.ids[row] for row in self.rows}
        found = whole.take(np.array([row for row, id in enumerate(whole.ids) if id in wanted], dtype=np.int64))
        facts = found.dataset
        if len(found.ids) < len(whole.ids):
            facts = facts.model_copy(update={"fingerprint": digest([facts.fingerprint, list(found.ids)])})
        return replace(found, dataset=facts, items=replace(found.items, labels=self.match.places[found.y]))


@dataclass(frozen=True)
class ShiftedTest:
    """A test set for fitted heads.

    Attributes:
        data: its features and labels as `ProbeData`; of the training set only the labels, to be counted.
        columns: the classes of the training set that it has, `[K]` int64.
    """

    data: ProbeData
    columns: NDArray[np.int64]

    def scored(self, heads: Sequence[FittedHead], seed: int, *, few: bool) -> dict[str, Any]:
        """Per-sample columns, metrics and the main metric of each seed, of the heads of one number of shots."""
        data = self.data
        blocks = []
        for number, head in enumerate(heads):
            block = head_columns(Restricted(head, self.columns), data.x[TEST], data.y[TEST], data.ids)
            blocks.append(of_seed(block, number) if few else block)
        columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        names, _ = computable(metric_names(len(self.columns)), data.y[TEST], data.metric, data.dataset.id)
        per_seed = [metrics_from_samples(one, [data.metric], seed, resamples=0)[data.metric].value for one in blocks]
        return {"columns": columns, "metrics": metrics_from_samples(columns, names, seed), "per_seed": per_seed}


def of_seed(columns: dict[str, Any], seed: int) -> dict[str, Any]:
    """The per-sample columns of one few-shot sample; every class's probability would take the space of the rest."""
    few = {name: column for name, column in columns.items() if name != PROBABILITIES}
    return {**few, "seed": np.full(len(columns["id"]), seed, dtype=np.int32)}


@dataclass(frozen=True)
class Restricted:
    """A fitted head that tells apart some of its classes only; images for which none is possible get equal logits."""

    head: FittedHead
    columns: NDArray[np.int64]
    detail = property(lambda self: self.head.detail)

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Logits `[N, K]` of features `[N, D]`."""
        found = np.asarray(self.head.logits(x))[:, self.columns]
        return np.where(np.isneginf(found).all(axis=1, keepdims=True), 0.0, found)


def shift_plans(session: Session, dataset: DatasetRef, request: ProbeRequest, *, warn: bool = False) -> list[ShiftPlan]:
    """The test sets of ``--test-on`` and ``--corrupt``, and for those that lack classes the training set's own test
    split by the classes they have.

    A member of the training set's family whose classes do not match is left out; with `warn`, the user hears of it.

    Raises:
        AbsentError: there is no such dataset or file.
        InputError: classes do not match, no image is left, or images have several labels.
        UsageError: there is no family, or a test set is the training set.
    """
    if not request.shifted:
        return []
    ours = session.dataset(dataset).info
    if ours.multilabel:
        raise _several_labels(ours)
    given = {} if request.class_map is None else read_class_map(request.class_map)
    refs = _test_sets(dataset, request)
    require_known(given, [session.dataset(ref).info for ref in refs], str(request.class_map))
    found, unlike = [], None
    for ref in refs:
        try:
            found.append(_plan(session, dataset, ref, given, request))
        except InputError as error:
            if str(ref) in request.test_on or FAMILY not in request.test_on:
                raise
            unlike = error
            if warn:
                session.context.reporter.warn(f"{ref} of the family is left out: {error.what}")
    if unlike is not None and not found:
        raise unlike
    own: dict[bytes, ShiftPlan] = {}
    for plan in found:
        if len(plan.match.columns) < len(ours.classnames):
            own.setdefault(plan.match.columns.tobytes(), _own_plan(session, dataset, plan.match, request))
    return [*own.values(), *found]


def shift_passes(plans: Sequence[ShiftPlan], models: tuple[str, ...]) -> list[Pass]:
    """The passes over images of test sets."""
    return [Pass(plan.images, models) for plan in plans if not plan.own]


def zero_shot_beside(
    session: Session, model: str, dataset: DatasetRef, request: ProbeRequest, plans: Sequence[ShiftPlan]
) -> list[StoredRun]:
    """Zero-shot on the training set's own test split as ``vlmbench zeroshot`` scores it, and on each test set; nothing
    for a model without a text encoder."""
    if not plans or session.model(model).files.family.kind != DUAL:
        return []
    info = session.dataset(dataset).info
    share = (request.holdout or SHARE) if one_split(info) else None
    plain = ZeroShotRequest(
        [model], [str(dataset)], limit=request.limit, prompts=request.prompts, metric=request.metric, holdout=share
    )
    runs = run_zeroshot(plain, session.context, session)
    prompts = zero_shot_prompts(request.prompts, info, session.context.cache_dir)
    raw = info.raw_classnames or info.classnames
    for plan in plans:
        watch, columns = Stopwatch(), plan.match.columns.tolist()
        features = plan.features(session, model, PROJ, sparse=True)
        classes = ClassNames(tuple((info.classnames[column],) for column in columns))
        narrowed = replace(
            info,
            classnames=tuple(name for (name,) in classes.names),
            metric=_metric(request.metric or info.metric, len(columns)),
        )
        scored = ZeroShotPlan(
            plan.images,
            classes,
            tuple(raw[column] for column in columns),
            [prompts],
            None,
            plan.system[1],
            plan.protocol,
        )
        runs.append(score_zeroshot(session, model, replace(features, info=narrowed), scored, prompts, watch))
    return runs


def shifted_tests(
    session: Session, model: str, data: ProbeData, *, plans: Sequence[ShiftPlan], beside: Sequence[StoredRun]
) -> list[ShiftedTest]:
    """Each test set for the heads that are fitted to `data`.

    Args:
        session: provides the features.
        model: as the user names it.
        data: the training set.
        plans: the test sets.
        beside: zero-shot's runs on them, from `zero_shot_beside`.
    """
    found = []
    for plan in plans:
        features = plan.features(session, model, str(data.protocol["layer"]))
        columns, metric = plan.match.columns, _metric(data.metric, len(plan.match.columns))
        place = np.full(len(data.classnames), -1)
        place[columns] = np.arange(len(columns))
        counted = place[data.y[TRAIN]]
        test = replace(
            data,
            suffix=plan.system[0],
            dataset=features.dataset,
            x={TEST: features.x},
            y={TEST: features.y, TRAIN: counted[counted >= 0]},
            ids=features.ids,
            classnames=tuple(data.classnames[column] for column in columns),
            metric=metric,
            protocol={**data.protocol, **features.protocol, **plan.protocol},
            facts=session.throughput(features),
            zero_shot_figure=_figure(beside, features.dataset, metric),
        )
        found.append(ShiftedTest(to_unit_norm(test) if data.protocol["normalize"] else test, columns))
    return found


def _test_sets(dataset: DatasetRef, request: ProbeRequest) -> list[DatasetRef]:
    """The test sets; ``family`` stands for the others of the training set's family."""
    members = family(dataset) if FAMILY in request.test_on else []
    refs = [ref for name in request.test_on for ref in (members if name == FAMILY else expand([name]))]
    refs += with_corruptions([dataset], request.corrupt)[1:]
    if dataset in refs:
        raise UsageError(
            f"{visible(str(dataset))} is the training set; its own test split is scored anyway",
            where="--test-on",
            fix="name another test set",
        )
    return list(dict.fromkeys(refs))


def _plan(session: Session, dataset: DatasetRef, ref: DatasetRef, given: ClassMap, request: ProbeRequest) -> ShiftPlan:
    ours, theirs = session.dataset(dataset).info, session.dataset(ref).info
    if theirs.multilabel:
        raise _several_labels(theirs)
    if not theirs.classnames:
        raise InputError(f"{visible(theirs.id)} has no classes", where=theirs.id, fix="name a set with classes")
    match = match_classes(ours, theirs, given)
    images = Selection(ref, session.choose_split(ref, None), request.limit)
    opened = session.images.open(images)
    trained = {session.images.open(one).fingerprint for one in _training_images(session, dataset, request)}
    clean = session.images.open(replace(images, dataset=ref.clean)) if ref.corruption is not None else opened
    if clean.fingerprint in trained:
        raise InputError(
            f"the images of {visible(theirs.id)}, {opened.split.name}, are those that the probe is trained on",
            where="--test-on",
            fix="name another test set",
        )
    scored = match.places[opened.split.labels] >= 0
    if one_split(ours) and same_images(ref, dataset):  # the same images, changed: not those that are trained on
        only, train, _ = _divided(session, dataset, request)
        trained_on = {only.ids[row] for row in train}
        scored &= np.array([id not in trained_on for id in opened.split.ids])
    rows = np.flatnonzero(scored)
    if not len(rows):
        raise InputError(
            f"no image of {visible(theirs.id)} is left: those of its classes that have a partner have none",
            where="--test-on",
            fix="another test set, another --class-map or a larger --limit",
        )
    protocol: dict[str, Any] = {"classes_from": dataset.id, **_restriction(match, ours)}
    words = (TRAINED_ON.format(dataset.id), WITH_CLASSES_OF.format(dataset.id))
    return ShiftPlan(images, match, rows, False, words, protocol)


def _own_plan(session: Session, dataset: DatasetRef, match: ClassMatch, request: ProbeRequest) -> ShiftPlan:
    """The training set's own test split, by the classes of a test set."""
    info = session.dataset(dataset).info
    images = Selection(dataset, session.choose_split(dataset, None), request.limit)
    labels = session.images.open(images).split.labels
    rows = _divided(session, dataset, request)[2] if one_split(info) else np.arange(len(labels))
    places = np.full(len(info.classnames), -1)
    places[match.columns] = np.arange(len(match.columns))
    rows = rows[places[labels[rows]] >= 0]
    own = ClassMatch(match.columns, places, {})
    words = f" on {len(match.columns)} of {len(info.classnames)} classes"
    return ShiftPlan(images, own, rows, True, (words, words), _restriction(own, info))


def _restriction(match: ClassMatch, ours: DatasetInfo) -> dict[str, Any]:
    left_out = match.left_out(ours.classnames)
    return {
        **({"left_out_classes": left_out} if left_out else {}),
        **({"class_map": match.mapped} if match.mapped else {}),
    }


def _training_images(session: Session, dataset: DatasetRef, request: ProbeRequest) -> list[Selection]:
    splits = probe_splits(session, dataset)
    names = [split for role, split in splits.items() if role != TEST] or list(splits.values())
    return [Selection(dataset, name, request.limit) for name in names]


def _divided(
    session: Session, dataset: DatasetRef, request: ProbeRequest
) -> tuple[Split, NDArray[np.int64], NDArray[np.int64]]:
    """A dataset's only split, its rows to train on, and those to test on."""
    info = session.dataset(dataset).info
    only = session.images.open(Selection(dataset, session.choose_split(dataset, None), request.limit)).split
    share, seed = request.holdout or SHARE, session.context.seed
    return only, *hold_out(only.labels, info.classnames, share, seed, dataset.id, only.groups)


def _metric(wanted: str, classes: int) -> str:
    return wanted if wanted in metric_names(classes) else DEFAULT


def _figure(beside: Sequence[StoredRun], dataset: DatasetFacts, metric: str) -> Metric | None:
    """Zero-shot's figure on a test set."""
    found = (run.record for run in beside)
    return next((record.metrics.get(metric) for record in found if record.dataset == dataset), None)


def _several_labels(info: DatasetInfo) -> InputError:
    return InputError(
        f"images of {visible(info.id)} have several labels: classes cannot be told apart across datasets",
        where="--test-on",
        fix="use datasets with one label per image",
    )
