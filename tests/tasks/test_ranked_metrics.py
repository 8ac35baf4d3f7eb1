"""Probes whose main metric is a ranking: the search, the curve, the labels to match, the tables and their words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlmbench.foundations.progress import Silent
from vlmbench.metrics.classification import metrics_from_samples
from vlmbench.records.result import Metric
from vlmbench.records.store import read_samples
from vlmbench.report.reading import read_tables
from vlmbench.report.tables.write import build_tables
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.probe import run as linear_probe
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.run import run_linear_probe
from vlmbench.tasks.zeroshot import ZeroShotRequest as ZeroRequest
from vlmbench.tasks.zeroshot import run_zeroshot


def context(tmp_path: Path) -> Context:
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", reporter=Silent())


def features(tmp_path: Path, y_train: np.ndarray, y_test: np.ndarray, strength: float = 1) -> Path:
    generator = np.random.default_rng(0)
    arrays = {"y_train": y_train, "y_test": y_test}
    for split in ("train", "test"):
        y = arrays[f"y_{split}"].reshape(len(arrays[f"y_{split}"]), -1)
        arrays[f"x_{split}"] = (strength * (y @ np.eye(y.shape[1], 6)) + generator.normal(size=(len(y), 6))).astype(
            np.float32
        )
    np.savez(tmp_path / "f.npz", **arrays)
    return tmp_path / "f.npz"


@pytest.fixture
def ranked(monkeypatch):
    """Makes the metric of features files what a data set's would be."""

    def choose(metric: str) -> None:
        monkeypatch.setattr(
            linear_probe,
            "from_file",
            lambda *a, **k: replace(read(*a, **k), metric=metric, zero_shot_figure=Metric(value=0.75)),
        )

    read = linear_probe.from_file
    return choose


def test_a_curve_of_roc_auc_crosses_zero_shot_in_roc_auc(ranked, tmp_path):
    ranked("roc_auc")
    y = np.random.default_rng(1).permutation(np.repeat([0, 1], 40))
    here = context(tmp_path)
    runs = run_linear_probe(ProbeRequest(features=features(tmp_path, y, y), shots=(1, 4, None), seeds=3), here)
    curve, found = runs[0].record.detail.curve, runs[0].record.detail.labels_to_match
    assert (curve.metric, curve.zero_shot) == ("roc_auc", 0.75)
    assert [point.value for point in curve.points] == [run.record.metrics["roc_auc"].value for run in runs]
    assert runs[0].record.detail.per_seed != pytest.approx([runs[0].record.metrics["accuracy"].value] * 3)
    assert found.sentence in here.reporter.notes[-1]
    for run in runs:
        assert metrics_from_samples(read_samples(run), ["roc_auc"], 0)["roc_auc"] == run.record.metrics["roc_auc"]


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
def test_a_validation_set_of_one_class_leaves_the_choice_to_the_log_loss(ranked, metric, tmp_path):
    ranked(metric)
    y = np.array([0] + [1] * 20)
    path = features(tmp_path, y, np.repeat([0, 1], 20))
    few, full = run_linear_probe(ProbeRequest(features=path, shots=(2, None), seeds=2), context(tmp_path))
    best = max(full.record.detail.search, key=lambda row: (row.score, -row.log_loss))
    assert full.record.detail.c == best.c
    assert few.record.detail.by_seed[0].search


def test_rare_labels_are_ranked_where_there_are_any(ranked, tmp_path):
    ranked("map11")
    y = np.zeros((30, 3), np.uint8)
    y[:6, 0] = y[10, 1] = y[20, 2] = 1
    (run,) = run_linear_probe(ProbeRequest(features=features(tmp_path, y, y, 6)), context(tmp_path))
    assert run.record.metrics["map11"].value > 0.5
    assert run.record.detail.curve is None


def test_tables_and_their_words_name_the_metric(checkpoints, colours, tmp_path):
    here = context(tmp_path)
    session, data = Session(here), f"folder:{colours}"
    opened = Session(here).dataset(data)

    class Ranked:
        info = replace(opened.info, metric="mean_per_class_accuracy")
        split = staticmethod(opened.split)

    session.images.adopt(data, Ranked())
    model = str(checkpoints("clip"))
    runs = run_zeroshot(ZeroRequest([model], [data]), here, session)
    runs += run_linear_probe(ProbeRequest(models=[model], datasets=[data], shots=(1, None), seeds=2), here, session)
    tables = build_tables(runs)
    for table in (tables[0], *tables[0].extra):
        place = [column.key for column in table.columns].index("metric")
        assert {row[place].text for row in table.rows} == {"mean_per_class_accuracy"}
    zero = runs[0].record.metrics["mean_per_class_accuracy"].value
    assert runs[1].record.detail.curve.zero_shot == zero
    assert f"zero-shot reaches {100 * zero:.1f} accuracy (mean per class) and" in read_tables(tables)
