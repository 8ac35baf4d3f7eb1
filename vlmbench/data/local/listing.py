"""``file:LIST.csv`` (or .tsv, .jsonl): a line an image, with its path and its label.

The path is in the column file_name, path, filepath, filename, image_path or image, relative to the list's directory;
the label in label, class, classname, category, target or cls, a name or a number; a column split may name the split.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.data.base import ALIASES, ALL, DatasetInfo, Split, ordered_splits, readable_names
from vlmbench.data.local.folder import Files
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import csv_rows, json_lines, read_text
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural

SUFFIXES = (".csv", ".tsv", ".jsonl")
_PATHS = ("file_name", "path", "filepath", "filename", "image_path", "image")
_LABELS = ("label", "class", "classname", "category", "target", "cls")
_MEND = "name the columns file_name and label"


@dataclass(frozen=True)
class _Row:
    file: str
    label: str
    split: str


@dataclass(frozen=True)
class Listing:
    """A list of labelled image files."""

    id: str
    path: Path
    enclosed: bool = False
    """Whether images outside the list's directory are refused (a list that came in an archive)."""

    @cached_property
    def _rows(self) -> list[_Row]:
        rows = [self._row(values, place) for place, values in table_rows(self.path, what="list", fix=_MEND)]
        if not rows:
            raise InputError("no images in the list", where=str(self.path), fix=_MEND)
        return rows

    def _row(self, values: Mapping[str, object], place: str) -> _Row:
        where = f"{self.path}, {place}"
        file = next((values[name] for name in _PATHS if values.get(name)), None)
        label = next((values[name] for name in _LABELS if values.get(name) not in (None, "")), None)
        if not isinstance(file, str) or not isinstance(label, str | int) or isinstance(label, bool):
            raise InputError("a line without a path and a label", where=where, fix=_MEND)
        if "\0" in file:
            raise InputError(f"a path that no file can have: {visible(file)}", where=where, fix=_MEND)
        inside = (self.path.parent / file).resolve().is_relative_to(self.path.parent.resolve())
        if self.enclosed and not inside:
            raise InputError(f"an image outside the archive: {visible(file)}", where=where, fix="pack it with the list")
        split = str(values.get("split") or ALL)
        return _Row(file, str(label), ALIASES.get(split.lower(), split))

    @cached_property
    def info(self) -> DatasetInfo:
        """Splits and class names.

        Raises:
            InputError: a line lacks a path or a label, or there are fewer than two classes.
        """
        raw = tuple(sorted({row.label for row in self._rows}, key=natural))
        if len(raw) < 2:
            raise InputError(f"only one class, {visible(raw[0])}: nothing to classify", where=str(self.path), fix=_MEND)
        return DatasetInfo(
            id=self.id,
            revision=None,
            splits=ordered_splits(sorted({row.split for row in self._rows})),
            classnames=readable_names(raw),
            raw_classnames=raw,
        )

    def split(self, name: str) -> Split:
        """The images of a split, in the list's order."""
        index = {label: place for place, label in enumerate(self.info.raw_classnames)}
        rows = [row for row in self._rows if row.split == name]
        files = tuple(row.file for row in rows)
        seen: dict[str, int] = {}
        ids = []
        for file in files:
            seen[file] = seen.get(file, 0) + 1
            ids.append(file if seen[file] == 1 else f"{file}#{seen[file]}")
        labels = np.array([index[row.label] for row in rows], np.int64)
        return Split(name, tuple(ids), labels, Files(self.path.parent, files))


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
