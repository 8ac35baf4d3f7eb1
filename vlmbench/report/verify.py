"""Is a record what its per-sample file says? Hash, signature, n and every figure, computed again."""

import re
from collections.abc import Mapping
from typing import Any

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import sha256_file
from vlmbench.records.signature import parse_signature, signature
from vlmbench.records.store import StoredRun, read_samples, run_id
from vlmbench.report.grouping import family_of

TOLERANCE = 1e-9
"""Figures may differ by rounding of sums in another order, not by more."""


def verify_run(run: StoredRun) -> list[str]:
    """What does not fit, each in one sentence; empty where all does."""
    record = run.record
    if not run.samples_path.is_file():
        return [f"{run.samples_path.name} is missing"]
    found = sha256_file(run.samples_path)
    wrong = []
    if found != record.samples_sha256:
        said = record.samples_sha256[:16]
        wrong.append(f"{run.samples_path.name} has changed: its SHA-256 is {found[:16]}…, the record says {said}…")
    wrong += _signature(run)
    try:
        columns = read_samples(run)
        wrong += _count(columns, record.n)
        wrong += _figures(run, columns)
    except InputError as error:
        wrong.append(error.what)
    return wrong


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


def _count(columns: Mapping[str, Any], n: int) -> list[str]:
    rows = len(set(columns["id"].tolist())) if "id" in columns else 0
    return [] if rows == n else [f"n: the record says {n} images, the per-sample file holds {rows}"]


def _figures(run: StoredRun, columns: Mapping[str, Any]) -> list[str]:
    """The figures that do not come out again, and those whose interval does not, where intervals are recomputed."""
    record = run.record
    wrong = []
    for name, (value, low, high) in recomputed(run, columns).items():
        stored = record.metrics[name]
        pairs = [("", stored.value, value)]
        if low is not None and high is not None and stored.low is not None and stored.high is not None:
            pairs += [(" low", stored.low, low), (" high", stored.high, high)]
        for part, said, again in pairs:
            if not abs(said - again) <= TOLERANCE:
                wrong.append(f"{name}{part}: the record says {said!r}, the per-sample file gives {again!r}")
    return wrong


def recomputed(run: StoredRun, columns: Mapping[str, Any]) -> dict[str, tuple[float, float | None, float | None]]:
    """Every metric of a record, computed again from the per-sample columns: value, low, high (none: not recomputed).

    Raises:
        InputError: a column is missing, or nobody knows how to compute a metric of the record.
    """
    from vlmbench.metrics.figures import figures

    record, asked = run.record, run.record.protocol.get("resamples")
    resamples = asked if isinstance(asked, int) else None
    family = family_of(record.task)
    again = figures(family, columns, list(record.metrics), record.seed, resamples=resamples)
    return {name: (metric.value, metric.low, metric.high) for name, metric in again.items()}
