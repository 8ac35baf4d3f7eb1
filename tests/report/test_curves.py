import csv
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from vlmbench.metrics.calibration import calibration_bins
from vlmbench.report.curves import confusion_picture, few_shot_curve, reliability_diagram, write_confusion_csv

CURVE = {
    "metric": "accuracy",
    "zero_shot": 0.7,
    "points": [
        {"shots": 1, "labels_per_class": 1.0, "value": 0.5, "low": 0.4, "high": 0.6},
        {"shots": 2, "labels_per_class": 2.0, "value": 0.65, "low": None, "high": None},
        {"shots": None, "labels_per_class": 40.0, "value": 0.9, "low": 0.88, "high": 0.92},
    ],
}


def draw(kind, stem):
    if kind == "curve":
        return few_shot_curve({"tiny $x_1": CURVE, "other": {**CURVE, "zero_shot": None}}, stem, title="digits <b>")
    if kind == "reliability":
        confidence = np.random.default_rng(0).random(300)
        return reliability_diagram(calibration_bins(confidence, confidence > 0.4), stem, title="a & b")
    return confusion_picture(np.array([[5, 1], [0, 0]]), ["$\\frac{1}$", "数"], stem, title="c")


@pytest.mark.parametrize("kind", ["curve", "reliability", "confusion"])
def test_pictures_are_whole_and_the_same_each_time(kind, tmp_path):
    png, svg = draw(kind, tmp_path / "a.b")
    assert (png.name, svg.name) == ("a.b.png", "a.b.svg")
    with Image.open(png) as image:
        image.load()
        assert min(image.size) > 300
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10
    ET.parse(svg)  # noqa: S314 (our own file)
    again = draw(kind, tmp_path / "again")
    assert png.read_bytes() == again[0].read_bytes()
    assert svg.read_bytes() == again[1].read_bytes()


def test_the_confusion_table_holds_the_counts_and_no_formula(tmp_path):
    path = write_confusion_csv(np.array([[5, 1], [0, 2]]), ["=cmd()", "b"], tmp_path / "c.csv")
    rows = list(csv.reader(path.open(encoding="utf-8")))
    assert rows[0][1:] == ["'=cmd()", "b"]
    assert rows[1] == ["'=cmd()", "5", "1"]
    assert rows[2] == ["b", "0", "2"]
