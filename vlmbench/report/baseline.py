"""A baseline: figures a person can review, with just enough of each image's result for paired tests.

``baseline.json`` has sorted keys. Under each run stand its figures and, packed, what its paired tests need, in the
order of the sorted image ids: for classification one bit for each image (right or wrong) and a byte for its Brier
score, for captions the sufficient statistics.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import sha256_bytes
from vlmbench.foundations.paths import named_file
from vlmbench.metrics.spec import find
from vlmbench.records.store import StoredRun, find_runs, read_samples
from vlmbench.report.grouping import CLASSIFICATION, main_metric, unique, variants

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1
BIGGEST = 1 << 28
"""Bytes a packed column may unpack to."""


@dataclass(frozen=True)
class Entry:
    """One run as the gate sees it, from a results directory or from a baseline file."""

    key: str
    """``zeroshot tiny-clip digits/test``: what has to be the same for two runs to be compared."""
    comparable: Mapping[str, Any]
    """Fields that must be equal: n, metric, content."""
    metrics: Mapping[str, float]
    main: str
    signature: str
    ids: str = ""
    """Digest of the sorted image ids."""
    columns: Mapping[str, "NDArray[Any]"] = field(default_factory=dict)
    """Per-image columns in the order of sorted ids; empty where only figures are known."""


def entries_from_runs(runs: Sequence[StoredRun]) -> list[Entry]:
    """The entries of finished runs; two runs under one key get the fields in which they differ appended to it.

    Records of metric-eval have none: they are about metrics, not about models.

    Raises:
        InputError: a per-sample file cannot be read.
    """
    groups: dict[str, list[StoredRun]] = {}
    for run in unique(runs):
        record = run.record
        if record.task == "metric-eval":
            continue
        shots = "" if record.shots is None else f" {record.shots}-shot"
        name = f"{record.task} {record.system} {record.dataset.id}/{record.dataset.split}{shots}"
        groups.setdefault(name, []).append(run)
    found = []
    for name, group in groups.items():
        for label, members in variants(group, lambda run: 0).items():
            found.append(_entry(members[0], name + (f" ({label})" if label else "")))
    return found


def _entry(run: StoredRun, key: str) -> Entry:
    record = run.record
    ids, columns = _columns(run)
    return Entry(
        key=key,
        comparable={"n": record.n, "metric": _main(run), "content": record.dataset.fingerprint},
        metrics={name: metric.value for name, metric in record.metrics.items()},
        main=_main(run),
        signature=record.signature,
        ids=ids,
        columns=columns,
    )


def _main(run: StoredRun) -> str:
    task = run.record.task
    return main_metric(run.record) if task in CLASSIFICATION else "retrieval" if task == "retrieval" else "captions"


def _columns(run: StoredRun) -> tuple[str, dict[str, "NDArray[Any]"]]:
    """Digest of the sorted ids, and the columns that paired tests need, in that order."""
    import numpy as np

    if not run.samples_path.is_file():
        return "", {}
    samples = read_samples(run)
    order = np.argsort(samples["id"].astype(str), kind="stable")
    ids = samples["id"].astype(str)[order]
    wide = {name: samples[name] if samples[name].dtype != object else _rows(samples[name]) for name in samples}
    columns: dict[str, NDArray[Any]] = {}
    for name in run.record.metrics:
        spec = find(name)
        columns |= {} if spec is None else {key: column[order] for key, column in spec.kept(wide).items()}
    if "seed" in samples and columns:
        columns["seed"] = samples["seed"][order]
        again = np.lexsort((columns["seed"], ids))
        columns = {name: column[again] for name, column in columns.items()}
    return sha256_bytes("\n".join(ids.tolist()).encode("utf-8", "surrogatepass")), columns


def _rows(column: "NDArray[Any]") -> "NDArray[Any]":
    """A column of equally long lists of numbers as `[N, K]`; any other as it is."""
    import numpy as np

    rows = [np.asarray(row) for row in column.tolist()] if len(column) and not isinstance(column[0], str) else []
    numbers = bool(rows) and all(row.dtype.kind in "biuf" and row.shape == rows[0].shape for row in rows)
    return np.stack(rows) if numbers else column


def to_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """The plain value of a baseline file."""
    runs = {
        entry.key: {
            "comparable": dict(entry.comparable),
            "main": entry.main,
            "metrics": dict(entry.metrics),
            "signature": entry.signature,
            "samples": {"ids": entry.ids, "columns": {name: _pack(column) for name, column in entry.columns.items()}},
        }
        for entry in entries
    }
    return {"vlmbench_baseline": SCHEMA, "runs": runs}


def read_baseline(path: Path) -> list[Entry]:
    """The entries of a baseline file, or of the runs in a directory.

    Raises:
        AbsentError: there is no such file.
        InputError: it is no baseline, or of a newer schema.
    """
    if path.is_dir() or path.name == "result.json":
        return entries_from_runs(find_runs([path]))
    named_file(path, what="baseline", mend=f"vlmbench check --update --baseline {path} RESULTS")
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the baseline is not readable as JSON: {error}", where=str(path)) from error
    schema = data.get("vlmbench_baseline") if isinstance(data, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise InputError("not a baseline file", where=str(path), mend="write one with vlmbench check --update")
    if schema > SCHEMA:
        raise InputError(
            f"the baseline has schema {schema}, this vlmbench reads up to {SCHEMA}",
            where=str(path),
            mend="pip install --upgrade vlmbench-eval",
        )
    try:
        return [_parsed(key, value) for key, value in data["runs"].items()]
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise InputError(
            f"the baseline is damaged: {type(error).__name__}: {error}",
            where=str(path),
            mend="restore it, or write it again with vlmbench check --update",
        ) from error


def _parsed(key: str, value: Mapping[str, Any]) -> Entry:
    samples = value["samples"]
    return Entry(
        key=key,
        comparable=dict(value["comparable"]),
        metrics={name: float(figure) for name, figure in value["metrics"].items()},
        main=str(value["main"]),
        signature=str(value["signature"]),
        ids=str(samples["ids"]),
        columns={name: _unpack(packed) for name, packed in samples["columns"].items()},
    )


def _pack(column: "NDArray[Any]") -> dict[str, Any]:
    """An array as text: bits, the smallest integers that hold it, or float32; then zlib and base64."""
    import numpy as np

    array = np.ascontiguousarray(column)
    kind = "float32"
    if array.dtype == bool:
        kind, raw = "bits", np.packbits(array.ravel())
    elif bool((array == np.round(array)).all()):
        kind = next(
            name
            for name in ("uint8", "int16", "int32", "float64")
            if name == "float64" or (np.iinfo(name).min <= array.min() and array.max() <= np.iinfo(name).max)
        )
        raw = array.astype("<" + np.dtype(kind).str[1:])
    else:
        raw = array.astype("<f4")
    data = base64.b64encode(zlib.compress(raw.tobytes(), 9)).decode("ascii")
    return {"type": kind, "shape": list(array.shape), "data": data}


def _unpack(packed: Mapping[str, Any]) -> "NDArray[Any]":
    import numpy as np

    shape = tuple(int(size) for size in packed["shape"])
    raw = zlib.decompressobj().decompress(base64.b64decode(packed["data"], validate=True), BIGGEST)
    count = int(np.prod(shape))
    if packed["type"] == "bits":
        return np.unpackbits(np.frombuffer(raw, np.uint8), count=count).astype(bool).reshape(shape)
    if packed["type"] not in {"uint8", "int16", "int32", "float32", "float64"}:
        raise ValueError(f"unknown type {packed['type']!r}")
    array = np.frombuffer(raw, np.dtype(packed["type"]).newbyteorder("<"))
    whole = packed["type"] not in {"float32", "float64"}
    native: NDArray[np.generic] = array.astype(np.int64 if whole else np.float64).reshape(shape)
    return native
