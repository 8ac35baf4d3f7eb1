"""A package that declares a task by an entry point: it runs, is listed, compared, verified and gated; vlmbench is not
touched. It takes two files beside its metrics: what a record holds and how it runs, and a command."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent / "sample_package"


@pytest.fixture(scope="module")
def vlmbench(with_package):
    return partial(with_package, SAMPLE)


@pytest.fixture(scope="module")
def out(tmp_path_factory, vlmbench) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    plan = folder / "plan.toml"
    both = '[[count]]\nmodel = ["tiny-clip"]\ndataset = "counting"\nlimit = 150\n'
    plan.write_text(f'{both}template = "{{}}"\n{both}template = "a dog beside {{}}"\n')
    vlmbench("run", plan, "-o", folder / "out", "--cache-dir", folder / "cache", "--device", "cpu", "-q")
    return folder / "out"


def test_it_takes_at_most_three_files():
    assert len([path for path in (SAMPLE / "sample_tasks").glob("*.py") if path.name != "__init__.py"]) <= 3


def test_it_is_listed_and_has_a_command(vlmbench):
    rows = {row["name"]: row for row in json.loads(vlmbench("list", "tasks", "--json"))["tasks"]}
    assert rows["count"]["metrics"] == ["count_within_one", "count_error"]
    assert "by the nearest prompt" in vlmbench("count", "--help")
    assert "did you mean count?" in " ".join(vlmbench("cuont", code=2, stream="stderr").split())


def test_its_command_gives_the_runs_of_the_plan(out, tmp_path, vlmbench):
    words = ["-m", "tiny-clip", "-d", "counting", "--limit", 150, "-o", tmp_path, "--device", "cpu", "--json"]
    found = json.loads(vlmbench("count", *words, "--cache-dir", out.parent / "cache"))["results"]
    assert [run["task"] for run in found] == ["count"]
    name = Path(found[0]["path"]).name
    assert (tmp_path / "runs" / name / "result.json").read_text() == (out / "runs" / name / "result.json").read_text()
    said = vlmbench("count", *words[:4], "--template", "no place", "-o", tmp_path, code=2, stream="stderr")
    assert "no place for the number" in said


def test_a_plan_is_checked_before_it_runs(tmp_path, vlmbench):
    plan = tmp_path / "plan.toml"
    plan.write_text('[[count]]\nmodel = ["tiny-clip"]\ndataset = "counting"\ntemplate = "no place"\n')
    said = vlmbench("run", plan, "-o", tmp_path, code=3, stream="stderr")
    assert "no place for the number" in said
    assert "key template" in said


def test_its_table_and_tests_are_made(out, vlmbench):
    found = json.loads(vlmbench("compare", out, "-o", out, "--json"))
    tested = {row["metric"]: row for row in found["comparisons"]}
    assert set(tested) == {"count_within_one", "count_error"}
    assert all(row["task"] == "count" and 0 <= row["p_holm"] <= 1 for row in tested.values())
    rows = list(csv.DictReader((out / "tables" / "count.csv").open()))
    assert len(rows) == 2
    assert all(
        "template" in row["system"] and float(row["count_error_low"]) <= float(row["count_error"]) for row in rows
    )
    best = min(rows, key=lambda row: float(row["count_error"]))
    assert best["count_error_mark"] == "best"
    assert "how many things are in an image" in (out / "report.html").read_text().lower()


def test_it_is_verified(out, tmp_path, vlmbench):
    vlmbench("verify", out)
    (path,) = (path for path in out.glob("runs/*/result.json") if "dog" in path.read_text())
    record = json.loads(path.read_text())
    record["metrics"]["count_error"]["value"] += 0.5
    changed = tmp_path / path.parent.name
    changed.mkdir()
    (changed / "result.json").write_text(json.dumps(record))
    (changed / "samples.parquet").write_bytes((path.parent / "samples.parquet").read_bytes())
    assert "count_error: the record says" in vlmbench("verify", changed, code=3, stream="stderr")
    record["protocol"]["most"] = "five"
    (changed / "result.json").write_text(json.dumps(record))
    assert "field protocol.most" in vlmbench("verify", changed, code=3, stream="stderr")


def test_it_is_gated(out, tmp_path, vlmbench):
    baseline = tmp_path / "baseline.json"
    vlmbench("check", out, "--baseline", baseline, "--update")
    same = json.loads(vlmbench("check", "--baseline", baseline, out, "--json"))["changes"]
    assert len(same) == 4
    assert {change["metric"] for change in same} == {"count_within_one", "count_error"}
    assert all(change["p"] is not None and change["verdict"] == "same" for change in same)


def test_without_the_package_a_record_says_what_is_missing(out, tmp_path, with_package):
    said = with_package(tmp_path, "compare", out, "-o", tmp_path, code=3, stream="stderr")
    assert "no such task: count" in said
    assert "install the package that adds it" in said


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("x = broken:SPEC", "cannot be loaded"),
        ("x = broken:OTHER", "is not a TaskSpec of that name"),
        ("retrieval = broken:OTHER", "retrieval of broken (broken:OTHER): vlmbench has a task of this name"),
        ("x = broken:HALF", "not fully declared: definition, columns, run"),
    ],
)
def test_a_package_that_declares_nonsense_is_named(entry, words, with_package, broken_package):
    package = broken_package(
        f"[vlmbench.tasks]\n{entry}\n",
        "from vlmbench.records.task import TaskSpec, TaskProtocol\nOTHER = 3\n"
        "def __getattr__(name):\n"
        "    if name == 'HALF':\n"
        "        return TaskSpec(name='x', definition=' ', family='x', protocol=TaskProtocol, columns=(),"
        " request='a:b', check='a:b', run='a', command='a:b')\n"
        "    raise AttributeError(name)\n",
    )
    said = with_package(package, "list", "tasks", code=3, stream="stderr")
    assert words in " ".join(said.split())
