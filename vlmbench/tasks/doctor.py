"""What this machine has, what is missing, and the command that fixes it."""

import importlib
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from vlmbench import __version__
from vlmbench.encoders.device import INSTALL_OPENVINO
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import VlmbenchError

MODELS = ("torch", "transformers", "datasets", "scikit-learn")
NEEDED = (*MODELS, "safetensors", "pyarrow", "pandas", "pillow", "numba")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table."""

    what: str
    state: str
    """``ok``, ``absent`` (something optional is missing), ``nearly full``, ``broken`` (the main job does not run)."""
    detail: str
    fix: str = ""


def examine(cache_dir: Path, out: Path) -> list[Finding]:
    """Checks packages, devices, caches, Java and the bundled files, without a network."""
    return [
        Finding("vlmbench", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        *(_package(name) for name in NEEDED),
        _device(),
        *_places(cache_dir, out),
        _bundled(),
        _meteor(),
        _java(),
        _openvino(),
        _hub(),
    ]


def _package(name: str) -> Finding:
    module = {"scikit-learn": "sklearn", "pillow": "PIL"}.get(name, name)
    try:
        found = version(name)
        if find_spec(module) is None:
            raise PackageNotFoundError
    except PackageNotFoundError:
        detail = "not installed" + "; captions in files are scored without it" * (name in MODELS)
        return Finding(name, "broken", detail, f"pip install {name}")
    return Finding(name, "ok", found)


def _device() -> Finding:
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # an import of torch can fail in any way: a missing library, a wrong driver
        return Finding("device", "broken", f"torch does not import: {error}", "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"cuda: {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "mps: Apple GPU")
    return Finding("device", "ok", f"cpu, {torch.get_num_threads()} threads")


def _places(cache_dir: Path, out: Path) -> Iterator[Finding]:
    for name, path, switch in (("cache", cache_dir, "--cache-dir"), ("results", out, "--out")):
        there = path.exists()
        try:
            require_writable(path)
            free = shutil.disk_usage(path).free / 2**30  # GiB
        except VlmbenchError as error:
            yield Finding(name, "broken", error.what, f"choose another directory with {switch} DIR")
            continue
        if not there:
            path.rmdir()
        fix = f"make room, or choose another directory with {switch} DIR"
        left = f"{free:.0f} GiB" if free >= 10 else f"{free * 1024:,.0f} MiB"
        state = "ok" if free > 1 else "nearly full"
        yield Finding(name, state, f"{path}, {left} free", "" if state == "ok" else fix)


def _bundled() -> Finding:
    models = resources.files("vlmbench") / "bundled" / "models"
    missing = [name for name in ("tiny-clip", "tiny-captioner") if not (models / name / "model.safetensors").is_file()]
    if missing:
        return Finding(
            "bundled models", "broken", f"absent: {', '.join(missing)}", "pip install --force-reinstall vlmbench-eval"
        )
    return Finding("bundled models", "ok", "tiny-clip, tiny-captioner")


def _meteor() -> Finding:
    try:
        data = resources.files("pycocoevalcap") / "meteor"
        whole = all((data / name).is_file() for name in ("meteor-1.5.jar", "data/paraphrase-en.gz"))
    except ModuleNotFoundError:
        whole = False
    if not whole:
        fix = "pip install --force-reinstall pycocoevalcap"
        return Finding("METEOR data", "absent", "without it METEOR is left out", fix)
    return Finding("METEOR data", "ok", "from pycocoevalcap")


def _java() -> Finding:
    if shutil.which("java"):
        return Finding("Java", "ok", "used only by --backend java")
    return Finding("Java", "absent", "not needed except for --backend java", "install a Java 8+ runtime")


def _openvino() -> Finding:
    try:
        return Finding("OpenVINO", "ok", f"{version('openvino')}, for --engine openvino only")
    except PackageNotFoundError:
        return Finding("OpenVINO", "absent", "not needed: only --engine openvino asks for it", INSTALL_OPENVINO)


def _hub() -> Finding:
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    text = "offline: HF_HUB_OFFLINE is set" if offline else "online when a model or dataset needs it; not tested here"
    return Finding("hub", "ok", text)
