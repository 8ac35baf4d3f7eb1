"""The runner of the benchmarks: its table and page follow from its figures, whatever ran."""

import importlib.util
import json

import pytest

from benchmarks import __main__ as runner
from benchmarks.rows import Row

ROW = Row("encoding", 90.0, 100.0, "images/s", "a loop", "python benchmarks/x.py", target=0.95)


def test_the_page_is_that_of_the_figures():
    figures = json.loads(runner.FIGURES.read_text())
    assert set(figures) <= set(runner.BENCHMARKS)
    assert runner.PAGE.read_text(encoding="utf-8") == runner.page(figures), "python -m benchmarks --page"


@pytest.mark.parametrize(("change", "ratio"), [({}, 0.9), ({"unit": "s"}, 100 / 90), ({"paired": 0.97}, 0.97)])
def test_a_ratio_above_one_is_faster_whatever_the_unit(change, ratio):
    assert Row(**{**vars(ROW), **change}).ratio == pytest.approx(ratio)


def test_a_missed_target_and_a_shared_machine_are_on_the_page():
    facts = {"cpu": "a CPU", "cores": 2, "memory_gib": 8.0, "python": "3.11", "torch": "2"}
    found = {"date": "2026-01-01", "seconds": 3, "load_before": 0.5, "cores_used_by_others": 1.5, "machine": facts}
    page = runner.page({"startup": {**found, "rows": [ROW.to_json()]}})
    assert "0.9 (missed) | 0.95" in page
    assert "shared machine: other programs used 1.5 of its cores" in page
    assert "Not measured yet" in page
    assert runner.quiet({"cores_used_by_others": 0.02}).startswith("idle machine")


def test_every_benchmark_of_the_runner_has_its_rows():
    for name in runner.BENCHMARKS:
        spec = importlib.util.find_spec(f"benchmarks.{name}")
        assert spec is not None
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as handle:
            assert "def rows(quick: bool" in handle.read()
