"""The table of corrupted images: figures by severity, means, and corruption errors beside a baseline's."""

from dataclasses import replace

import numpy as np
import pytest

import vlmbench
from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.errors import InputError, UsageError
from vlmbench.metrics.corruption_error import corruption_errors
from vlmbench.report.page.figures import severity_series
from vlmbench.report.pairs import Pairs
from vlmbench.report.tables.corruptions import sweeps


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("corrupted")
    common = {"out": root, "cache_dir": root / "cache", "device": "cpu", "limit": 40}
    kinds = "contrast,saturate,pixelate:4-5"
    one = vlmbench.zeroshot("tiny-clip", "digits", corrupt=kinds, prompts=["default", "a {}"], **common)
    return one, root


def test_the_figures_of_every_severity_and_their_means(runs):
    found, root = runs
    assert len(found) == 2 * (1 + 3 * 2)
    compared = vlmbench.compare(root, relative_to="tiny-clip (prompts default)")
    classification, table = (
        next(t for t in compared.tables if t.name == name) for name in ("classification", "corruptions")
    )
    assert {row[0].text for row in classification.rows} == {"digits"}
    lines = [dict(zip([column.key for column in table.columns], row, strict=True)) for row in table.rows]
    assert [line["corruption"].text for line in lines] == ["contrast", "pixelate", "saturate", "mean"] * 2
    assert {column.key for column in table.columns} >= {"clean", "severity_4", "severity_5", "mean", "ce"}
    assert "severity_1" not in lines[0]
    by_run = {run.dataset + run.signature: run.metrics["accuracy"].value for run in found}
    for sweep, own in zip(sweeps([run.run for run in compared.results]), (lines[:4], lines[4:]), strict=True):
        figures = np.array(
            [[sweep.runs[Corruption(kind, s)].record.metrics["accuracy"].value for s in (4, 5)] for kind in sweep.kinds]
        )
        assert set(figures.ravel()) <= set(by_run.values())
        assert [[line[f"severity_{s}"].value for s in (4, 5)] for line in own[:3]] == figures.tolist()
        assert own[3]["severity_5"].value == pytest.approx(figures[:, 1].mean())
        assert [line["mean"].value for line in own] == pytest.approx([*figures.mean(axis=1), figures.mean()])
        assert all(line["mean"].low <= line["mean"].value <= line["mean"].high for line in own)
    default = [line for line in lines if "default" in line["model"].text]
    assert [line["ce"].value for line in default] == [1, 1, None, 1]  # no error in saturated digits: 0 / 0
    other = [line for line in lines if "default" not in line["model"].text]
    ratios = [
        (1 - mine["mean"].value) / (1 - theirs["mean"].value)
        for mine, theirs in zip(other[:2], default[:2], strict=True)
    ]
    assert [line["ce"].value for line in other[:2]] == pytest.approx(ratios)
    assert not other[2]["ce"].is_figure
    assert other[3]["ce"].value == pytest.approx(np.mean(ratios))  # saturate is not counted, as in the paper
    assert all(line["ce"].low <= line["ce"].value <= line["ce"].high for line in (*other[:2], other[3]))
    assert "saturate not counted" in table.notes[1]


def test_a_chart_has_the_mean_over_corruptions_by_severity(runs, tmp_path):
    stored = [run.run for run in runs[0]]
    ((title, lines),) = severity_series(stored, Pairs())
    assert title == "digits, mean over 3 corruptions: accuracy"
    assert [one.name.rpartition(", ")[2] for one in lines] == ["zero-shot"] * 2
    for sweep, line in zip(sweeps(stored), lines, strict=True):
        assert [point[0] for point in line.points] == [0, 4, 5]
        assert line.points[0][1] == sweep.clean.record.metrics["accuracy"].value
        at_five = [sweep.runs[Corruption(kind, 5)].record.metrics["accuracy"].value for kind in sweep.kinds]
        assert line.points[2][1] == pytest.approx(np.mean(at_five))
        assert all(low <= value <= high for _, value, low, high in line.points)
    page = vlmbench.compare(runs[1]).write_report(tmp_path / "report.html").read_text()
    assert page.count("Corrupted images by severity") == 2  # in the contents, and as a heading
    names = {path.name for path in vlmbench.compare(runs[1]).write_figures(tmp_path / "figures")}
    assert "severity-digits-mean-over-3-corruptions-accuracy.svg" in names
    assert not any("corrupt" in name and "confusion" in name for name in names)


def test_what_cannot_be_a_baseline_and_what_is_corrupted_already(runs, tmp_path):
    with pytest.raises(InputError, match="no runs of nobody on corrupted images"):
        vlmbench.compare(runs[1], relative_to="nobody")
    clean = [run for run in runs[0] if "?" not in run.dataset]
    with pytest.raises(InputError, match="no runs with several corruptions"):
        vlmbench.compare(clean, relative_to="tiny-clip")
    with pytest.raises(UsageError, match="is corrupted already"):
        vlmbench.zeroshot("tiny-clip", "digits?corrupt=fog:3", corrupt="snow:1", out=tmp_path)


def test_corruption_errors_are_the_papers():
    errors = np.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])
    baseline = np.array([[0.2, 0.4, 0.6], [0.3, 0.6, 0.6]])
    assert corruption_errors(errors, baseline) == pytest.approx([0.5, 1.0])


def test_a_single_corruption_is_a_dataset_like_others(runs):
    one = [run for run in runs[0] if "?" not in run.dataset or run.dataset.endswith("pixelate:5")]
    tables = vlmbench.compare(one).tables
    assert "corruptions" not in {table.name for table in tables}
    shown = next(table for table in tables if table.name == "classification")
    assert {row[0].text for row in shown.rows} == {"digits", "digits?corrupt=pixelate:5"}
    assert sweeps([replace(run.run) for run in one]) == []
