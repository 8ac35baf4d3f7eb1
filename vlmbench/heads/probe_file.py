"""A probe kept in a file: safetensors with the coefficients, and in its header everything needed to use them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.features.tensors import write_tensors
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import json_of, regular_file
from vlmbench.foundations.hashing import digest, sha256_bytes
from vlmbench.heads.spec import LinearHead
from vlmbench.metrics.rows import normalise

FORMAT = "vlmbench-probe-2"
"""The first had no checksum; such a file is refused."""
_TEXTS = ("model", "weights_sha256", "layer", "dataset")


@dataclass(frozen=True)
class Probe:
    """A probe that is ready to use.

    Attributes:
        head: coefficients `[C, D]` and intercepts `[C]`.
        classnames: `[C]`.
        model: the encoder as the user named it.
        weights_sha256: hash of the encoder's weights.
        layer: ``proj`` or ``pre_proj``.
        normalise: whether features are brought to unit length first.
        dataset: what it was trained on.
    """

    head: LinearHead
    classnames: tuple[str, ...]
    model: str
    weights_sha256: str
    layer: str
    normalise: bool
    dataset: str

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities `[N, C]` of un-normalised features `[N, D]`."""
        return self.head.probabilities(normalise(features) if self.normalise else features)


def save_probe(path: Path, probe: Probe) -> None:
    """Writes a probe, whole or not at all."""
    about: dict[str, Any] = {
        "format": FORMAT,
        "classnames": list(probe.classnames),
        **{name: getattr(probe, name) for name in _TEXTS},
        "normalise": probe.normalise,
        "c": probe.head.detail.get("c"),
        "multilabel": probe.head.multilabel,
    }
    tensors: dict[str, NDArray[Any]] = {
        "coef": np.ascontiguousarray(probe.head.coef),
        "intercept": np.ascontiguousarray(probe.head.intercept),
    }
    about["sha256"] = _checksum(about, tensors)
    write_tensors(path, tensors, {"vlmbench": json.dumps(about, sort_keys=True, ensure_ascii=False)})


def load_probe(path: Path) -> Probe:
    """Reads a probe; `InputError` where it is none, or a damaged one."""
    from safetensors import SafetensorError, safe_open

    regular_file(path, what="probe", fix="vlmbench linear-probe … --save-probe FILE")
    try:
        with safe_open(path, framework="numpy") as file:
            about = json_of((file.metadata() or {}).get("vlmbench", "null"), str(path))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if about["format"] != FORMAT:
            raise KeyError("format")
        if about.pop("sha256") != _checksum(about, tensors):
            raise KeyError("sha256")
        coef, intercept = tensors["coef"], tensors["intercept"]
        if coef.ndim != 2 or intercept.shape != coef.shape[:1] or len(about["classnames"]) != len(coef):
            raise KeyError("shapes")
        return Probe(
            head=LinearHead(coef, intercept, bool(about["multilabel"]), {"c": about["c"]}),
            classnames=tuple(map(str, about["classnames"])),
            normalise=bool(about["normalise"]),
            **{name: str(about[name]) for name in _TEXTS},
        )
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            "not a probe saved by this version of vlmbench, or a damaged one",
            where=str(path),
            fix="vlmbench linear-probe … --save-probe FILE",
        ) from error


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of what a probe file says of itself and of its arrays."""
    arrays = [
        [name, list(value.shape), value.dtype.str, sha256_bytes(value.tobytes())] for name, value in tensors.items()
    ]
    return digest([dict(about), sorted(arrays)])
