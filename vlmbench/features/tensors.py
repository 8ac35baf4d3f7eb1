"""Arrays in a safetensors file, whole or not at all.

The format's own library writes to a temporary file of its own, which a killed run would leave, so the file is laid out
here: eight bytes with the length of a JSON header, the header, the arrays one after the other
(https://github.com/huggingface/safetensors, "Format").
"""

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlmbench.features.table import BLOCK
from vlmbench.foundations.atomic import atomic_path

_NAMES = {
    "f8": "F64",
    "f4": "F32",
    "f2": "F16",
    "i8": "I64",
    "i4": "I32",
    "i2": "I16",
    "i1": "I8",
    "u1": "U8",
    "b1": "BOOL",
}
_KINDS = {kind: name for name, kind in _NAMES.items()}
_ALIGNED = 8


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes arrays and tables by name, and text about them; a block at a time.

    Raises:
        OutputError: the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    arrays = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))  # each aligned to its items
    at = 0
    for name, array in arrays:
        kind = _NAMES[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNED)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in arrays:
            rows = max(1, BLOCK * len(array) // max(1, array.nbytes))
            for at in range(0, len(array), rows):
                file.write(np.ascontiguousarray(array[at : at + rows], array.dtype.newbyteorder("<")).data)


def map_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays by name, mapped from the file, and the text about them; nothing but the header is read.

    Raises:
        OSError: the file cannot be read.
        SafetensorError: its header is damaged.
        ValueError: it has numbers of a kind that NumPy lacks (bfloat16), or a damaged header.
    """
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as handle:  # checks the header, offsets and shapes included
        about = handle.metadata() or {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    unknown = [name for name, entry in header.items() if entry["dtype"] not in _KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]} is {header[unknown[0]]['dtype']}, which NumPy does not have")
    return {
        name: map_array(path, "<" + _KINDS[entry["dtype"]], entry["shape"], 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }, about


def map_array(
    path: Path, dtype: Any, shape: Sequence[int], offset: int, order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """An array mapped from a file, read-only; an empty one, of which there is nothing to map, in memory."""
    if not prod(shape):
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset, tuple(shape), order)
