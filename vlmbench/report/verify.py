"""Does a record agree with its per-sample file? Recomputes hash, signature, n and every figure."""

import re
from collections.abc import Mapping
from typing import Any

from vlmbench.foundations.errors import InputError, VlmbenchError
from vlmbench.records.result import Record
from vlmbench.records.samples import FIX, read_columns
from vlmbench.records.signature import parse_signature, signature
from vlmbench.records.store import RESULT, StoredRun, run_id, samples_changed

TOLERANCE = 1e-9
"""Figures may differ only by the rounding of sums in another order."""
RESAMPLES = 1_000_000
"""No run has more; a tampered record could request any number."""


def verify_run(run: StoredRun) -> list[str]:
    """What is inconsistent, one sentence each; empty if nothing is."""
    wrong = _changed(run) + _lacking(run.record)
    if not run.samples_path.is_file():
        return [*wrong, f"{run.samples_path.name} is missing"]
    wrong += [line for line in [samples_changed(run)] if line]
    wrong += _signature(run)
    try:
        columns = read_columns(run.samples_path, run.record)
        wrong += _of_task(run.record, columns) + _figures(run, columns)
    except VlmbenchError as error:
        wrong.append(error.what)
    return wrong


def trusted_columns(run: StoredRun) -> dict[str, Any]:
    """The per-sample columns of a run whose record, per-sample file and figures (without intervals) agree.

    This costs a checksum and a sum over each column, without resampling.

    Raises:
        InputError: they do not.
    """
    require_unchanged(run)
    if wrong := samples_changed(run):
        raise InputError(wrong, where=str(run.samples_path), fix=FIX)
    columns = read_columns(run.samples_path, run.record)
    try:
        found = _of_task(run.record, columns) + _figures(run, columns, resamples=0)
    except InputError as error:
        raise InputError(error.what, where=str(run.samples_path), fix=FIX) from error
    if found:
        raise InputError(found[0], where=str(run.path / RESULT), fix=_LOOK)
    return columns


def require_unchanged(run: StoredRun) -> None:
    """Checks that a record is unchanged, by its own checksum.

    Raises:
        InputError: it was changed, or figures are missing.
    """
    for wrong in _changed(run) + _lacking(run.record) + _signature(run):
        raise InputError(wrong, where=str(run.path / RESULT), fix=_LOOK)


_LOOK = "vlmbench verify lists everything that is inconsistent; rerun the command, or restore the file"


def _changed(run: StoredRun) -> list[str]:
    return [f"{RESULT} was changed after it was written: its own checksum does not match"] if run.changed else []


def _lacking(record: Record) -> list[str]:
    """Metrics that the record's own protocol names but the record does not have."""
    if not record.metrics and record.detail.not_defined is None:
        return ["metrics: the record has none"]
    missing = [name for name in record.protocol.scored if name not in record.metrics]
    return [f"metrics: the record has no {', '.join(missing)}, which its protocol names"] if missing else []


def _signature(run: StoredRun) -> list[str]:
    record = run.record
    try:
        version = parse_signature(record.signature).get("version", "")
    except InputError as error:
        return [f"signature: {error.what}"]
    expected = signature(record.model_copy(update={"signature": ""}), version)
    wrong = []
    if expected != record.signature:
        theirs, ours = parse_signature(record.signature), parse_signature(expected)
        fields = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
        wrong.append(f"signature: it does not belong to this record, they differ in {', '.join(fields) or 'order'}")
    if re.search("-[0-9a-f]{10}$", run.path.name) and run.path.name[-10:] != run_id(record)[-10:]:
        wrong.append(f"identity: the directory is {run.path.name}, the record's own name {run_id(record)}")
    return wrong


def _of_task(record: Record, columns: Mapping[str, Any]) -> list[str]:
    """The inconsistencies that the record's task finds itself."""
    verify = record.spec.verify
    return [] if verify is None else verify(record, columns)


def _figures(run: StoredRun, columns: Mapping[str, Any], resamples: int | None = None) -> list[str]:
    """The figures, and intervals if these are recomputed, that differ when recomputed."""
    record = run.record
    wrong = []
    for name, (value, low, high) in recomputed(run, columns, resamples).items():
        stored = record.metrics[name]
        pairs = [("", stored.value, value)]
        if (
            resamples is None
            and low is not None
            and high is not None
            and stored.low is not None
            and stored.high is not None
        ):
            pairs += [(" low", stored.low, low), (" high", stored.high, high)]
        for part, said, again in pairs:
            if not abs(said - again) <= TOLERANCE:
                wrong.append(f"{name}{part}: the record says {said!r}, the per-sample file gives {again!r}")
    return wrong


def recomputed(
    run: StoredRun, columns: Mapping[str, Any], resamples: int | None = None
) -> dict[str, tuple[float, float | None, float | None]]:
    """Every metric of a record, recomputed from the per-sample columns: value, low, high (None: not recomputed).

    Args:
        run: the run.
        columns: its per-sample columns.
        resamples: bootstrap resamples; None: as many as the record says.

    Raises:
        InputError: a column is missing, or no installed package can compute a metric of the record.
    """
    from vlmbench.metrics.figures import figures

    record, requested = run.record, run.record.protocol.resamples
    if requested is not None and not 0 <= requested <= RESAMPLES:
        raise InputError(
            f"the record requests {requested} resamples; the maximum is {RESAMPLES:,}", where=str(run.path)
        )
    resamples = requested if resamples is None else resamples
    try:
        again = figures(record.spec.family, columns, list(record.metrics), record.seed, resamples=resamples)
    except (ArithmeticError, ValueError, IndexError, TypeError) as error:
        raise InputError(
            f"its figures cannot be computed from the per-sample file: {error}", where=str(run.samples_path), fix=FIX
        ) from error
    return {name: (metric.value, metric.low, metric.high) for name, metric in again.items()}
