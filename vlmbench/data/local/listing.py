"""``file:LIST.csv`` (or .tsv, .jsonl): a line an image, with its path and its label.

The path is in the column file_name, path, filepath, filename, image_path or image, relative to the list's directory;
the label in label, class, classname, category, target or cls, a name or a number; a column split may name the split.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlmbench.data.base import ALIASES, ALL, DatasetInfo, OpenDataset, readable_names
from vlmbench.data.local.folder import ImageRow, of_rows
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import csv_rows, json_lines, read_text
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural

SUFFIXES = (".csv", ".tsv", ".jsonl")
_PATHS = ("file_name", "path", "filepath", "filename", "image_path", "image")
_LABELS = ("label", "class", "classname", "category", "target", "cls")
_FIX = "name the columns file_name and label"


def open_list(id: str, path: Path, *, enclosed: bool = False) -> OpenDataset:
    """The dataset of a list of labelled image files, in the list's order.

    Args:
        id: what a record calls it.
        path: the list.
        enclosed: whether images outside the list's directory are refused (a list that came in an archive).

    Raises:
        InputError: a line lacks a path or a label, or there are fewer than two classes.
    """
    home = path.parent.resolve() if enclosed else None
    found = [_read(values, f"{path}, {place}", home) for place, values in table_rows(path, what="list", fix=_FIX)]
    raw = tuple(sorted({label for _, _, label in found}, key=natural))
    if len(raw) < 2:
        what = f"only one class, {visible(raw[0])}: nothing to classify" if raw else "no images in the list"
        raise InputError(what, where=str(path), fix=_FIX)
    index = {label: place for place, label in enumerate(raw)}
    times: Counter[tuple[str, str]] = Counter()
    rows = []
    for split, file, label in found:
        times[split, file] += 1
        number = times[split, file]
        rows.append(ImageRow(split, file if number == 1 else f"{file}#{number}", file, index[label]))
    return of_rows(DatasetInfo(id, None, (), readable_names(raw), raw_classnames=raw), path.parent, rows)


def _read(values: Mapping[str, object], where: str, home: Path | None) -> tuple[str, str, str]:
    """Split, file and label of a row; the file has to be below `home`, where that is given."""
    file = next((values[name] for name in _PATHS if values.get(name)), None)
    label = next((values[name] for name in _LABELS if values.get(name) not in (None, "")), None)
    if not isinstance(file, str) or not isinstance(label, str | int) or isinstance(label, bool):
        raise InputError("a line without a path and a label", where=where, fix=_FIX)
    if "\0" in file:
        raise InputError(f"an invalid path: {visible(file)}", where=where, fix=_FIX)
    if home is not None and not (home / file).resolve().is_relative_to(home):
        raise InputError(f"an image outside the archive: {visible(file)}", where=where, fix="pack it with the list")
    split = str(values.get("split") or ALL)
    return ALIASES.get(split.lower(), split), file, str(label)


def table_rows(path: Path, *, what: str, fix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and values of each row of a table with a line of column names (CSV, TSV), or of JSONL.

    Raises:
        InputError: it cannot be read, or a line is none.
    """
    text = read_text(path, what=what)
    if path.suffix.lower() == ".jsonl":
        yield from json_lines(text, path, fix=fix)
        return
    header: list[str] = []
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    for place, row in csv_rows(text, path, delimiter=delimiter, strict=False, fix=fix):
        if header:
            yield place, dict(zip(header, row, strict=False))
        else:
            header = [name.strip() for name in row]
