"""The machines of a Ray cluster: how many workers they have room for, and whether they have what this one has."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmbench import __version__
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.shared import SharedCache
from vlmbench.foundations.versions import package_versions

CORES = 4
"""Cores of a worker without a GPU, where ``OMP_NUM_THREADS`` does not say and a machine has as many."""
VERSIONS = ("torch", "transformers", "pillow")
"""Packages that decide features: part of the key that these are stored under."""


def alive(ray: Any) -> list[dict[str, Any]]:
    """The machines of the cluster that can do work."""
    return [node for node in ray.nodes() if node["Alive"]]


def places(nodes: Sequence[dict[str, Any]], device: str) -> tuple[int, int]:
    """How many workers there is room for, and how many cores each has.

    A worker has a GPU and its share of the cores; without a GPU ``OMP_NUM_THREADS`` cores, or `CORES`.
    """
    has = [(int(node["Resources"].get("GPU", 0)), int(node["Resources"].get("CPU", 0))) for node in nodes]
    if device == "cuda":
        shares = [cpus // gpus for gpus, cpus in has if gpus]
        return sum(gpus for gpus, _ in has), max(1, min(shares, default=1))
    threads = os.environ.get("OMP_NUM_THREADS", "")
    most = min((cpus for _, cpus in has if cpus), default=1)
    each = min(int(threads) if threads.isdigit() and int(threads) else CORES, most)
    return sum(cpus // each for _, cpus in has), each


def own_facts() -> dict[str, str]:
    """What has to be the same on every machine."""
    return {"Python": ".".join(map(str, sys.version_info[:2])), "vlmbench": __version__, **package_versions(*VERSIONS)}


def facts_of() -> Any:
    """A function that is sent to a machine as it is, since vlmbench may be missing there."""

    def facts(probe: str, names: Sequence[str]) -> dict[str, str]:
        import importlib.metadata
        import os
        import sys

        found = {"Python": ".".join(map(str, sys.version_info[:2])), "sees": str(os.path.exists(probe))}  # noqa: PTH110
        try:
            import vlmbench

            found["vlmbench"] = vlmbench.__version__
        except ImportError:
            pass
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found

    return facts


def compare(
    host: str, own: dict[str, str], theirs: dict[str, str], cache_dir: Path, shared: SharedCache | None = None
) -> None:
    """Holds what a machine of the cluster has against what this process has.

    Raises:
        AbsentError: another version, or it does not see the cache directory, where no shared cache stands in for it.
    """
    others = [name for name in own if theirs.get(name) != own[name]]
    if others:
        listed = ", ".join(f"{name} {theirs.get(name, 'missing')} and not {own[name]}" for name in others)
        raise AbsentError(
            f"the machine {host} of the Ray cluster has {listed}",
            where="--ray",
            fix="the same versions there: pip install "
            + " ".join(f"{'vlmbench-eval' if name == 'vlmbench' else name}=={own[name]}" for name in others)
            if "Python" not in others
            else f"the same versions there, under Python {own['Python']}",
        )
    if theirs.get("sees") != "True" and (shared is None or not shared.writable()):
        raise AbsentError(
            f"the machine {host} of the Ray cluster does not see the cache directory",
            where=str(cache_dir),
            fix="--cache-dir DIR, a directory that is the same on every machine, or --shared-cache ADDRESS",
        )
