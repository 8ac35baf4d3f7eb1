"""The linear probe: all labels, or a few per class over several seeds; one record for each model, dataset and shots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from vlmbench.data.catalogue import expand
from vlmbench.data.names import IN_GROUPS
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.paths import named_file
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.versions import package_versions
from vlmbench.heads.fewshot import few_shot_sample
from vlmbench.heads.spec import LOGISTIC, MAX_ITER, RELATIVE, TOLERANCE, FittedHead, head_columns
from vlmbench.metrics.calibration import calibration_bins
from vlmbench.metrics.choice import computable, require_metric
from vlmbench.metrics.classification import (
    INTERVALS,
    INTERVALS_OVER_SEEDS,
    metric_names,
    metrics_from_samples,
    per_class,
)
from vlmbench.metrics.one_vs_rest import score_bins
from vlmbench.metrics.reference import class_counts
from vlmbench.metrics.stats.intervals import RESAMPLES
from vlmbench.records.classification import (
    PROBE,
    CalibrationBin,
    ClassFigures,
    CurvePoint,
    ProbeDetail,
    ProbeProtocol,
    SeedFit,
    ValidationScores,
)
from vlmbench.records.result import Metric, Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import Context, Stopwatch
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass
from vlmbench.tasks.held_out import SHARE, check_share, hold_out, holdout_note, one_split, require_whole_groups
from vlmbench.tasks.probe.curve import few_shot_curve
from vlmbench.tasks.probe.data import (
    TEST,
    TRAIN,
    VAL,
    ProbeData,
    from_file,
    warn_of_data,
    with_validation,
)
from vlmbench.tasks.probe.fit import Fitted, fit_split
from vlmbench.tasks.probe.fit import ProbeRequest as Request
from vlmbench.tasks.probe.inputs import from_session, probe_layer, probe_splits, zero_shot_prompts
from vlmbench.tasks.probe.saved import check_saved_probe, run_saved_probe, save_fitted
from vlmbench.tasks.probe.shift import ShiftedTest, of_seed, shift_passes, shift_plans, shifted_tests, zero_shot_beside


@dataclass(frozen=True)
class _Result:
    """A probe at one number of shots, before its record is written."""

    shots: int | None
    columns: dict[str, Any]
    metrics: dict[str, Metric]
    per_seed: list[float]
    train_images: int
    detail: dict[str, Any]
    """Fields of `ProbeDetail`."""
    validation: str
    heads: tuple[FittedHead, ...]
    stored: int
    """How many of the heads were in the cache."""

    @property
    def counts(self) -> dict[str, int]:
        """Heads that were fitted and others, by their names in ``run.json``."""
        return {"heads_fitted": len(self.heads) - self.stored, "heads_from_store": self.stored}


def run_linear_probe(request: Request, context: Context, session: Session | None = None) -> list[StoredRun]:
    """Trains and tests probes and writes a record for each model, dataset and number of shots.

    Raises:
        VlmbenchError: the request, a model, a dataset, a file or ``--out`` is invalid.
    """
    session = session or Session(context)
    passes = check_linear_probe(request, session)
    require_writable(context.out)
    if request.load is not None:
        return run_saved_probe(request, session)
    if request.features is not None:
        file, reporter = request.features, session.context.reporter
        return _heads(request, session, lambda one: from_file(file, reporter, normalised=one.unit, metric=one.metric))
    runs = []
    for dataset in expand(request.datasets):
        plans = shift_plans(session, dataset, request, warn=True)
        mine = [one for one in passes if one.selection.dataset in {dataset, *(plan.images.dataset for plan in plans)}]
        for one in mine if request.corrupt else ():  # all of the same images in one pass
            session.expect(one.models, one.selection)
        for one in mine:
            session.prepare(one.models, one.selection)
        info = session.dataset(dataset).info
        if one_split(info):
            share, group = request.holdout or SHARE, dataset.option(IN_GROUPS)
            held = holdout_note(share, context.seed, multilabel=info.multilabel, group=group)
            session.context.reporter.note(f"{dataset}: {held}")
        for model in dict.fromkeys(request.models):
            beside = zero_shot_beside(session, model, dataset, request, plans)
            tests_of = partial(shifted_tests, session, model, plans=plans, beside=beside)
            runs += _heads(request, session, partial(from_session, session, model, dataset), tests_of) + beside
    return runs


def check_linear_probe(request: Request, session: Session) -> list[Pass]:
    """Checks a request, its models, datasets and files before any image is encoded.

    Returns:
        The passes over images that the run makes.

    Raises:
        VlmbenchError: something is invalid.
    """
    request.check()
    check_share(request.holdout)
    if request.load is not None:
        return check_saved_probe(request, session)
    if request.features is not None:
        named_file(request.features, what="features file")
        return []
    models = tuple(dict.fromkeys(request.models))
    for model in models:
        for one in request.by_head():
            probe_layer(session, model, one)
    passes = []
    for dataset in expand(request.datasets):
        splits = probe_splits(session, dataset)
        info = session.dataset(dataset).info
        check_share(request.holdout, info)
        require_metric(request.metric, len(info.classnames), multilabel=info.multilabel, where=info.id)
        request.check_labels(info.id, multilabel=info.multilabel)
        zero_shot_prompts(request.prompts, info, session.context.cache_dir)
        if one_split(info):
            only = session.images.open(Selection(dataset, splits[TEST], request.limit)).split
            share = request.holdout or SHARE
            hold_out(only.labels, info.classnames, share, session.context.seed, info.id, only.groups)
        elif dataset.option(IN_GROUPS):
            require_whole_groups(session, dataset, list(splits.values()))
        passes += [Pass(Selection(dataset, split, request.limit), models) for split in splits.values()]
        passes += shift_passes(shift_plans(session, dataset, request), models)
    return passes


def _heads(
    request: Request,
    session: Session,
    data_of: Callable[[Request], ProbeData],
    tests_of: Callable[[ProbeData], Sequence[ShiftedTest]] = lambda data: (),
) -> list[StoredRun]:
    """Every head on the same data; all but ``logistic`` are compared with it, if it is one of them."""
    inputs: dict[tuple[bool, bool], tuple[ProbeData, Sequence[ShiftedTest]]] = {}
    runs: list[StoredRun] = []
    probe: list[CurvePoint | None] = []
    for one in request.by_head():
        key = (one.from_text, one.unit)
        if key not in inputs:
            data = data_of(one)
            inputs[key] = (data, tests_of(data))
            if len(inputs) == 1:
                warn_of_data(data, one.shots, session.context.reporter)
        found, last = _probe(*inputs[key], one, session, probe)
        probe = last if one.head.name == LOGISTIC else probe
        runs += found
    return runs


def _probe(
    data: ProbeData,
    tests: Sequence[ShiftedTest],
    request: Request,
    session: Session,
    probe: Sequence[CurvePoint | None],
) -> tuple[list[StoredRun], list[CurvePoint | None]]:
    """One head's runs, and the last points of its curves, one for each test set; `probe`: the logistic probe's."""
    shots = sorted(set(request.shots), key=lambda k: (k is None, k))
    request.check_labels(data.dataset.id, multilabel=data.multilabel)
    results, watches = [], []
    for k in shots:
        watch = Stopwatch()
        results.append(_all_labels(data, request, session) if k is None else _few_labels(data, k, request, session))
        watches.append(watch.facts({**data.facts, **results[-1].counts}))
    fitted, stored = (sum(one.counts[name] for one in results) for name in results[0].counts)
    session.context.reporter.note(f"heads: {fitted} fitted, {stored} from the store ({data.system}, {request.head})")
    if request.save is not None:
        save_fitted(request.save, results[-1].heads[0], data)
        few = "" if shots[-1] is None else f", trained on {shots[-1]} labels per class (the first of the samples)"
        session.context.reporter.note(f"probe: {request.save}{few}")
    runs, last = list[StoredRun](), list[CurvePoint | None]()
    for number, test in enumerate([None, *tests]):
        on, scored = data, results
        if test is not None:
            on, watch, seed = test.data, Stopwatch(), session.context.seed
            scored = [replace(one, **test.scored(one.heads, seed, few=one.shots is not None)) for one in results]
            watches = [watch.facts(on.facts)] * len(scored)
        written, end = _written(scored, watches, on, request, session, probe[number] if probe else None)
        runs += written
        last.append(end)
    return runs, last


def _written(
    results: Sequence[_Result],
    facts_of: Sequence[Mapping[str, Any]],
    data: ProbeData,
    request: Request,
    session: Session,
    probe: CurvePoint | None,
) -> tuple[list[StoredRun], CurvePoint | None]:
    """The records of one head on one test set, and the last point of its curve."""
    curve = few_shot_curve([_point(result, data) for result in results], data, request, session.context.seed, probe)
    runs = []
    for result, facts in zip(results, facts_of, strict=True):
        record = _record(result, data, request, session.context)
        if result.shots is not None or len(results) > 1:
            record = record.model_copy(update={"detail": record.detail.model_copy(update=curve)})
        runs.append(write_run(session.context.out, record, result.columns, facts))
    on = f"{', tested' if data.suffix else ''} on {data.dataset.id}"
    for match in map(curve.get, ("labels_to_match", "labels_to_match_probe", "labels_for_target")):
        if match is not None and not (data.suffix and request.corrupt):  # a note for each of 85 would help nobody
            session.context.reporter.note(f"{runs[0].record.system}{on}: {match.sentence}")
    return runs, curve["curve"].points[-1] if curve else None


def _all_labels(data: ProbeData, request: Request, session: Session) -> _Result:
    seed = session.context.seed
    split, validation = data, "none"
    if request.on_test:
        validation = "the test split"
    elif request.validates:
        split, validation = with_validation(data, derive_seed(seed, "validation"))
    fitted = fit_split(split, request, session, refit=request.refit)
    columns = head_columns(fitted.head, data.x[TEST], data.y[TEST], data.ids)
    metrics = metrics_from_samples(columns, _metrics(data)[0], seed)
    trained = len(split.y[TRAIN]) + (len(split.y[VAL]) if request.refit and VAL in split.y else 0)
    value, detail = metrics[data.metric].value, fitted.detail.given()
    if VAL in split.x and len(split.y[VAL]) and len(data.classnames) == 2 and not (data.multilabel or request.refit):
        scored = head_columns(fitted.head, split.x[VAL], split.y[VAL], [""] * len(split.y[VAL]))
        starts, images = score_bins(scored["label"], scored["score"])
        source = "the val split" if validation in ("own split", "none", "the test split") else validation
        detail["validation_scores"] = ValidationScores(source=source, starts=starts, images=images)
    return _Result(None, columns, metrics, [value], trained, detail, validation, (fitted.head,), fitted.stored)


def _few_labels(data: ProbeData, k: int, request: Request, session: Session) -> _Result:
    seed, blocks, details, sizes = session.context.seed, [], [], []
    fitted: list[Fitted] = []
    short: set[int] = set()
    for number in range(request.seeds):
        sample = few_shot_sample(data.y[TRAIN], k, derive_seed(seed, "few-shot", number), data.groups)
        short |= set(sample.short)
        x, y = data.x[TRAIN], data.y[TRAIN]
        split = replace(
            data, x={TRAIN: x[sample.train], VAL: x[sample.val]}, y={TRAIN: y[sample.train], VAL: y[sample.val]}
        )
        fitted.append(fit_split(split, request, session, refit=False))
        block = head_columns(fitted[-1].head, data.x[TEST], data.y[TEST], data.ids)
        blocks.append(of_seed(block, number))
        details.append(SeedFit(seed=number, **fitted[-1].detail.given()))
        sizes.append(len(sample.train))
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    metrics = metrics_from_samples(columns, _metrics(data)[0], seed)
    per_seed = [metrics_from_samples(block, [data.metric], seed, resamples=0)[data.metric].value for block in blocks]
    more: dict[str, Any] = {"by_seed": details}
    if short:
        more["classes_with_fewer_images"] = [data.classnames[index] for index in sorted(short)]
    validation = f"min({k}, 4) images a class out of train{data.by_group}" if request.validates else "none"
    validation = "the test split" if request.on_test else validation
    heads, stored = tuple(one.head for one in fitted), sum(one.stored for one in fitted)
    return _Result(k, columns, metrics, per_seed, sizes[0], more, validation, heads, stored)


def _metrics(data: ProbeData) -> tuple[list[str], dict[str, str]]:
    """The metrics of the test set, and why others cannot be computed."""
    names = metric_names(len(data.classnames), multilabel=data.multilabel)
    return computable(names, data.y[TEST], data.metric, data.dataset.id)


def _point(result: _Result, data: ProbeData) -> CurvePoint:
    metric, shots = result.metrics[data.metric], result.shots
    classes = len(data.classnames) + len(data.protocol.get("left_out_classes", ()))
    return CurvePoint(
        shots=shots,
        labels_per_class=float(shots or result.train_images / classes),
        value=metric.value,
        low=metric.low,
        high=metric.high,
        per_seed=result.per_seed,
    )


def _record(result: _Result, data: ProbeData, request: Request, context: Context) -> Record:
    few = result.shots is not None
    over_seeds = few and request.seeds > 1
    classes, bins = None, None
    if not data.multilabel:
        correct = result.columns["prediction"] == result.columns["label"]
        bins = [CalibrationBin.model_validate(row) for row in calibration_bins(result.columns["confidence"], correct)]
        classes = [ClassFigures(**row) for row in per_class(result.columns, data.classnames)]
    start: dict[str, Any] = {}
    if request.from_text and data.zero_shot is not None:
        start = {
            **data.prompts,
            "prompts_sha256": data.zero_shot.sha256,
            "logit_scale": data.zero_shot.logit_scale,
        }
    return Record(
        task=PROBE.name,
        system=data.system + ("" if request.head.name == LOGISTIC else f"+{request.head}") + data.suffix,
        model=data.model,
        dataset=data.dataset,
        n=len(data.ids),
        shots=result.shots,
        seed=context.seed,
        protocol=ProbeProtocol(
            **data.protocol,
            **start,
            **_settings(request, few=few),
            probe=request.head.name,
            validation=result.validation,
            seeds=request.seeds if few else None,
            classnames=list(data.classnames),
            metric=data.metric,
            intervals=INTERVALS_OVER_SEEDS if over_seeds else INTERVALS,
            resamples=RESAMPLES,
        ),
        metrics=result.metrics,
        detail=ProbeDetail(
            **result.detail,
            per_seed=result.per_seed,
            train_images=result.train_images,
            train_class_counts=class_counts(data.y[TRAIN], len(data.classnames)).tolist(),
            left_out=_metrics(data)[1] or None,
            per_class=classes,
            calibration=bins,
            group=data.group or None,
            skipped=len(data.dataset.skipped) or None,
        ),
        versions={
            **data.versions,
            **package_versions("numpy", "torch", *(["scikit-learn"] if request.solver == "sklearn" else [])),
        },
    )


def _settings(request: Request, *, few: bool) -> dict[str, Any]:
    """The head's hyperparameters, as in the protocol."""
    settings = request.settings(refit=request.refit and not few)
    if "c" not in settings:
        return {"settings": settings}
    tolerances = {"tolerance": TOLERANCE, **({"relative_tolerance": RELATIVE} if request.solver == "native" else {})}
    return {**settings, "c": "searched" if request.c is None else request.c, **tolerances, "max_iter": MAX_ITER}
