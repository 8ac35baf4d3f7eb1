"""The registries' tables are what the command gives that carries them over from the facts."""

import csv
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACTS = ROOT.parent / "shared" / "facts"

pytestmark = pytest.mark.skipif(not FACTS.is_dir(), reason="needs ../shared/facts beside the checkout")


@pytest.fixture(scope="module")
def carry():
    spec = importlib.util.spec_from_file_location("carry", ROOT / "benchmarks" / "facts" / "carry.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("table", "name"),
    [("data/datasets.csv", "datasets"), ("data/captioned.csv", "captioned"), ("encoders/models.csv", "models")],
)
def test_the_committed_table_is_the_carried_one(carry, table: str, name: str) -> None:
    with open(ROOT / "vlmbench" / table, encoding="utf-8", newline="") as handle:
        assert list(csv.DictReader(handle)) == getattr(carry, name)(FACTS)
