"""Run directories: ``runs/<id>/{result.json, samples.parquet, run.json}``.

``result.json`` is written last: a directory without it is an unfinished run and is never read.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vlmbench import __version__
from vlmbench.foundations.atomic import atomic_path, write_json
from vlmbench.foundations.errors import InputError, VlmbenchError
from vlmbench.foundations.files import SMALL, read_json
from vlmbench.foundations.hashing import digest, sha256_file
from vlmbench.foundations.paths import named_file, named_path, slug
from vlmbench.foundations.text import visible
from vlmbench.records.columns import arrow
from vlmbench.records.foreign import PROGRAM, Foreign, find_foreign, read_foreign
from vlmbench.records.result import SCHEMA_VERSION, FieldError, Record
from vlmbench.records.signature import signature
from vlmbench.records.task import task_spec, tasks

RESULT = "result.json"
SAMPLES = "samples.parquet"
RUN = "run.json"


@dataclass(frozen=True)
class StoredRun:
    """A record and the directory it was read from or written to."""

    path: Path
    record: Record
    changed: bool = False
    """Whether the record was changed after it was written: its own checksum does not match."""

    @property
    def samples_path(self) -> Path:
        """The per-sample file."""
        return self.path / SAMPLES


def run_id(record: Record) -> str:
    """The directory's name: readable, and a function only of what decides the number (never of the number itself)."""
    identity = record.model_dump(
        mode="json",
        exclude={"metrics", "detail", "samples_sha256", "signature", "schema_version", "versions", "record_sha256"},
    )
    shots = "" if record.shots is None else f"-{record.shots}shot"
    name = slug(f"{record.task}-{record.system}-{record.dataset.id}", longest=80)
    return f"{name}{shots}-{digest(identity)[:10]}"


def write_run(out: Path, record: Record, samples: Mapping[str, Any], run: Mapping[str, Any]) -> StoredRun:
    """Writes a run under `out`/runs and returns it with hash and signature filled in. `record` still has no
    `samples_sha256` and no `signature`; `samples` are columns of length N, `run` are volatile facts (when, where, how
    fast)."""
    directory = out / "runs" / run_id(record)
    write_samples(directory / SAMPLES, samples)
    record = record.model_copy(update={"samples_sha256": sha256_file(directory / SAMPLES)})
    record = record.model_copy(update={"signature": signature(record, __version__)})
    write_json(directory / RUN, dict(run))
    record = record.model_copy(update={"record_sha256": record_sha256(record.model_dump(mode="json"))})
    write_json(directory / RESULT, record.model_dump(mode="json"))
    return StoredRun(directory, record)


def record_sha256(data: Mapping[str, Any]) -> str:
    """SHA-256 of a record as written to ``result.json``, without this checksum."""
    return digest({name: value for name, value in data.items() if name != "record_sha256"})


def write_samples(path: Path, samples: Mapping[str, Any]) -> None:
    """Writes columns as Parquet (zstd), whole or not at all; the same columns give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: arrow(column) for name, column in samples.items()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_statistics=False)


def read_samples(run: StoredRun) -> dict[str, Any]:
    """The per-sample columns of a run as NumPy arrays (object arrays for text and lists), checked against its record.
    Raises `InputError` where the file is absent, damaged, changed, or not what the record's task needs."""
    from vlmbench.records.samples import FIX, read_columns

    wrong = samples_changed(run) if run.record.samples_sha256 and run.samples_path.is_file() else ""
    if wrong:
        raise InputError(wrong, where=str(run.samples_path), fix=FIX)
    return read_columns(run.samples_path, run.record)


def samples_changed(run: StoredRun) -> str:
    """Why the per-sample file is not the one written with the record; empty if it is."""
    found, said = sha256_file(run.samples_path), run.record.samples_sha256
    if found == said:
        return ""
    return f"{SAMPLES} has changed: its SHA-256 is {found[:16]}…, the record says {said[:16]}…"


def read_run(path: Path) -> StoredRun:
    """The run with this ``result.json``; `InputError` where it is not a record, or of a newer schema than this vlmbench
    reads."""
    named_file(path, what=RESULT, fix="name a run's directory or a results directory")
    data = read_json(path, most=SMALL, what="record", unique=True)
    found = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(found, int) and found > SCHEMA_VERSION:
        raise InputError(
            f"the record has schema version {found}, this vlmbench reads up to {SCHEMA_VERSION}",
            where=str(path),
            fix="pip install --upgrade vlmbench-eval",
        )
    try:
        current = _from_schema_1(data) if found == 1 and isinstance(data, dict) else data
        record = Record.model_validate_json(json.dumps(current, allow_nan=False), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        below = cause.place if isinstance(cause, FieldError) else ()
        place = ".".join(map(str, (*first["loc"], *below))) or "the whole file"
        raise _no_record(first["msg"].removeprefix("Value error, "), f"{path}, field {place}") from error
    except VlmbenchError as error:
        raise _no_record(error.what, f"{path}, field task", error.fix) from error
    except ValueError as error:
        raise _no_record("a figure must be a finite number", str(path)) from error
    if not record.metrics and record.detail.not_defined is None:
        raise _no_record("it has no figures", f"{path}, field metrics")
    said = record.record_sha256
    return StoredRun(path.parent, record, changed=bool(said) and said != record_sha256(data))


def _from_schema_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """A record of schema 1 as one of schema 2.

    Fields have the same names. In schema 1 `detail` was open; what no task has there now (paired tests, which
    tables compute) was only explanation and is dropped. Everything in `protocol` is in signatures, so it must be known.
    """
    detail, task = data.get("detail"), data.get("task")
    if isinstance(detail, dict) and isinstance(task, str):
        model = task_spec(task).detail
        known = {field.alias or name for name, field in model.model_fields.items()}
        detail = {
            name: value for name, value in detail.items() if name in known or model.model_config["extra"] == "allow"
        }
    return {**data, "schema_version": SCHEMA_VERSION} | ({} if detail is None else {"detail": detail})


def _no_record(what: str, where: str, fix: str | None = None) -> InputError:
    return InputError(f"not a result record: {what}", where=where, fix=fix or "rerun the command")


def find_runs(paths: Iterable[Path]) -> list[StoredRun]:
    """Every finished run at or below the paths (a ``result.json``, a run's directory, a results directory), sorted.
    Raises `AbsentError` where there is nothing at a path, `InputError` where a path holds no finished run."""
    found: dict[Path, StoredRun] = {}
    for path in paths:
        there = _runs_in(named_path(path))
        if not there:
            raise _no_run(path)
        found |= there
    return sorted(found.values(), key=lambda run: natural(run.path.name))


def find_results(paths: Iterable[Path]) -> tuple[list[StoredRun], list[Foreign]]:
    """Like `find_runs`, but path by path, with the results of other programs at or below the paths too. Raises
    `AbsentError` where there is nothing at a path, `InputError` where a path holds neither."""
    found: dict[Path, StoredRun] = {}
    foreign: list[Foreign] = []
    for path in paths:
        theirs = find_foreign([named_path(path)])
        if not theirs and path.is_file() and path.name != RESULT:
            raise InputError(
                f"neither a run nor a result of {PROGRAM}",
                where=str(path),
                fix="name a run's directory, a results directory, or a file that clip_benchmark eval or build wrote",
            )
        there = {} if theirs and path.is_file() else _runs_in(path)
        if not there and not theirs:
            raise _no_run(path)
        found |= dict(sorted(there.items(), key=lambda item: (natural(item[0].name), str(item[0]))))
        foreign += theirs
    return list(found.values()), foreign


def _runs_in(path: Path) -> dict[Path, StoredRun]:
    """The runs at or below a path, by their resolved directories; other programs' results in a directory are passed
    over; one that is named directly is an error."""
    found = {}
    for file in [path] if path.is_file() else sorted(path.rglob(RESULT)) if path.is_dir() else []:
        try:
            found[file.parent.resolve()] = read_run(file)
        except InputError as error:
            if not read_foreign(file):
                raise
            if path.is_file():
                raise InputError(
                    f"a result of {PROGRAM}, not a run", where=str(file), fix=f"vlmbench compare {file} shows it"
                ) from error
    return found


def _no_run(path: Path) -> InputError:
    return InputError(
        f"no finished run in {visible(str(path))}",
        where=str(path),
        fix=f"run one of the tasks first: vlmbench {', '.join(tasks())}",
    )


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts ``2shot`` before ``16shot``, for numbers of any length; ``01`` and ``1`` differ."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    whole = [part.lstrip("0") if part[0] in "0123456789" else None for part in parts]
    numbered = ((1, 0, part) if own is None else (0, len(own), own) for part, own in zip(parts, whole, strict=True))
    return *numbered, (-1, 0, text)
