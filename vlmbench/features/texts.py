"""The text side of the store: one small file a prompt set and model, with the model's logit scale beside it."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vlmbench.encoders.base import Scale
from vlmbench.features.store import array_sha256
from vlmbench.foundations.atomic import atomic_path

_NAME = "values"


def read_texts(cache_dir: Path, key: str) -> tuple[np.ndarray, Scale] | None:
    """What `write_texts` stored under `key`; none where it is absent or damaged."""
    try:
        with safe_open(_path(cache_dir, key), framework="numpy") as handle:
            facts = handle.metadata() or {}
            values: np.ndarray = handle.get_tensor(_NAME)
        if facts.get("key") != key or facts.get("sha256") != _digest(values):
            return None
        return values, Scale(float(facts["scale"]), float(facts["bias"]))
    except (OSError, SafetensorError, ValueError, KeyError):
        return None


def write_texts(cache_dir: Path, key: str, values: np.ndarray, scale: Scale) -> None:
    """Stores values [M, D] float32 and the model's scale under `key` (a digest of all that decides them).

    Raises:
        OutputError: it cannot be written.
    """
    values = np.ascontiguousarray(values, np.float32)
    facts = {"key": key, "sha256": _digest(values), "scale": repr(scale.scale), "bias": repr(scale.bias)}
    with atomic_path(_path(cache_dir, key)) as temporary:
        try:
            save_file({_NAME: values}, temporary, metadata=facts)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _digest(values: np.ndarray) -> str:
    return array_sha256(values)


def _path(cache_dir: Path, key: str) -> Path:
    return cache_dir / "texts" / f"{key[:32]}.safetensors"
