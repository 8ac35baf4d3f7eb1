"""``--metric``: what decides the search, the curve, the tables; and test splits that lack a class."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import find_runs
from vlmbench.report.verify import verify_run
from vlmbench.session.context import Context
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.run import run_linear_probe
from vlmbench.tasks.zeroshot import ZeroShotRequest as ZeroRequest
from vlmbench.tasks.zeroshot import run_zeroshot


def context(tmp_path: Path) -> Context:
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", reporter=Silent())


def features(tmp_path: Path, train: list[int], test: list[int]) -> Path:
    """Features of classes with so many images each."""
    generator = np.random.default_rng(0)
    arrays = {}
    for split, counts in (("train", train), ("test", test)):
        y = np.repeat(np.arange(len(counts)), counts)
        arrays |= {f"y_{split}": y, f"x_{split}": generator.normal(size=(len(y), 5)) + np.eye(len(train), 5)[y]}
    path = tmp_path / "f.npz"
    np.savez(path, **{name: value.astype(np.float32 if name[0] == "x" else int) for name, value in arrays.items()})
    return path


@pytest.mark.parametrize("metric", ["mean_per_class_accuracy", "roc_auc"])
def test_the_strength_is_searched_by_the_metric_and_the_record_says_so(metric, tmp_path):
    path = features(tmp_path, [60, 20], [60, 20])
    request = ProbeRequest(features=path, shots=(2, None), seeds=2, metric=metric)
    few, full = run_linear_probe(request, context(tmp_path))
    (other,) = run_linear_probe(ProbeRequest(features=path), context(tmp_path))
    assert full.record.protocol.metric == full.record.detail.search_metric == metric
    assert other.record.detail.search_metric == "accuracy"
    assert full.path != other.path
    scores = [[row.score for row in run.record.detail.search] for run in (full, other)]
    assert scores[0] != scores[1]
    assert few.record.detail.curve.metric == metric
    assert few.record.detail.per_seed == few.record.detail.curve.points[0].per_seed
    assert full.record.detail.train_class_counts == [60, 20]
    assert verify_run(full) == verify_run(few) == []


def test_zero_shot_has_the_same_figures_under_another_main_metric(checkpoints, colours, tmp_path):
    model, data = str(checkpoints("clip")), f"folder:{colours}"
    own, chosen = (
        run_zeroshot(ZeroRequest([model], [data], metric=metric), context(tmp_path))[0]
        for metric in (None, "mean_per_class_accuracy")
    )
    assert own.path != chosen.path
    assert own.record.metrics == chosen.record.metrics
    assert chosen.record.protocol.metric == "mean_per_class_accuracy"


def test_a_metric_that_such_classes_have_not_is_found_before_a_model_is_opened(colours, tmp_path):
    with pytest.raises(UsageError, match="roc_auc cannot be computed from 3 classes") as told:
        run_zeroshot(ZeroRequest(["tiny-clip"], [f"folder:{colours}"], metric="roc_auc"), context(tmp_path))
    assert told.value.fix == "metric='accuracy' or mean_per_class_accuracy"
    with pytest.raises(UsageError, match="map cannot be computed from 2 classes"):
        run_linear_probe(ProbeRequest(features=features(tmp_path, [8, 8], [8, 8]), metric="map"), context(tmp_path))


@pytest.fixture
def one_sided(colours, tmp_path) -> Path:
    """Two classes, of which the test split has one."""
    root = Path(shutil.copytree(colours, tmp_path / "one-sided"))
    for path in ("train/blue", "test/blue", "test/red"):
        shutil.rmtree(root / path)
    return root


def test_a_test_split_of_one_class_has_no_roc_auc_and_all_else(checkpoints, one_sided, tmp_path):
    """Before: exit 3, since one of the metrics that nobody asked for cannot be computed."""
    model, data = str(checkpoints("clip")), f"folder:{one_sided}"
    runs = run_zeroshot(ZeroRequest([model], [data]), context(tmp_path))
    runs += run_linear_probe(ProbeRequest(models=[model], datasets=[data]), context(tmp_path))
    for run in runs:
        assert "roc_auc" not in run.record.metrics
        assert run.record.detail.left_out == {"roc_auc": "all test images are of one class"}
        assert verify_run(run) == []
    with pytest.raises(InputError, match="of one class"):
        run_zeroshot(ZeroRequest([model], [data], metric="roc_auc"), context(tmp_path))


def test_compare_shows_runs_by_a_metric_that_is_chosen_afterwards(tmp_path):
    path = features(tmp_path, [60, 20], [60, 20])
    run_linear_probe(ProbeRequest(features=path, shots=(2, None), seeds=2), context(tmp_path))
    out = tmp_path / "out"
    call = ["compare", str(out), "-o", str(tmp_path / "shown"), "--metric", "roc_auc"]
    call += ["--figures", str(tmp_path / "shown" / "figures")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    table = (tmp_path / "shown" / "tables" / "classification.csv").read_text()
    full = next(run.record for run in find_runs([out]) if run.record.shots is None)
    assert f"{100 * full.metrics['roc_auc'].value:.4f}" in table
    assert "accuracy" not in table.splitlines()[1].split(",")[3]
    assert list((tmp_path / "shown" / "figures").glob("few-shot-*.png"))
    assert CliRunner().invoke(app, ["compare", str(out), "-o", str(out), "--metric", "map11"]).exit_code == 3
