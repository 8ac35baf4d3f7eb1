"""Makes the factory importable from these tests, and gives them a demo's results once."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import factory


@pytest.fixture(scope="session")
def demo_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results directory as the demo leaves it; not to be changed."""
    out = tmp_path_factory.mktemp("demo")
    factory.write_demo(out)
    return out


@pytest.fixture
def demo(demo_once: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(demo_once, tmp_path / "results"))
