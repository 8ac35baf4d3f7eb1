"""A saved probe scored on labelled images: a record like that of the probe itself, on another test set."""

from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.data.base import DatasetInfo
from vlmbench.data.catalogue import expand
from vlmbench.data.merged import ClassMap, read_class_map
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest, sha256_file
from vlmbench.foundations.text import visible
from vlmbench.foundations.versions import package_versions
from vlmbench.heads.class_map import ClassMatch, match_classes, require_known
from vlmbench.heads.probe_file import Probe, save_probe
from vlmbench.heads.spec import LOGISTIC, FittedHead, LinearHead, head_columns
from vlmbench.metrics.calibration import calibration_bins
from vlmbench.metrics.choice import DEFAULT, computable
from vlmbench.metrics.classification import INTERVALS, metric_names, metrics_from_samples, per_class
from vlmbench.metrics.stats.intervals import RESAMPLES
from vlmbench.records.classification import (
    PROBE,
    TRAINED_ON,
    CalibrationBin,
    ClassFigures,
    ProbeDetail,
    ProbeProtocol,
)
from vlmbench.records.result import Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import Stopwatch
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass
from vlmbench.tasks.held_out import one_split
from vlmbench.tasks.predict import open_probe
from vlmbench.tasks.probe.data import ProbeData
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.shift import Restricted


def check_saved_probe(request: ProbeRequest, session: Session) -> list[Pass]:
    """The passes over images that scoring a saved probe makes.

    Raises:
        VlmbenchError: the probe, its encoder, a dataset, or how their classes match is invalid.
    """
    probe, given = _opened(request, session), _class_map(request, session)
    return [Pass(_images(ref, request, probe, given, session)[0], (probe.model,)) for ref in expand(request.datasets)]


def run_saved_probe(request: ProbeRequest, session: Session) -> list[StoredRun]:
    """Scores a saved probe on each dataset and writes a record for each.

    Raises:
        VlmbenchError: as `check_saved_probe`, or an image or ``--out`` is invalid.
    """
    probe, given, runs = _opened(request, session), _class_map(request, session), []
    for ref in expand(request.datasets):
        watch, context = Stopwatch(), session.context
        images, match = _images(ref, request, probe, given, session)
        info = session.dataset(ref).info
        if ref.id == probe.dataset and one_split(info):
            context.reporter.warn(
                f"{ref}: the probe was trained on images of this dataset, which has no test split of its own: "
                "the figures include images it has seen"
            )
        features = session.features(probe.model, images, layer=probe.layer)
        rows = np.flatnonzero(match.places[features.y] >= 0)
        dataset = features.dataset
        if len(rows) < len(features.ids):
            features = features.take(rows)
            own = digest([dataset.fingerprint, list(features.ids)])
            dataset = dataset.model_copy(update={"fingerprint": own})
        names = tuple(probe.classnames[column] for column in match.columns)
        head, labels = Restricted(probe.head, match.columns), match.places[features.y]
        x = features.x.normalised() if probe.normalise else features.x
        columns = head_columns(head, x, labels, features.ids)
        possible = metric_names(len(names))
        wanted = request.metric or info.metric
        metric = wanted if wanted in possible else DEFAULT
        scored, left_out = computable(possible, labels, metric, dataset.id)
        right = columns["prediction"] == columns["label"]
        without = match.left_out(probe.classnames)
        restriction: dict[str, Any] = {
            **({"left_out_classes": without} if without else {}),
            **({"class_map": match.mapped} if match.mapped else {}),
        }
        record = Record(
            task=PROBE.name,
            system=session.model(probe.model).files.system + TRAINED_ON.format(probe.dataset),
            model=features.model,
            dataset=dataset,
            n=len(features.ids),
            seed=context.seed,
            protocol=ProbeProtocol(
                **features.protocol,
                **restriction,
                normalize=probe.normalise,
                probe=LOGISTIC,
                probe_sha256=sha256_file(request.load) if request.load is not None else None,
                classes_from=probe.dataset,
                classnames=list(names),
                metric=metric,
                intervals=INTERVALS,
                resamples=RESAMPLES,
            ),
            metrics=metrics_from_samples(columns, scored, context.seed),
            detail=ProbeDetail(
                left_out=left_out or None,
                per_class=[ClassFigures(**row) for row in per_class(columns, names)],
                calibration=[
                    CalibrationBin.model_validate(row) for row in calibration_bins(columns["confidence"], right)
                ],
                skipped=len(dataset.skipped) or None,
            ),
            versions={**features.versions, **package_versions("numpy")},
        )
        runs.append(write_run(context.out, record, columns, watch.facts(session.throughput(features))))
    return runs


def _opened(request: ProbeRequest, session: Session) -> Probe:
    if request.load is None:
        raise UsageError("no probe", where="--load-probe", fix="--load-probe FILE")
    probe = open_probe(request.load, session)
    if probe.head.multilabel:
        raise InputError(
            "this probe gives an image several labels, and is scored by linear-probe alone",
            where=str(request.load),
            fix="vlmbench predict",
        )
    return probe


def _class_map(request: ProbeRequest, session: Session) -> ClassMap:
    if request.class_map is None:
        return {}
    given = read_class_map(request.class_map)
    require_known(given, [session.dataset(ref).info for ref in expand(request.datasets)], str(request.class_map))
    return given


def _images(
    ref: DatasetRef, request: ProbeRequest, probe: Probe, given: ClassMap, session: Session
) -> tuple[Selection, ClassMatch]:
    info = session.dataset(ref).info
    if info.multilabel or not info.classnames:
        raise InputError(
            f"{visible(info.id)} has {'several labels per image' if info.multilabel else 'no classes'}",
            where=info.id,
            fix="name a dataset with one label per image",
        )
    trained = DatasetInfo(probe.dataset, None, (), probe.classnames)
    match = match_classes(trained, info, given)
    return Selection(ref, session.choose_split(ref, None), request.limit), match


def save_fitted(path: Path, head: FittedHead, data: ProbeData) -> None:
    """Saves a linear head that was fitted to `data`."""
    model = data.model
    if not isinstance(head, LinearHead):  # its spec says that it is one
        raise TypeError(f"{type(head).__name__} is not a LinearHead")
    probe = Probe(
        head=head,
        classnames=data.raw_classnames or data.classnames,
        model=model.id if model else "",
        weights_sha256=model.weights_sha256 if model else "",
        layer=str(data.protocol["layer"]),
        normalise=bool(data.protocol["normalize"]),
        dataset=data.dataset.id,
    )
    save_probe(path, probe)
