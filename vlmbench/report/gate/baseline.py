"""A baseline: figures a person can review, with just enough of each image's result for paired tests.

``baseline.json`` has sorted keys. Each run has its figures and, packed, what its paired tests need, in the
order of the sorted image ids: for classification one bit for each image (right or wrong) and a byte for its Brier
score, for captions the sufficient statistics.
"""

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import read_json
from vlmbench.foundations.hashing import digest, sha256_bytes
from vlmbench.foundations.paths import named_file
from vlmbench.metrics.spec import CaptionSpec, find
from vlmbench.records.classification import ClassificationProtocol
from vlmbench.records.result import Record
from vlmbench.records.samples import CLASSES
from vlmbench.records.store import StoredRun, find_runs
from vlmbench.records.task import task_specs
from vlmbench.report.grouping import main_metric, unique, variants
from vlmbench.report.verify import require_unchanged, trusted_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = 1
BIGGEST = 1 << 28
"""Most bytes that a packed column may unpack to."""
_ROUNDED = 0.01
"""Largest difference between a figure and what the packed columns give: they are rounded."""
_FIX = "restore it, or rewrite it with vlmbench check --update"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Packed(_Strict):
    """A column as text: see `_pack`."""

    type: Literal["bits", "uint8", "int16", "int32", "float32", "float64"]
    shape: Annotated[list[Annotated[int, Field(ge=1, le=BIGGEST)]], Field(min_length=1, max_length=2)]
    data: str


class _Samples(_Strict):
    ids: str
    columns: dict[str, _Packed]


class _Comparable(_Strict):
    n: Annotated[int, Field(ge=1)]
    metric: str
    content: str
    classes: str | None = None


class _Run(_Strict):
    comparable: _Comparable
    main: str
    metrics: Annotated[dict[str, Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)]
    signature: str
    samples: _Samples


class _Runs(_Strict):
    runs: dict[str, _Run]


@dataclass(frozen=True)
class GateEntry:
    """One run as the gate sees it, from a results directory or from a baseline file."""

    key: str
    """``zeroshot tiny-clip digits/test``: what must be equal for two runs to be compared."""
    comparable: Mapping[str, Any]
    """Fields that must be equal: n, metric, content, classes."""
    metrics: Mapping[str, float]
    main: str
    signature: str
    ids: str = ""
    """Digest of the sorted image ids."""
    columns: Mapping[str, "NDArray[Any]"] = field(default_factory=dict)
    """Per-image columns in the order of sorted ids; empty where only figures are known."""
    names: "Sequence[str] | NDArray[Any]" = ()
    """For each row the class name, or the image's id if there are no classes; empty in a baseline file."""
    remark: str = ""
    """What a reader of the outcome needs to know about it."""


def entries_from_runs(runs: Sequence[StoredRun]) -> list[GateEntry]:
    """The entries of finished runs; the keys of two runs that collide get the fields in which they differ appended.

    Records of tasks that are not gated have no entry: they are about metrics, not models.

    Raises:
        InputError: a per-sample file cannot be read, or record, figures and per-sample file contradict each other.
    """
    groups: dict[str, list[StoredRun]] = {}
    for run in unique(runs):
        record = run.record
        if record.spec.gated == "none":
            continue
        shots = "" if record.shots is None else f" {record.shots}-shot"
        name = f"{record.task} {record.system} {record.dataset.id}/{record.dataset.split}{shots}"
        groups.setdefault(name, []).append(run)
    found = []
    for name, group in groups.items():
        for label, members in variants(group, lambda run: 0).items():
            found.append(_entry(members[0], name + (f" ({label})" if label else "")))
    return found


def _entry(run: StoredRun, key: str) -> GateEntry:
    record = run.record
    ids, columns, names = _columns(run)
    return GateEntry(
        key=key,
        comparable={
            "n": record.n,
            "metric": _main(record),
            "content": record.dataset.fingerprint,
            "classes": _classes(record),
        },
        metrics={name: metric.value for name, metric in record.metrics.items()},
        main=_main(record),
        signature=record.signature,
        ids=ids,
        columns=columns,
        names=names,
        remark=_remark(run, key),
    )


def _remark(run: StoredRun, key: str) -> str:
    if not run.samples_path.is_file():
        return f"its figures are taken from the record alone, since the per-sample file is missing: {key}"
    if not run.record.record_sha256:
        return f"its record has no checksum (written by an earlier version, or removed): {key}"
    return ""


def _classes(record: Record) -> str | None:
    """Number and digest of a run's class names, in order."""
    names = record.protocol.classnames if isinstance(record.protocol, ClassificationProtocol) else None
    return None if names is None else f"{len(names)} ({digest(names)[:8]})"


def _main(record: Record) -> str:
    """The metric that is gated; the family if all are."""
    return main_metric(record) if record.spec.gated == "main" else record.spec.family


@cache
def gated_whole() -> frozenset[str]:
    """The families of tasks whose metrics are all gated, since none is the main one."""
    return frozenset(spec.family for spec in task_specs() if spec.gated == "all")


def _columns(run: StoredRun) -> tuple[str, dict[str, "NDArray[Any]"], "NDArray[Any]"]:
    """Digest of the sorted ids, and in the same order the columns that paired tests need and `GateEntry.names`."""
    import numpy as np

    if not run.samples_path.is_file():
        require_unchanged(run)
        return "", {}, np.empty(0, str)
    samples = trusted_columns(run)
    order = np.argsort(samples["id"].astype(str), kind="stable")
    ids = samples["id"].astype(str)[order]
    wide = {name: samples[name] if samples[name].dtype != object else _rows(samples[name]) for name in samples}
    names = _names(run.record, samples)[order]
    columns: dict[str, NDArray[Any]] = {}
    for name in run.record.metrics:
        spec = find(name)
        columns |= {} if spec is None else {key: column[order] for key, column in spec.kept(wide).items()}
    if "seed" in samples and columns:
        columns["seed"] = samples["seed"][order]
        again = np.lexsort((columns["seed"], ids))
        columns, names = {name: column[again] for name, column in columns.items()}, names[again]
    return sha256_bytes("\n".join(ids.tolist()).encode("utf-8", "surrogatepass")), columns, names


def _names(record: Record, samples: Mapping[str, Any]) -> "NDArray[Any]":
    """What each row is of: its class, or its image."""
    import numpy as np

    classes = record.protocol.classnames if isinstance(record.protocol, ClassificationProtocol) else None
    if "label" not in samples:
        return np.asarray(samples["id"].astype(str))
    if classes is None:
        return np.char.add("class ", samples["label"].astype(str))
    named: NDArray[Any] = np.asarray(classes)[samples["label"].astype(np.int64)]
    return named


def _rows(column: "NDArray[Any]") -> "NDArray[Any]":
    """A column of equally long lists of numbers as `[N, K]`; any other as it is."""
    import numpy as np

    rows = [np.asarray(row) for row in column.tolist()] if len(column) and not isinstance(column[0], str) else []
    numbers = bool(rows) and all(row.dtype.kind in "biuf" and row.shape == rows[0].shape for row in rows)
    return np.stack(rows) if numbers else column


def to_json(entries: Sequence[GateEntry]) -> dict[str, Any]:
    """The JSON value of a baseline file."""
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
    return {"vlmbench_baseline": SCHEMA, "runs": runs, "sha256": digest(runs)}


def read_baseline(path: Path) -> list[GateEntry]:
    """The entries of a baseline file, or of the runs in a directory.

    Raises:
        AbsentError: there is no such file.
        InputError: it is not a baseline, was edited, contradicts itself, or has a newer schema.
    """
    if path.is_dir() or path.name == "result.json":
        return entries_from_runs(find_runs([path]))
    named_file(path, what="baseline", fix=f"the first time: vlmbench check RESULTS --baseline {path} --update")
    data = read_json(path, most=BIGGEST, what="baseline", unique=True)
    schema = data.get("vlmbench_baseline") if isinstance(data, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise InputError("not a baseline file", where=str(path), fix="write one with vlmbench check --update")
    if schema > SCHEMA:
        raise InputError(
            f"the baseline has schema {schema}, this vlmbench reads up to {SCHEMA}",
            where=str(path),
            fix="pip install --upgrade vlmbench-eval",
        )
    said = data.get("sha256")
    try:
        found = _Runs.model_validate_json(json.dumps({"runs": data.get("runs")}, allow_nan=False)).runs
        entries = [_parsed(key, value) for key, value in found.items()]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"the baseline is damaged: {first['msg']}", where=f"{path}, {place}", fix=_FIX) from error
    except InputError as error:
        raise InputError(f"the baseline is damaged: {error.what}", where=f"{path}, {error.where}", fix=_FIX) from error
    except (ValueError, zlib.error, MemoryError) as error:
        raise InputError(f"the baseline is damaged: {error}", where=str(path), fix=_FIX) from error
    if said is not None and said != digest(data["runs"]):
        raise InputError("the baseline was edited: its checksum does not match", where=str(path), fix=_FIX)
    unknown = set(data) - {"vlmbench_baseline", "runs", "sha256"}
    if unknown:
        raise InputError(f"the baseline has an unknown field {min(unknown)}", where=str(path), fix=_FIX)
    if said is None:
        remark = "the baseline has no checksum (written by an earlier version, or removed): rewrite it"
        entries = [replace(entry, remark=remark) for entry in entries]
    return entries


def _parsed(key: str, run: _Run) -> GateEntry:
    """Checks that the fields of an entry, of the right types already, agree with each other."""
    columns = {name: _unpack(packed) for name, packed in run.samples.columns.items()}
    if run.main != run.comparable.metric or (run.main not in gated_whole() and run.main not in run.metrics):
        raise InputError(f"no figure for its main metric, {run.main}", where=f"runs.{key}.metrics")
    for name, value in run.metrics.items():
        spec = find(name)
        if spec is not None and not spec.range[0] - 1e-6 <= value <= spec.range[1] + 1e-6:
            raise InputError(
                f"{name} ranges from {spec.range[0]:g} to {spec.range[1]:g}, not {value}", where=f"runs.{key}"
            )
    rows = {len(column) for column in columns.values()}
    if len(rows) > 1 or any(count % run.comparable.n for count in rows) or bool(columns) > bool(run.samples.ids):
        raise InputError(f"its columns do not have {run.comparable.n} images", where=f"runs.{key}.samples")
    if any(not _finite(column) for column in columns.values()):
        raise InputError("a number that is not finite", where=f"runs.{key}.samples.columns")
    for name, value in run.metrics.items():
        again = _again(name, columns)
        if again is not None and not abs(again - value) <= _ROUNDED:
            what = f"{name} is {value:g}, but its per-image columns give {again:g}"
            raise InputError(what, where=f"runs.{key}.metrics")
    return GateEntry(
        key=key,
        comparable={name: value for name, value in run.comparable if value is not None},
        metrics=dict(run.metrics),
        main=run.main,
        signature=run.signature,
        ids=run.samples.ids,
        columns=columns,
    )


def _again(name: str, columns: Mapping[str, Any]) -> float | None:
    """A figure from a baseline's per-image columns; None where they are not enough.

    Raises:
        ValueError: the columns do not belong to such a metric.
    """
    import numpy as np

    from vlmbench.metrics.figures import figures

    spec = find(name)
    if spec is None or not columns or not spec.testable(columns):
        return None
    if "label" in columns and not 0 <= columns["label"].min() <= columns["label"].max() < CLASSES:
        raise ValueError("a label that is not a class")
    try:
        if isinstance(spec, CaptionSpec):
            return figures(spec.family, columns, [name], 0, resamples=0)[name].value
        if spec.per_image is not None:
            return float(np.mean(spec.per_image(columns)))
        if spec.compute is None or "seed" in columns:
            return None
        return spec.compute(columns, 0, 0).value
    except (ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"its columns do not belong to {name}: {error}") from error


def _finite(column: "NDArray[Any]") -> bool:
    import numpy as np

    return bool(np.isfinite(column).all())


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


def _unpack(packed: _Packed) -> "NDArray[Any]":
    import numpy as np

    count = math.prod(packed.shape)
    size = (count + 7) // 8 if packed.type == "bits" else count * np.dtype(packed.type).itemsize
    if size > BIGGEST:
        raise ValueError(f"a packed column of {size:,} bytes; at most {BIGGEST:,} are allowed")
    stream = zlib.decompressobj()
    raw = stream.decompress(base64.b64decode(packed.data, validate=True), size + 1)
    if len(raw) != size or not stream.eof:
        raise ValueError(f"a packed column does not have the shape {packed.shape}")
    if packed.type == "bits":
        return np.unpackbits(np.frombuffer(raw, np.uint8), count=count).astype(bool).reshape(packed.shape)
    array = np.frombuffer(raw, np.dtype(packed.type).newbyteorder("<"))
    whole = packed.type not in {"float32", "float64"}
    native: NDArray[np.generic] = array.astype(np.int64 if whole else np.float64).reshape(packed.shape)
    return native
