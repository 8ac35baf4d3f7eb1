"""Precomputed features: ``--features FILE.npz|.safetensors`` with x_train y_train [x_val y_val] x_test y_test."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.base import MOST_CLASSES
from vlmbench.features.table import Table
from vlmbench.features.tensors import map_array, map_tensors
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import regular_file, unpacked_limit
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible

SPLITS = ("train", "val", "test")
_LAYOUT = "the file contains x_train [N, D], y_train [N], x_test, y_test and, if there is one, x_val, y_val"


_SMALL = 1024**3
"""Bytes that any archive of features may unpack to: zeros after a ReLU compress well."""


@dataclass(frozen=True)
class FeaturesFile:
    """The content of a features file.

    Attributes:
        x: features by split, `[N, D]` float32, on disk unless they are compressed there.
        y: labels by split, `[N]` int64, or `[N, C]` uint8 where an image can have several.
        classnames: `[C]`: the names if labels are text, else the numbers.
    """

    x: dict[str, Table]
    y: dict[str, NDArray[Any]]
    classnames: tuple[str, ...]


def read_features(path: Path, reporter: Reporter) -> FeaturesFile:
    """Checks a features file; nothing in it is ever unpickled.

    Labels can be whole numbers, text (sorted; every split counts) or rows of 0 and 1. Arrays of a safetensors file and
    of an uncompressed .npz (`np.savez`) stay on disk; compressed ones are held in memory.

    Raises:
        AbsentError: there is no such file.
        InputError: it is not such a file, lacks an array, or its arrays do not match.
    """
    arrays = _load(regular_file(path, what="features file"), reporter)
    present = [split for split in SPLITS if f"x_{split}" in arrays or f"y_{split}" in arrays]
    missing = [
        name for split in {*present, "train", "test"} for name in (f"x_{split}", f"y_{split}") if name not in arrays
    ]
    if missing:
        raise InputError(f"{sorted(missing)[0]} is missing", where=str(path), fix=_LAYOUT)
    x = {split: _features(arrays[f"x_{split}"], f"x_{split}", path) for split in present}
    widths = {split: table.shape[1] for split, table in x.items()}
    if len(set(widths.values())) > 1:
        words = ", ".join(f"x_{split} {width}" for split, width in widths.items())
        raise InputError(f"the splits have different numbers of features: {words}", where=str(path), fix=_LAYOUT)
    y, classnames = _labels({split: arrays[f"y_{split}"] for split in present}, path)
    for split in present:
        if len(x[split]) != len(y[split]):
            raise InputError(
                f"x_{split} has {len(x[split])} rows and y_{split} has {len(y[split])}", where=str(path), fix=_LAYOUT
            )
    return FeaturesFile(x, y, classnames)


def _load(path: Path, reporter: Reporter) -> dict[str, NDArray[Any]]:
    try:
        if path.suffix == ".safetensors":
            return map_tensors(path)[0]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(item.file_size for item in archive.infolist())
                if unpacked > unpacked_limit(path.stat().st_size, small=_SMALL):
                    raise ValueError(f"it unpacks to {unpacked:,} bytes: refused as a decompression bomb")
                arrays = {item.filename[:-4]: item for item in archive.infolist() if item.filename.endswith(".npy")}
                found = {name: _member(path, archive, item) for name, item in arrays.items()}
                packed = sum(item.file_size for item in arrays.values() if item.compress_type)
            if packed > _SMALL:
                reporter.warn(
                    f"{visible(path.name)} is compressed: {packed / 2**30:.1f} GiB of it are held in memory; "
                    "arrays from np.savez, without compression, stay on disk"
                )
            return found
        reason = "neither .safetensors nor an .npz archive"
    except Exception as error:  # zip, NumPy and safetensors raise different errors on a damaged file
        reason = visible(str(error))
    objects = reason.startswith("Object arrays")
    raise InputError(
        "not readable without pickle: an array of Python objects" if objects else f"not readable: {reason}",
        where=str(path),
        fix="np.savez(FILE, x_train=…, y_train=…, x_test=…, y_test=…)"
        + ("; labels are numbers or text, not objects" if objects else ""),
    )


def _member(path: Path, archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> NDArray[Any]:
    """An array of an .npz: mapped, its checksum verified, if it is stored uncompressed; else in memory."""
    with archive.open(item) as file:
        if item.compress_type:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, columns_first, dtype = header(file)
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
        start = file.tell()
        while file.read(2**20):
            pass  # at its end zipfile compares the checksum
    with open(path, "rb") as raw:
        raw.seek(item.header_offset + 26)  # the lengths of name and extra field; APPNOTE.TXT 4.3.7
        start += raw.tell() + 4 + sum(int.from_bytes(raw.read(2), "little") for _ in range(2))
    return map_array(path, dtype, shape, start, "F" if columns_first else "C")


def _features(table: NDArray[Any], name: str, path: Path) -> Table:
    if table.ndim != 2 or table.dtype.kind not in "fiu" or not table.size:
        raise InputError(
            f"{name} is {table.dtype} of shape {table.shape}, not [N, D] numbers", where=str(path), fix=_LAYOUT
        )
    found = Table([table])
    wrong = np.concatenate([~np.isfinite(block).all(axis=1) for block in found.blocks()])
    if wrong.any():
        raise InputError(
            f"{name} has NaN or infinite features in {wrong.sum()} rows",
            where=f"{path}, {name}, row {wrong.argmax()} (counted from 0)",
            fix="encode these images again, in single precision, or leave them out",
        )
    return found


def _labels(given: dict[str, NDArray[Any]], path: Path) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    kinds = {labels.dtype.kind for labels in given.values()}
    shapes = {labels.shape[1:] for labels in given.values()}
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
        raise InputError("the labels of the splits differ in shape", where=str(path), fix=_LAYOUT)
    if kinds <= {"U", "S"} and shapes == {()}:
        text = {split: np.asarray(labels).astype(np.str_) for split, labels in given.items()}
        names = np.unique(np.concatenate(list(text.values())))
        return {split: np.searchsorted(names, labels) for split, labels in text.items()}, tuple(map(str, names))
    whole = all(
        labels.dtype.kind in "iub" or np.array_equal(labels, np.round(labels))
        for labels in given.values()
        if labels.dtype.kind in "iubf"
    )
    if not kinds <= {"i", "u", "b", "f"} or not whole:
        raise InputError("labels must be whole numbers, or text", where=str(path), fix=_LAYOUT)
    numbers = {split: labels.astype(np.int64) for split, labels in given.items()}
    low = min(int(labels.min(initial=0)) for labels in numbers.values())
    top = max(int(labels.max(initial=0)) for labels in numbers.values())
    if low < 0:
        raise InputError(f"a label is {low}", where=str(path), fix="number the classes from 0")
    if top >= MOST_CLASSES:
        raise InputError(f"a label is {top:,}", where=str(path), fix="number the classes from 0, without gaps")
    (shape,) = shapes
    if shape:
        if top > 1:
            raise InputError("rows of labels must be 0 and 1", where=str(path), fix=_LAYOUT)
        return {split: labels.astype(np.uint8) for split, labels in numbers.items()}, tuple(map(str, range(shape[0])))
    return numbers, tuple(map(str, range(top + 1)))
