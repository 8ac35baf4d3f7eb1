"""Where, by what and in which floating-point type models run, found out without importing torch where that can be."""

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.launch import local_rank

OPENVINO = "openvino"
INSTALL_OPENVINO = "pip install 'vlmbench-eval[openvino]'"


def resolve_device(requested: str) -> str:
    """``auto`` becomes cuda, mps or cpu, whichever is there; cuda the GPU of this process where a launcher has started
    several on this machine. On a GPU fp32 is fp32 from here on: TF32, with 10 bits of mantissa, is turned off.

    Raises:
        AbsentError: the requested device is not there.
    """
    if requested == "cpu" or (requested == "auto" and not _accelerator_possible()):
        return "cpu"
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found = next((name for name, present in there.items() if present), "cpu") if requested == "auto" else requested
    if found == "cuda":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if found == "cuda" and there["cuda"] and (rank := local_rank()):
        return f"cuda:{rank % torch.cuda.device_count()}"  # where each process is given a GPU of its own, there is one
    if found != "cpu" and not there.get(found, False):
        raise AbsentError(
            f"no {requested} device that this torch can use", where="--device", fix="--device cpu, or vlmbench doctor"
        )
    return found


def gpus() -> int:
    """CUDA GPUs that this process may use.

    Raises:
        AbsentError: there is none.
    """
    resolve_device("cuda")
    import torch

    return torch.cuda.device_count()


def resolve_precision(requested: str, device: str) -> str:
    """``auto`` becomes fp32 on a CPU and fp16 on a GPU."""
    if requested != "auto":
        return requested
    return "fp32" if device == "cpu" else "fp16"


def resolve_engine(requested: str, device: str) -> str | None:
    """``openvino``, or none for torch, which ``auto`` is: what is installed decides no number.

    Raises:
        UsageError: OpenVINO and a device that is no CPU.
        AbsentError: it is not installed.
    """
    if requested != OPENVINO:
        return None
    if device not in ("auto", "cpu"):
        raise UsageError(f"OpenVINO runs on the CPU here, not on {device}", where="--engine", fix="--device cpu")
    if find_spec("openvino") is None:
        raise AbsentError("OpenVINO is not installed", where="--engine openvino", fix=INSTALL_OPENVINO)
    return OPENVINO


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
