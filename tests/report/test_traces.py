"""Captions and retrieval: every figure of every table file is a record's, with its interval, n and signature."""

import csv
import io
from pathlib import Path

import factory
import parsing
import pytest

from vlmbench.metrics.spec import of
from vlmbench.records.store import StoredRun, find_runs
from vlmbench.report.tables.write import build_tables, write_tables

NAMES = {family: {spec.name: spec.title for spec in of(family)} for family in ("captions", "retrieval")}
READERS = {"md": parsing.markdown_tables, "tex": parsing.latex_tables, "html": parsing.html_tables}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[StoredRun], Path]:
    out = tmp_path_factory.mktemp("traces")
    for seed, system in enumerate(("one", "two", "three"), 1):
        factory.write_captions(out, system, wrong=0.2 * seed, seed=seed)
        factory.write_captions(out, system, "other", wrong=0.1 * seed, seed=seed + 5, n=25)
        factory.write_retrieval(out, system, spread=2.0 * seed, seed=seed)
    runs = find_runs([out])
    write_tables(build_tables(runs), out)
    return runs, out / "tables"


def runs_of(runs: list[StoredRun], name: str) -> dict[tuple[str, str], StoredRun]:
    task = {"captions": "caption-eval", "retrieval": "retrieval"}[name]
    return {(run.record.dataset.id, run.record.system): run for run in runs if run.record.task == task}


def figures_of(run: StoredRun, metric: str) -> list[float]:
    found = run.record.metrics[metric]
    return [found.value * 100, found.low * 100, found.high * 100]


@pytest.mark.parametrize("name", ["captions", "retrieval"])
def test_every_figure_of_the_csv(written: tuple[list[StoredRun], Path], name: str) -> None:
    runs, tables = written
    wanted = runs_of(runs, name)
    rows = list(csv.DictReader(io.StringIO((tables / f"{name}.csv").read_text())))
    assert len(rows) == len(wanted)
    for row in rows:
        run = wanted.pop((row["dataset"], row.get("system") or row["model"]))
        assert (row["runs"], row["signatures"]) == (run.path.name, run.record.signature.replace(" ", "%20"))
        assert int(row["n"]) == run.record.n
        for metric in run.record.metrics:
            shown = [float(row[metric + end]) for end in ("", "_low", "_high")]
            assert shown == pytest.approx(figures_of(run, metric), abs=1e-4)
    assert not wanted


@pytest.mark.parametrize("name", ["captions", "retrieval"])
@pytest.mark.parametrize("ending", ["md", "tex", "html"])
def test_every_figure_as_shown(written: tuple[list[StoredRun], Path], name: str, ending: str) -> None:
    runs, tables = written
    wanted = runs_of(runs, name)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    only = next(iter(wanted))[0]
    for table in READERS[ending]((tables / f"{name}.{ending}").read_text()):  # LaTeX: in blocks as wide as a page
        for row in table[1:]:
            cells = dict(zip((cell.strip() for cell in table[0]), map(str.strip, row), strict=True))
            cells.setdefault("dataset", only)  # the same in every row: in the caption
            rows.setdefault((cells["dataset"], cells.get("system") or cells["model"]), {}).update(cells)
    for place, cells in rows.items():
        run = wanted.pop(place)
        assert int(cells.get("n", run.record.n)) == run.record.n
        for metric in run.record.metrics:
            shown = parsing.figures(cells[NAMES[name][metric]])
            assert shown == pytest.approx(figures_of(run, metric), abs=0.0500001)
    assert not wanted


@pytest.mark.parametrize("name", ["captions", "retrieval"])
def test_every_figure_of_the_html_holds_its_signature(written: tuple[list[StoredRun], Path], name: str) -> None:
    runs, tables = written
    wanted = runs_of(runs, name)
    table, *_ = parsing.html_rows((tables / f"{name}.html").read_text())
    for row in table[1:]:
        run = wanted[row[0][0], row[1][0]]
        figures = [attributes for _, attributes in row if attributes.get("class") == "figure"]
        assert len(figures) == len(run.record.metrics)
        assert {attributes["title"] for attributes in figures} == {f"{run.path.name}: {run.record.signature}"}


@parsing.needs_pdflatex
@pytest.mark.parametrize("name", ["captions", "retrieval"])
def test_the_latex_compiles(written: tuple[list[StoredRun], Path], name: str, tmp_path: Path) -> None:
    parsing.assert_compiles((written[1] / f"{name}.tex").read_text(), tmp_path)
