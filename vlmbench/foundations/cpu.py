"""What this process may use of the machine."""

import os
import sys
from importlib.machinery import ModuleSpec


def cores() -> int:
    """Cores this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


LEAST = 1200 * 2**20
"""Bytes of address space that torch takes; with less (``ulimit -v``) it may abort the process."""


class NoRoom:
    """Finds torch and does not load it, since there is no memory for it."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Its specification; none for any other module, which others find."""
        return ModuleSpec(name, cls) if name == "torch" else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Raises `MemoryError`."""
        raise MemoryError(f"torch needs {LEAST // 2**20:,} MiB of address space")

    @staticmethod
    def exec_module(module: object) -> None:
        """Never comes to it; a loader has it."""


def require_room() -> None:
    """Has torch refused where a limit on the address space leaves too little for it."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft != resource.RLIM_INFINITY and soft < LEAST:
        sys.meta_path.insert(0, NoRoom)  # type: ignore[arg-type]
