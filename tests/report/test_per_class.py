"""Figures of each class and of two-class sets at a threshold; what the report shows of errors."""

import factory
import numpy as np
import pytest

import vlmbench
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.metrics.one_vs_rest import Counts, counts_of, roc_curve
from vlmbench.records.store import read_samples


def test_figures_are_the_definitions():
    found = Counts(tp=8, fp=2, fn=4, tn=86).figures()
    values = {name: round(metric.value, 6) for name, metric in found.items()}
    assert values == {
        "recall": round(8 / 12, 6),
        "precision": 0.8,
        "specificity": round(86 / 88, 6),
        "negative_predictive_value": round(86 / 90, 6),
        "f1": round(16 / 22, 6),
    }
    assert all(metric.low < metric.value < metric.high for metric in found.values())
    assert set(Counts(0, 0, 3, 5).figures()) == {"recall", "specificity", "negative_predictive_value", "f1"}


def test_f1_intervals_cover_the_truth():
    generator, covered = np.random.default_rng(0), 0
    shares = np.array([0.2, 0.05, 0.1, 0.65])
    truth = 2 * shares[0] / (2 * shares[0] + shares[1] + shares[2])
    for counts in generator.multinomial(200, shares, size=400):
        metric = Counts(*map(int, counts)).figures()["f1"]
        covered += metric.low <= truth <= metric.high
    assert 0.92 <= covered / 400 <= 0.98


def test_the_roc_curve_has_the_area_of_the_auc():
    truth = np.array([True, False, True, True, False, False])
    scores = np.array([0.9, 0.8, 0.8, 0.6, 0.3, 0.1])
    curve = np.array(roc_curve(truth, scores))
    area = (np.diff(curve[:, 0]) * (curve[1:, 1] + curve[:-1, 1]) / 2).sum()
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    assert area == pytest.approx(7.5 / 9)


def lines(compared, name):
    table = next(table for table in compared.tables if table.name == name)
    return [dict(zip((column.key for column in table.columns), row, strict=True)) for row in table.rows]


@pytest.fixture
def two(tmp_path):
    names = ["abnormal", "normal_columnar"]
    factory.write_classification(
        tmp_path, accuracy=0.8, classes=2, classnames=names, protocol={"metric": "roc_auc"}, n=100
    )
    return tmp_path


def test_two_classes_at_a_threshold(two):
    (run,) = vlmbench.load_runs(two)
    samples = read_samples(run.run)
    (line,) = lines(vlmbench.compare(two, positive="Abnormal", threshold=0.9), "two_classes")
    said = 1 - samples["score"] >= 0.9
    found = counts_of(samples["label"] == 0, said).figures()
    assert [line[key].value for key in ("recall", "specificity", "precision", "negative_predictive_value")] == [
        found[key].value for key in ("recall", "specificity", "precision", "negative_predictive_value")
    ]
    assert (line["positive"].text, line["threshold"].text) == ("abnormal", "0.9")
    assert line["roc_auc"].value == run.metrics["roc_auc"].value
    compared = vlmbench.compare(two)
    (other,) = lines(compared, "two_classes")
    assert other["positive"].text == "normal_columnar"
    by_class = {line["class"].text: line["recall"].value for line in lines(compared, "per_class")}
    assert by_class["normal_columnar"] == other["recall"].value
    with pytest.raises(InputError, match="no two-class run has the class sick"):
        vlmbench.compare(two, positive="sick")
    with pytest.raises(UsageError, match="a threshold of 2"):
        vlmbench.compare(two, threshold=2)


def test_the_report_shows_the_surest_errors_of_one_run_and_the_open_matrix(two, tmp_path):
    page = vlmbench.compare(two).write_report(tmp_path / "report.html").read_text()
    assert "Surest errors: 8 images, most confident first" in page
    assert "<details open>\n<summary>Confusions</summary>" in page
    assert "normal_columnar</span></th>" in page
    assert ">ROC <span" in page
    factory.write_classification(
        two,
        "linear-probe",
        accuracy=0.9,
        classes=2,
        classnames=["abnormal", "normal_columnar"],
        n=100,
        seed=7,
        protocol={"metric": "roc_auc"},
    )
    assert "Neither is right: " in vlmbench.compare(two).write_report(tmp_path / "report.html").read_text()
