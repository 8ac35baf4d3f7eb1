"""What the tests of captioners share."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_spec = importlib.util.spec_from_file_location("captioner_checkpoints", Path(__file__).with_name("checkpoints.py"))
checkpoints = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(checkpoints)
MAKERS: dict[str, Callable[[Path], None]] = checkpoints.MAKERS


@pytest.fixture(scope="session")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the directory of a random checkpoint: ``captioner("blip")``."""
    root = tmp_path_factory.mktemp("captioners")

    def get(name: str) -> Path:
        directory = root / name
        if not directory.is_dir():
            directory.mkdir()
            MAKERS[name](directory)
        return directory

    return get


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Five images of different shapes."""
    generator = np.random.default_rng(0)
    shapes = [(20, 30), (32, 16), (24, 24), (40, 17), (18, 35)]
    return [Image.fromarray(generator.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in shapes]
