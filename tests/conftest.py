"""Small random checkpoints of real architectures, and small folders of images, made once a session."""

import importlib.util
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_checkpoints = _beside("checkpoints")
_processes = _beside("processes")

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}


@pytest.fixture(autouse=True)
def _hub_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``--offline`` switches off for the rest of a process is as it was before the next test."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        value = os.environ.get(name)
        monkeypatch.setenv(name, value or "0")
        if value is None:
            monkeypatch.delenv(name)


@pytest.fixture
def default_signals() -> Callable[[], None]:
    """For ``preexec_fn``: signals as a terminal's command has them; started in the background, Ctrl-C is ignored."""

    def reset() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    return reset


@pytest.fixture(scope="session")
def command() -> Callable[..., Any]:
    """Runs a command in a process of its own, offline; gives returncode, stdout and stderr (`processes.command`)."""
    return _processes.command


@pytest.fixture(scope="session")
def processes() -> ModuleType:
    """`processes.py`: code and commands in processes of their own."""
    return _processes


@pytest.fixture(scope="session")
def with_package() -> Callable[..., str]:
    """Runs a command in a process in which a package (a directory with a ``.dist-info``) is installed; gives stdout.

    ``with_package(directory, "list", "metrics", code=0, stream="stdout")``
    """

    def run(directory: Path, *words: object, code: int = 0, stream: str = "stdout") -> str:
        done = _processes.command(*words, path=[directory])
        assert done.returncode == code, done.stderr
        return str(getattr(done, stream))

    return run


@pytest.fixture
def broken_package(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes the package ``broken`` of an entry point (``[group]\\nname = broken:attribute``) and the module's code."""

    def make(entry: str, code: str) -> Path:
        facts = tmp_path / "broken-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(entry)
        (tmp_path / "broken.py").write_text(code)
        return tmp_path

    return make


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the directory of a random checkpoint: ``checkpoints("clip")``; made when first asked for."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(name: str) -> Path:
        directory = root / f"random-{name}"
        if not directory.is_dir():
            directory.mkdir()
            _checkpoints.MAKERS[name](directory)
        return directory

    return get


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder ``{train,test}/<colour>/*.png``: three classes, 8 training and 5 test images each."""
    root = tmp_path_factory.mktemp("colours")
    for split, count in (("train", 8), ("test", 5)):
        make_images(root / split, count, seed=len(split))
    return root


def make_images(root: Path, count: int, *, seed: int = 0, size: tuple[int, int] = (40, 32)) -> None:
    """Noisy images of each colour, ``root/<colour>/<n>.png``."""
    generator = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = generator.integers(-60, 60, (size[1], size[0], 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
