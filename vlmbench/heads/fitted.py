"""Fitted heads in the cache: a fit that was made before is read, and gives the same record.

``heads/<key>.safetensors`` has the arrays of a head, its part of a record and the warnings of its fit, written whole or
not at all, with a checksum. A head of another package is always fitted: a change of its code would not be noticed.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from vlmbench.features.store import array_sha256
from vlmbench.features.table import BLOCK
from vlmbench.features.tensors import write_tensors
from vlmbench.foundations.hashing import digest, sha256_file
from vlmbench.foundations.notes import damaged
from vlmbench.foundations.progress import Advance, Reporter
from vlmbench.foundations.versions import package_versions
from vlmbench.heads.spec import FittedHead, HeadData, HeadSpec


def fit_once(spec: HeadSpec, data: HeadData, cache_dir: Path) -> tuple[FittedHead, bool]:
    """The head fitted to `data`, and whether it was in the cache."""
    own = getattr(spec.fit, "__module__", "").startswith(__package__ + ".")
    if spec.restore is None or not own:
        return spec.fit(data), False
    facts = head_key(spec, data)
    path = cache_dir / "heads" / f"{digest(facts)[:32]}.safetensors"
    found = _read(path)
    stored = found is not None
    if found is None:
        heard = _Heard(data.reporter)
        head = spec.fit(replace(data, reporter=heard))
        arrays = {
            name: np.ascontiguousarray(value) for name, value in vars(head).items() if isinstance(value, np.ndarray)
        }
        found = arrays, {"detail": dict(head.detail), "warnings": heard.warnings}
        about = json.dumps(found[1])
        write_tensors(path, arrays, {"about": about, "sha256": _checksum(path, arrays, about)})
    else:
        for warning in found[1]["warnings"]:
            data.reporter.warn(warning)
    return spec.restore(data, found[0], found[1]["detail"]), stored


def head_key(spec: HeadSpec, data: HeadData) -> dict[str, Any]:
    """Everything that decides a fit, its arrays by their digests; a change of any value is another file."""
    text = data.zero_shot
    weights = None if text is None else text.weights if isinstance(text.weights, np.ndarray) else text.weights.toarray()
    solver = ["scikit-learn"] if data.settings.get("solver") == "sklearn" else []
    arrays = {"x": data.x, "y": data.y, "x_val": data.x_val, "y_val": data.y_val, "text": weights}
    return {
        **{name: None if value is None else _sha256(value) for name, value in arrays.items()},
        "scale": None if text is None else [text.logit_scale, text.logit_bias],
        "head": spec.name,
        "settings": dict(data.settings),
        "classes": data.classes,
        "metric": data.metric,
        "seed": data.seed,
        "device": data.device.partition(":")[0],
        "label": data.label,
        "versions": package_versions("vlmbench-eval", "numpy", "scipy", "torch", *solver),
        "code": _code(),
    }


@cache
def _code() -> str:
    """Digest of the modules of this package."""
    return digest([[path.name, sha256_file(path)] for path in sorted(Path(__file__).parent.glob("*.py"))])


def _sha256(values: Any) -> list[Any]:
    """Shape, type and SHA-256 of an array or a table, read a block at a time."""
    found, rows = hashlib.sha256(), max(1, BLOCK * len(values) // max(1, values.nbytes))
    for first in range(0, len(values), rows):
        found.update(np.ascontiguousarray(values[first : first + rows]).data)
    return [list(values.shape), values.dtype.str, found.hexdigest()]


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Arrays and what is said of them; none where they are absent or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if facts["sha256"] == _checksum(path, arrays, facts["about"]):
            return arrays, json.loads(facts["about"])
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        pass
    damaged(path)
    return None


def _checksum(path: Path, arrays: Mapping[str, NDArray[Any]], about: str) -> str:
    parts = [
        [name, list(arrays[name].shape), arrays[name].dtype.str, array_sha256(arrays[name])] for name in sorted(arrays)
    ]
    return digest([path.stem, parts, about])


@dataclass
class _Heard:
    """A reporter that passes everything on and keeps the warnings."""

    reporter: Reporter

    def __post_init__(self) -> None:
        self.warnings: list[str] = []

    def task(self, label: str, total: int | None) -> AbstractContextManager[Advance]:
        return self.reporter.task(label, total)

    def note(self, message: str) -> None:
        self.reporter.note(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self.reporter.warn(message)
