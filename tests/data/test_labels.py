"""Multi-label rows, and the records that come of them."""

import io

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import DatasetInfo
from vlmbench.data.hub.rows import label_matrix
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import read_samples
from vlmbench.report.verify import verify_run
from vlmbench.session.context import Context
from vlmbench.tasks.zeroshot import ZeroShotRequest, run_zeroshot


def table(values):
    import datasets

    return datasets.Dataset.from_dict({"label": values})


def matrix(values, classes=3):
    from vlmbench.data.hub.rows import Columns

    info = DatasetInfo("d", None, ("test",), ("x",) * classes, raw_classnames=tuple("abcdef"[:classes]))
    return label_matrix(table(values), Columns("image", "label"), info, "d")


def test_class_indices_and_zeros_and_ones_become_a_matrix():
    assert matrix([[0, 2], [1], []]).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert matrix([[1, 0, 1], [0, 1, 0]]).tolist() == [[1, 0, 1], [0, 1, 0]]


def test_labels_by_name_and_by_number():
    assert matrix(["b", "a", "c"]).tolist() == [1, 0, 2]
    assert matrix([2, 0]).tolist() == [2, 0]


@pytest.mark.parametrize("values", [["z"], [3], [-1], [[0, 7]]])
def test_a_label_that_is_no_class_names_its_row(values):
    with pytest.raises(InputError) as caught:
        matrix(values)
    assert "row 0" in caught.value.where


def test_a_multi_label_set_is_scored_by_average_precision(checkpoints, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    generator = np.random.default_rng(0)
    rows = {"image": [], "classes": []}
    for number in range(8):
        buffer = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (24, 24, 3)).astype(np.uint8)).save(buffer, "PNG")
        rows["image"].append({"bytes": buffer.getvalue(), "path": None})
        rows["classes"].append([[0], [1, 2], [2], [0, 1]][number % 4])
    names = datasets.ClassLabel(names=["red", "green", "blue"])
    kinds = datasets.Features({"image": datasets.Image(), "classes": datasets.List(names)})
    root = tmp_path / "d"
    (root / "data").mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features=kinds).to_parquet(root / "data" / "test-00000-of-00001.parquet")
    context = Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent())
    (run,) = run_zeroshot(ZeroShotRequest([str(checkpoints("clip"))], [f"hf:{root}?label=classes"]), context)
    assert {"map11", "map"} <= set(run.record.metrics)
    assert read_samples(run)["labels"][1].tolist() == [0, 1, 1]
    assert verify_run(run) == []
