"""Arrays in a safetensors file, whole or not at all.

The format's own library writes to a temporary file of its own, which a killed run would leave, so the file is laid out
here: eight bytes with the length of a JSON header, the header, the arrays one after the other
(https://github.com/huggingface/safetensors, "Format").
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

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
_ALIGNED = 8


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes arrays by name, and text about them.

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
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
