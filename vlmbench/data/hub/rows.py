"""Rows as images and labels: of a `datasets.Dataset`, or of an index, whose columns are lists.

The types of columns are plain values here, as `datasets.Features.to_dict` gives them: importing that library takes
longer than all that a repeated command does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.data.base import MOST_CLASSES, DatasetInfo
from vlmbench.data.captions.columns import CAPTIONS, IDS, caption_columns
from vlmbench.data.images import FIX, BadImage, Raw, read_image
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural

_IMAGES = ("image", "img", "webp", "png", "jpg", "jpeg", "picture", "photo")
_LABELS = ("label", "labels", "cls", "class", "fine_label", "category", "target", "npy")


@dataclass(frozen=True)
class Columns:
    """Which columns hold the image, and the label or the captions."""

    image: str
    label: str = ""
    captions: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What an index of these columns is kept under."""
        return digest([self.image, self.label, list(self.captions)])[:16]


def find_columns(
    features: Mapping[str, Any], image: str | None, label: str | None, captions: Sequence[str], id: str
) -> Columns:
    """The image and label columns (or those of captions): those requested, else by type and usual name. Raises
    `InputError` (all columns are named) where there is none, or several without a usual name."""
    kinds = {name: _fact(feature, "_type") for name, feature in features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"] or [
        name for name in features if name in _IMAGES and _fact(features[name], "dtype") in {"binary", "large_binary"}
    ]
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"] or [
        name for name in _LABELS if name in features
    ]
    requested = next((name for name in image.split("|") if name in features), image) if image else None
    found = _choose("image", requested, images, _IMAGES, features, id)
    texts = tuple(captions)
    if not texts and label is None and not labels:
        texts = caption_columns(features)
    if texts:
        for name in texts:
            _choose("caption", name, [], CAPTIONS, features, id)
        return Columns(found, captions=texts)
    return Columns(found, _choose("label", label, labels, _LABELS, features, id))


def _choose(what: str, requested: str | None, found: list[str], usual: tuple[str, ...], features: Any, id: str) -> str:
    columns = ", ".join(map(visible, features))
    if requested is not None:
        if requested in features:
            return requested
        raise InputError(
            f"{visible(id)} has no column {visible(requested)}; it has {columns}", where=id, fix="name another column"
        )
    if len(found) == 1:
        return found[0]
    for name in usual:
        if name in found:
            return name
    count = "no" if not found else "several"
    raise InputError(
        f"{visible(id)} has {count} {what} columns; its columns are {columns}",
        where=id,
        fix=f"vlmbench reads an Image column and a ClassLabel, such as {usual[0]}",
    )


def several(feature: Any) -> bool:
    """Whether a column of this type holds lists."""
    return _fact(feature, "feature") is not None


def _fact(feature: Any, name: str) -> Any:
    """What the type of a column says, if it does: ``_type``, ``dtype``, ``names``, ``feature`` (of a list)."""
    return feature.get(name) if isinstance(feature, Mapping) else None


def _cells(table: Any, name: str) -> list[Any]:
    """A column."""
    return list(table[name] if isinstance(table, dict) else table.with_format(None)[name])


def captions(table: Any, columns: Sequence[str], id: str) -> tuple[tuple[str, ...], ...]:
    """[N] captions of each image: from a list, from several columns, or from the lines of one text. Raises
    `InputError`, with the row, where an image has none."""
    values = [_cells(table, name) for name in columns]
    found = []
    for row, cells in enumerate(zip(*values, strict=True)):
        texts: list[str] = []
        for cell in cells:
            parts = cell if isinstance(cell, list) else str(cell or "").splitlines()
            texts += [str(part).strip() for part in parts if part and str(part).strip()]
        if not texts:
            raise InputError("an image without a caption", where=f"{id}, row {row}", fix="choose a captioned split")
        found.append(tuple(texts))
    return tuple(found)


def own_ids(table: Any) -> tuple[str, ...] | None:
    """[N] the source's own ids, so that captions can be scored elsewhere; None where an id occurs twice."""
    for name in IDS:
        if name in (table if isinstance(table, dict) else table.column_names):
            values = _cells(table, name)
            if None not in values and len(set(map(str, values))) == len(values):
                return tuple(map(str, values))
    return None


def class_names(feature: Any, table: Callable[[], Any], columns: Columns, id: str) -> tuple[str, ...]:
    """The classes as the source spells them: a ClassLabel's names, else the distinct labels in natural order."""
    names = _fact(_fact(feature, "feature") or feature, "names")
    if names:
        return tuple(map(str, names))
    values = _cells(table(), columns.label)
    distinct = {item for value in values for item in (value if isinstance(value, list) else [value])}
    numbers = bool(distinct) and all(isinstance(value, int) for value in distinct)
    if len(distinct) > len(values) // 2 and len(distinct) > 1000:
        why = f"{len(distinct)} distinct values"
    elif numbers and max(distinct) >= MOST_CLASSES:
        why = f"one value is {max(distinct):,}"
    else:
        return tuple(map(str, range(max(distinct) + 1) if numbers else sorted(map(str, distinct), key=natural)))
    raise InputError(
        f"the column {columns.label} of {visible(id)} is not a class label: {why}", where=id, fix="name another column"
    )


def label_matrix(table: Any, columns: Columns, info: DatasetInfo, id: str) -> np.ndarray:
    """Labels [N] int64, or [N, C] uint8 of a multi-label set. Raises `InputError`, with the row, where a label is none
    of the classes."""
    values = _cells(table, columns.label)
    classes = len(info.raw_classnames)
    if values and isinstance(values[0], list | bytes):
        return _several(values, classes, id)
    index = {name: place for place, name in enumerate(info.raw_classnames)}
    found = np.empty(len(values), np.int64)
    for row, value in enumerate(values):
        place = value if isinstance(value, int) and not isinstance(value, bool) else index.get(str(value), -1)
        if not 0 <= place < classes:
            raise InputError(
                f"the label {visible(str(value))} is not one of the {classes} classes",
                where=f"{id}, row {row}",
                fix="choose a labelled split",
            )
        found[row] = place
    return found


def _several(values: list[Any], classes: int, id: str) -> np.ndarray:
    found = np.zeros((len(values), classes), np.uint8)
    for row, value in enumerate(values):
        if len(value) == classes and set(value) <= {0, 1}:
            found[row] = value
        elif all(isinstance(item, int) and 0 <= item < classes for item in value):
            found[row, list(value)] = 1
        else:
            raise InputError(
                "labels that are neither class indices nor zeros and ones",
                where=f"{id}, row {row}",
                fix="name another column",
            )
    return found


def row_names(split: str, paths: Sequence[str | None]) -> tuple[str, ...]:
    """[N] a name for each image: row number, and the file's name where one is known."""
    width = len(str(max(len(paths) - 1, 0)))
    return tuple(f"{split}-{row:0{width}d}" + (f"/{Path(path).name}" if path else "") for row, path in enumerate(paths))


@dataclass(frozen=True)
class Images:
    """The image column, undecoded."""

    table: Any
    column: str
    commit: str

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def _cells(self) -> Any:
        """The column as Arrow holds it: a struct of bytes and path, or bytes."""
        return self.table.select_columns([self.column]).with_format("arrow")

    def _cell(self, index: int) -> tuple[bytes | None, str | None]:
        value = self._cells[index].column(0)[0].as_py()
        return (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)

    def read(self, index: int) -> Raw:
        """The image's encoded bytes."""
        data, path = self._cell(index)
        if data is not None:
            return data
        if path is None:
            raise BadImage(f"row {index} has no image", where=f"row {index}", fix=FIX)
        return read_image(Path(path))

    @cached_property
    def _paths(self) -> list[str | None]:
        import pyarrow as pa

        column = self._cells[:].column(0) if len(self.table) else pa.chunked_array([pa.array([], pa.string())])
        if not pa.types.is_struct(column.type):
            return [None] * len(self.table)
        found: list[str | None] = []
        for chunk in column.chunks:
            found += chunk.field("path").to_pylist() if chunk.type.get_field_index("path") >= 0 else [None] * len(chunk)
        return found

    def names(self, split: str) -> tuple[str, ...]:
        """A name for each image; see `row_names`."""
        return row_names(split, self._paths)

    def stamp(self) -> str | None:
        """The Arrow files' paths, sizes and times, and those of the images that lie beside them."""
        facts = []
        for name in [*(item["filename"] for item in self.table.cache_files), *filter(None, self._paths)]:
            try:
                found = Path(name).stat()
            except OSError:
                continue  # a path that only names where an image came from; its bytes are in the Arrow file
            facts.append((name, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        return digest([self.commit, self.table._fingerprint, facts]) if facts else None
