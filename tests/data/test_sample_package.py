"""A package of one file that adds a kind of dataset by an entry point: commands run on it, vlmbench is not touched."""

import csv
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from vlmbench.data import open as opening
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.plugins import Plugin

SAMPLE = Path(__file__).parent / "sample_package"
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
HEAD = """
import numpy as np
from vlmbench.data.base import DatasetInfo, Split
from vlmbench.data.bundled import Arrays
BLANK = np.zeros((9, 9, 3), np.uint8)
class Made:
    def __init__(self, id, split, **info):
        self.info = DatasetInfo(**{"id": id, "revision": None, "splits": ("test",), "classnames": ("a", "b"), **info})
        self.split = split
def sound(name):
    return Split(name, ("x", "y"), np.array([0, 1]), Arrays((BLANK, BLANK)))
def using(split, **info):
    return lambda ref, opening: Made(**{"id": ref.id, "split": split, **info})
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory, with_package) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    options = ("-m", "tiny-clip", "-d", "squares:32", "-o", folder, "--cache-dir", folder / "cache", "--device", "cpu")
    with_package(SAMPLE, "zeroshot", *options, "-q")
    with_package(SAMPLE, "zeroshot", *options, "-q", "--tiles", 4, "--limit", 6)
    with_package(SAMPLE, "linear-probe", *options, "-q", "--shots", "1,2,all", "--seeds", 2)
    return folder


def test_it_is_one_file_and_contributing_says_so():
    assert [path.name for path in SAMPLE.glob("**/*.py")] == ["sample_datasets.py"]
    text = CONTRIBUTING.read_text()
    for words in ("`vlmbench.datasets`", "`tests/data/sample_package`", "`squares = sample_datasets:open_squares`"):
        assert words in text
    assert "squares = sample_datasets:open_squares" in next(SAMPLE.glob("*/entry_points.txt")).read_text()


def test_runs_are_recorded_under_its_name(out):
    records = [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/result.json"))]
    assert {record["dataset"]["id"] for record in records} == {"squares:32"}
    assert sorted((record["task"], record["n"]) for record in records) == [
        *(("linear-probe", 15), ("linear-probe", 15), ("linear-probe", 15)),
        *(("zeroshot", 6), ("zeroshot", 15)),
    ]
    whole = next(record for record in records if record["task"] == "linear-probe" and record["shots"] is None)
    assert whole["metrics"]["accuracy"]["value"] == 1


def test_runs_are_compared(out, with_package):
    runs = [path.parent for path in out.glob("runs/*/result.json") if json.loads(path.read_text())["n"] == 15]
    found = json.loads(with_package(SAMPLE, "compare", *runs, "-o", out / "compared", "--json"))
    assert {run["dataset"] for run in found["results"]} == {"squares:32"}
    rows = list(csv.DictReader((out / "compared" / "tables" / "classification.csv").open()))
    assert {row["dataset"] for row in rows} == {"squares:32"}


def test_it_is_listed_and_offered(with_package):
    rows = {row["name"]: row for row in json.loads(with_package(SAMPLE, "list", "datasets", "--json"))["datasets"]}
    assert rows["squares:…"]["where"] == "sample-datasets (sample_datasets:open_squares)"
    said = with_package(SAMPLE, "zeroshot", "-m", "tiny-clip", "-d", "circles:3", code=2, stream="stderr")
    assert "unknown kind of dataset: circles:" in said
    assert "squares:… of sample-datasets" in said


def test_its_own_errors_are_shown_as_they_are(with_package):
    said = with_package(SAMPLE, "zeroshot", "-m", "tiny-clip", "-d", "squares:1", code=3, stream="stderr")
    assert "no side of 8 to 256 pixels: 1" in said
    assert "uninstall" not in said


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        ("nowhere", "it cannot be loaded: AttributeError"),
        ("3", "it failed: TypeError"),
        ("lambda ref, opening: 3", "it returns int, which is not a Dataset"),
        ("lambda ref, opening: 1 / 0", "it failed: ZeroDivisionError: division by zero"),
        ("using(sound, id='other')", "the dataset broken:1 calls itself other"),
        ("using(sound, splits=())", "has 0 splits"),
        ("using(sound, metric='goodness')", "there is no metric goodness"),
        ("using(lambda name: name)", "its split test is of type str, not Split"),
        ("using(lambda name: 1 / 0)", "it failed: ZeroDivisionError"),
        ("using(lambda name: Split(name, ('x',), np.array([0, 1]), Arrays((BLANK,))))", "1 ids, 2 labels and 1 images"),
        ("using(lambda name: Split(name, ('x', 'x'), np.array([0, 1]), Arrays((BLANK,) * 2)))", "has an id twice"),
        (
            "using(lambda name: Split(name, ('x',), np.array([2]), Arrays((BLANK,))))",
            "labels from 2 to 2, for 2 classes",
        ),
        ("using(lambda name: Split(name, ('x',), np.array([.5]), Arrays((BLANK,))))", "labels of type float64 [1]"),
        ("using(sound, classnames=())", "neither classes nor a caption for each of its 2 images"),
        ("using(lambda name: Split(name, ('x',), np.array([0]), [BLANK]))", "it failed: AttributeError"),
    ],
)
def test_what_a_package_gets_wrong_names_it(opener, words, tmp_path, monkeypatch):
    module = ModuleType("broken")
    exec(HEAD if opener == "nowhere" else f"{HEAD}open = {opener}\n", vars(module))  # noqa: S102
    monkeypatch.setitem(sys.modules, "broken", module)
    found = (Plugin(EntryPoint("broken", "broken:open", "vlmbench.datasets")),)
    monkeypatch.setattr("vlmbench.foundations.plugins.plugins", lambda group: found)
    opening.kinds.cache_clear()
    with pytest.raises(InputError) as caught:
        found = open_dataset("broken:1", tmp_path).split("test")
        found.images.read(0)
        found.images.stamp()
    opening.kinds.cache_clear()
    assert words in caught.value.what
    assert caught.value.what.startswith("broken of ? (broken:open): ")
    assert (caught.value.where, caught.value.fix) == ("vlmbench.datasets", "update or uninstall that package")


def test_a_kind_that_is_there_already_is_one_error_that_names_the_package(with_package, broken_package):
    package = broken_package("[vlmbench.datasets]\nhf = broken:open\n", "")
    said = with_package(package, "list", "datasets", code=3, stream="stderr")
    assert "hf of broken (broken:open): vlmbench has a kind of dataset of this name" in " ".join(said.split())
