"""What a per-sample file must contain, by task: the one place where its columns are checked against the record.

All such files are read here, so that tables, tests, the gate and `verify` can rely on them: text where
text belongs, finite numbers in range, labels below the number of classes, as many images as the record says, each
once (once per seed).
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible
from vlmbench.records.classification import ClassificationProtocol
from vlmbench.records.columns import numpy_values
from vlmbench.records.result import Record
from vlmbench.records.task import ColumnRule

FIX = "rerun the command that wrote it"
_COLUMNS = 1000
_BYTES = 8 * 1024**3
CLASSES = 1_000_000
"""More classes than any dataset has: the limit if a record has no class names."""
_SLACK = 1e-6


def read_columns(path: Path, record: Record) -> dict[str, Any]:
    """The columns of a per-sample file as NumPy arrays `[N]` (object arrays for text and lists). Raises `InputError`,
    with column and row, where the file is absent, not Parquet, or not what the record's task needs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require_shape(file, record, path)
            table = file.read()
        table.validate(full=True)
        _require_columns(table, record, path)
        columns = {name: numpy_values(table.column(name).combine_chunks()) for name in table.column_names}
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise InputError(
            f"cannot read the per-sample file: {visible(str(error).partition(chr(10))[0])}", where=str(path), fix=FIX
        ) from error
    _require_images(columns, record, path)
    return columns


def _require_shape(file: Any, record: Record, path: Path) -> None:
    """Checks the footer before anything is read: a damaged one could claim any size."""
    names, rows = file.schema_arrow.names, file.metadata.num_rows
    if len(set(names)) < len(names) or len(names) > _COLUMNS:
        raise _wrong(path, "a column occurs twice, or there are more than a thousand")
    missing = [name for name in ("id", *_needed(record, names)) if name not in names]
    if missing:
        raise _wrong(path, f"there is no column {missing[0]}")
    if not rows:
        raise _wrong(path, "it has no rows")
    if sum(file.metadata.row_group(index).total_byte_size for index in range(file.num_row_groups)) > _BYTES:
        raise _wrong(path, f"it decompresses to more than {_BYTES:,} bytes")
    if record.n < 1:
        raise _wrong(path, f"n: the record says {record.n} images")
    repeated = record.spec.repeated
    several = repeated or "seed" in names
    if (rows < record.n or (rows % record.n and not repeated)) if several else rows != record.n:
        raise _wrong(path, f"n: the record says {record.n} images, the per-sample file holds {rows}")


def _needed(record: Record, names: list[str]) -> tuple[str, ...]:
    """The first of the task's column sets whose first column exists; else the first set."""
    sets = record.spec.columns
    return next((columns for columns in sets if columns[0] in names), sets[0])


def _rules(record: Record) -> dict[str, ColumnRule]:
    """The task's rules, with the number of classes filled in."""
    names = record.protocol.classnames if isinstance(record.protocol, ClassificationProtocol) else None
    most = (len(names) if names else CLASSES) - 1
    rules = record.spec.rules
    return {name: replace(rule, high=most) if rule.classes else rule for name, rule in rules.items()}


_TEXTS = {"id": False, "candidate": False, "references": True}
"""Text columns, and whether each row has a list of texts."""


def _require_columns(table: Any, record: Record, path: Path) -> None:
    """Checks types, gaps and ranges; an unknown column must hold finite numbers."""
    import pyarrow as pa

    rules, known = _rules(record), pa.types
    for field in table.schema:
        kind, name = field.type, field.name
        cells = table.column(name).combine_chunks()
        if cells.null_count:
            raise _wrong(path, "an empty cell", name, int(np.argmax(cells.is_null().to_numpy(zero_copy_only=False))))
        lists = known.is_list(kind) or known.is_large_list(kind) or known.is_fixed_size_list(kind)
        inner = cells.flatten() if lists else cells
        if inner.null_count:
            raise _wrong(path, "an empty cell in a list", name)
        text = known.is_string(inner.type) or known.is_large_string(inner.type)
        number = known.is_integer(inner.type) or known.is_floating(inner.type)
        if name in _TEXTS and (not text or lists != _TEXTS[name]):
            raise _wrong(path, f"expected text, found {kind}", name)
        rule = rules.get(name)
        if rule and (not number or lists != rule.lists or (rule.whole and not known.is_integer(inner.type))):
            what = "whole numbers" if rule.whole else "numbers"
            raise _wrong(path, f"expected {'lists of ' if rule.lists else ''}{what}, found {kind}", name)
        if name not in _TEXTS:
            if not number:
                raise _wrong(path, f"expected numbers, found {kind}", name)
            _require_range(cells, inner, rule or ColumnRule(), name, path)


def _require_range(cells: Any, inner: Any, rule: ColumnRule, name: str, path: Path) -> None:
    import pyarrow.compute as pc

    values = numpy_values(inner)
    slack = 0.0 if rule.whole else _SLACK
    good = np.isfinite(values) & (values >= rule.low - slack) & (values <= rule.high + slack)
    if not good.all():
        at = int(np.argmin(good))
        bounds = "" if rule.low == -inf else f", from {rule.low:g}" + (f" to {rule.high:g}" if rule.high < inf else "")
        row = at if inner is cells else None
        raise _wrong(
            path, f"{values[at]} is not a {'class or count' if rule.whole else 'finite number'}{bounds}", name, row
        )
    if rule.even and len(set(pc.list_value_length(cells).to_pylist())) > 1:
        raise _wrong(path, "its lists differ in length", name)


def _require_images(columns: Mapping[str, Any], record: Record, path: Path) -> None:
    """Checks for as many images as the record says, each once, or once per seed; if rows repeat, at least once."""
    ids = columns["id"]
    images, counts = np.unique(ids.astype(str), return_counts=True)
    if len(images) != record.n:
        raise _wrong(path, f"n: the record says {record.n} images, the per-sample file holds {len(images)}")
    if record.spec.repeated:
        return
    seeds, of_seed = np.unique(columns["seed"], return_counts=True) if "seed" in columns else (np.zeros(1), None)
    even = of_seed is None or bool((of_seed == record.n).all())
    pairs = len(set(zip(ids.tolist(), columns["seed"].tolist(), strict=True))) if of_seed is not None else len(images)
    if not even or not bool((counts == len(seeds)).all()) or pairs != len(ids):
        raise _wrong(path, f"an image occurs twice: {visible(str(images[int(np.argmax(counts))]))}", "id")


def _wrong(path: Path, what: str, column: str | None = None, row: int | None = None) -> InputError:
    place = (f", column {visible(column)}" if column else "") + (f", row {row}" if row is not None else "")
    return InputError(f"the per-sample file is not what its record says: {what}", where=f"{path}{place}", fix=FIX)
