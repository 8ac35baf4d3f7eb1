"""``file:LIST.csv`` (or .tsv, .jsonl): a line an image, with its path and its label.

The path is in the column file_name, path, filepath, filename, image_path or image, relative to the list's directory;
the label in label, class, classname, category, target or cls, a name or a number; a column split may name the split.
Lines without a label are left out where images are scored, and counted; `unlabelled` gives their images.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vlmbench.data.base import ALIASES, ALL, DatasetInfo, OpenDataset, readable_names
from vlmbench.data.local.folder import ImageRow, of_rows
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import csv_rows, json_lines, read_text
from vlmbench.foundations.paths import on_disk
from vlmbench.foundations.text import tidy, visible
from vlmbench.records.store import natural

SUFFIXES = (".csv", ".tsv", ".jsonl")
_PATHS = ("file_name", "path", "filepath", "filename", "image_path", "image")
_LABELS = ("label", "class", "classname", "category", "target", "cls")
_FIX = "name the columns file_name and label"


class ListRow(NamedTuple):
    """An image of a list; `label` is empty where the list gives none."""

    split: str
    file: str
    label: str
    group: str


def open_list(id: str, path: Path, *, enclosed: bool = False, group: str = "") -> OpenDataset:
    """The dataset of a list of labelled image files, in the list's order. Raises `InputError` where a line lacks a
    path, no line has a label or a group, or there are fewer than two classes. `enclosed`: images outside the list's
    directory are refused (the list came in an archive). `group` is the column that names each image's group (a
    patient); empty: images are not grouped."""
    whole = read_list(path, enclosed=enclosed, group=group)
    found = [row for row in whole if row.label]
    if whole and not found:
        raise InputError("no line has a label", where=str(path), fix=_FIX)
    if group and not any(row.group for row in whole):
        raise InputError(f"no line has a value in the column {visible(group)}", where=str(path), fix="--group COLUMN")
    raw = tuple(sorted({row.label for row in found}, key=natural))
    if len(raw) < 2:
        what = f"only one class, {visible(raw[0])}: nothing to classify" if raw else "no images in the list"
        raise InputError(what, where=str(path), fix=_FIX)
    index = {label: place for place, label in enumerate(raw)}
    times: Counter[tuple[str, str]] = Counter()
    rows = []
    for split, file, label, own in found:
        times[split, file] += 1
        number = times[split, file]
        rows.append(ImageRow(split, file if number == 1 else f"{file}#{number}", file, index[label], group=own))
    empty = len(whole) - len(found)
    notes = (f"{empty:,} of {len(whole):,} lines have no label and are left out: vlmbench predict takes them",)
    info = DatasetInfo(id, None, (), readable_names(raw), raw_classnames=raw, notes=notes if empty else ())
    return of_rows(info, path.parent, rows)


def unlabelled(path: Path) -> tuple[list[Path], int]:
    """The images of a list that have no label, all of them if every one has, and how many it lists. Raises `InputError`
    where a line lacks a path."""
    rows = read_list(path)
    chosen = [row for row in rows if not row.label] or rows
    return [on_disk(path.parent, row.file) for row in chosen], len(rows)


def read_list(path: Path, *, enclosed: bool = False, group: str = "") -> list[ListRow]:
    """The rows of a list, labelled or not; arguments as for `open_list`. Raises `InputError` where a line lacks a
    path."""
    home = path.parent.resolve() if enclosed else None
    return [_read(values, f"{path}, {place}", home, group) for place, values in table_rows(path, what="list", fix=_FIX)]


def _read(values: Mapping[str, object], where: str, home: Path | None, group: str) -> ListRow:
    """A row; the file has to be below `home`, where that is given."""
    file = next((values[name] for name in _PATHS if values.get(name)), None)
    labels = [values[name] for name in _LABELS if values.get(name) not in (None, "")]
    label, own = (labels or [""])[0], values.get(group) if group else None
    wrong = ["a line without a path"] * (not isinstance(file, str))
    for what, value in (("label", label), ("group", "" if own is None else own)):
        wrong += [f"a {what} that is no name"] * (isinstance(value, bool) or not isinstance(value, str | int))
    if wrong or not isinstance(file, str):
        raise InputError(wrong[0], where=where, fix=_FIX)
    if not labels and not any(name in values for name in _LABELS):
        raise InputError("a line without a path and a label", where=where, fix=_FIX)
    if "\0" in file:
        raise InputError(f"an invalid path: {visible(file)}", where=where, fix=_FIX)
    if home is not None and not (home / file).resolve().is_relative_to(home):
        raise InputError(f"an image outside the archive: {visible(file)}", where=where, fix="pack it with the list")
    split = tidy(str(values.get("split") or "")) or ALL
    return ListRow(ALIASES.get(split.lower(), split), file, tidy(str(label)), "" if own is None else tidy(str(own)))


def table_rows(path: Path, *, what: str, fix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and values of each row of a table with a line of column names (CSV, TSV), or of JSONL. Raises `InputError`
    where it cannot be read, or a line is malformed."""
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
