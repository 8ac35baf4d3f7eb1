"""Where models run and in which floating-point type, found out without importing torch where that can be."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vlmbench.foundations.errors import AbsentError


def resolve_device(requested: str) -> str:
    """``auto`` becomes cuda, mps or cpu, whichever is there.

    Raises:
        AbsentError: the requested device is not there.
    """
    if requested == "cpu" or (requested == "auto" and not _accelerator_possible()):
        return "cpu"
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if requested == "auto":
        return next((name for name, present in there.items() if present), "cpu")
    if not there.get(requested, False):
        raise AbsentError(
            f"no {requested} device that this torch can use", where="--device", fix="--device cpu, or vlmbench doctor"
        )
    return requested


def resolve_precision(requested: str, device: str) -> str:
    """``auto`` becomes fp32 on a CPU and fp16 on a GPU."""
    if requested != "auto":
        return requested
    return "fp32" if device == "cpu" else "fp16"


def _accelerator_possible() -> bool:
    """False only where torch could not find one either: a CPU build, or no driver."""
    try:
        if version("torch").endswith("+cpu"):
            return False
    except PackageNotFoundError:
        return True
    return not sys.platform.startswith("linux") or any(
        Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    )
