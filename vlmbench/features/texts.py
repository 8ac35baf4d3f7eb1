"""The text side of the store: one small file a prompt set and model, with the model's logit scale beside it.

Sparse rows (`scipy.sparse.csr_array`) are stored as their numbers, columns and row ends.
"""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from scipy.sparse import csr_array, issparse

from vlmbench.encoders.base import Scale
from vlmbench.features.store import array_sha256
from vlmbench.features.tensors import write_tensors
from vlmbench.foundations.hashing import digest

_NAME = "values"
_SPARSE = ("data", "indices", "indptr")


def read_texts(cache_dir: Path, key: str) -> tuple[Any, Scale] | None:
    """What `write_texts` stored under `key`; none where it is absent or damaged."""
    try:
        with safe_open(_path(cache_dir, key), framework="numpy") as handle:
            facts = handle.metadata() or {}
            if "columns" in facts:
                parts = [handle.get_tensor(name) for name in _SPARSE]
                values: Any = csr_array(tuple(parts), shape=(len(parts[-1]) - 1, int(facts["columns"])))
            else:
                values = handle.get_tensor(_NAME)
        if facts.get("key") != key or facts.get("sha256") != _digest(values):
            return None
        return values, Scale(float(facts["scale"]), float(facts["bias"]))
    except (OSError, SafetensorError, ValueError, KeyError):
        return None


def write_texts(cache_dir: Path, key: str, values: Any, scale: Scale) -> None:
    """Stores values [M, D] float32, dense or sparse, and the scale, under `key` (a digest of all that decides them).

    Raises:
        OutputError: it cannot be written.
    """
    values = values.astype(np.float32) if issparse(values) else np.ascontiguousarray(values, np.float32)
    facts = {"key": key, "sha256": _digest(values), "scale": repr(scale.scale), "bias": repr(scale.bias)}
    tensors = {name: getattr(values, name) for name in _SPARSE} if issparse(values) else {_NAME: values}
    if issparse(values):
        facts["columns"] = str(values.shape[1])
    write_tensors(_path(cache_dir, key), tensors, facts)


def _digest(values: Any) -> str:
    if issparse(values):
        return digest([values.shape[1], *(array_sha256(getattr(values, name)) for name in _SPARSE)])
    return array_sha256(values)


def _path(cache_dir: Path, key: str) -> Path:
    return cache_dir / "texts" / f"{key[:32]}.safetensors"
