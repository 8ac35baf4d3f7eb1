"""Figures of each class and of two-class sets at a threshold; what the report shows of errors."""

import factory
import numpy as np
import pytest

import vlmbench
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.metrics.classification import metrics_from_samples, sample_columns, softmax
from vlmbench.metrics.one_vs_rest import (
    Counts,
    areas,
    chosen_threshold,
    class_scores,
    counts_of,
    roc_curve,
    score_bins,
)
from vlmbench.records.classification import wrong_probabilities
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


def drawn(generator, n, classes, apart=1.0):
    """Labels of a few classes, and their probabilities."""
    labels = generator.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    logits = generator.normal(size=(n, classes))
    logits[np.arange(n), labels] += apart
    return labels, softmax(logits)


def test_areas_against_the_rest_are_scikit_learns_and_of_two_classes_that_of_the_record():
    from sklearn.metrics import roc_auc_score

    labels, scores = drawn(np.random.default_rng(0), 200, 4)
    each, mean = areas(labels, scores)
    assert mean.value == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr"))
    assert [one.value for one in each] == pytest.approx(
        [roc_auc_score(labels == index, scores[:, index]) for index in range(4)]
    )
    assert all(one.low < one.value < one.high for one in [*each, mean])
    labels, scores = drawn(np.random.default_rng(0), 100, 2)
    known = metrics_from_samples(sample_columns(scores, labels, [""] * 100), ["roc_auc"], 0, resamples=0)["roc_auc"]
    assert areas(labels, scores)[1].value == pytest.approx(known.value)
    nobody, mean = areas(np.array([0, 1, 1]), np.eye(3)[[0, 1, 1]])
    assert nobody[2] is None
    assert (mean.value, mean.high) == (1, 1)
    assert 0.3 < mean.low < 1
    assert areas(np.array([0, 1, 1]), np.eye(3)[[1, 0, 0]])[1].low == 0


def test_intervals_of_areas_cover_the_truth():
    generator = np.random.default_rng(1)
    each, mean = areas(*drawn(generator, 100_000, 3))
    hits = np.zeros(4)
    for _ in range(200):
        found, middle = areas(*drawn(generator, 150, 3))
        pairs = zip([*found, middle], [*each, mean], strict=True)
        hits += [one.low <= true.value <= one.high for one, true in pairs]
    assert (hits / 200 > 0.91).all()


def test_samples_of_a_few_classes_have_every_probability_and_it_is_verified(tmp_path):
    labels, scores = drawn(np.random.default_rng(2), 30, 3)
    columns = sample_columns(scores, labels, [str(row) for row in range(30)])
    assert np.array_equal(class_scores(columns), scores.astype(np.float32))
    assert "probabilities" not in sample_columns(np.full((1, 51), 1 / 51), np.zeros(1, int), ["a"])
    record = factory.write_classification(tmp_path, classes=3, n=30).record
    assert wrong_probabilities(record, columns) == []
    columns["probabilities"][4] = columns["probabilities"][4][[1, 2, 0]]
    assert wrong_probabilities(record, columns) == ["probabilities: those of row 4 do not agree with its other columns"]
    columns["probabilities"] = columns["probabilities"][:, :2]
    assert wrong_probabilities(record, columns) == ["probabilities: there are 2 an image, and 3 classes"]


@pytest.mark.parametrize("n", [40, 3000])
def test_a_threshold_has_what_was_asked_for_on_the_images_it_was_chosen_on(n):
    generator = np.random.default_rng(n)
    labels = generator.integers(0, 2, n)
    scores = np.clip(generator.normal(0.35 + 0.3 * labels, 0.2), 0, 1)
    bins = score_bins(labels, scores)
    assert len(bins[0]) <= 400
    for positive in (0, 1):
        of_class, truth = scores if positive else 1 - scores, labels == positive
        for rule in ("sensitivity", "specificity", "youden"):
            at, *both = chosen_threshold(*bins, positive, rule, 0.9)
            found = counts_of(truth, of_class >= at).figures()
            assert both == pytest.approx([found["recall"].value, found["specificity"].value])
            if rule == "sensitivity":
                assert both[0] >= 0.9
                assert counts_of(truth, of_class >= at + 0.1).figures()["recall"].value < 0.9
            elif rule == "specificity":
                assert both[1] >= 0.9


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
    for wrong in (2, "sensitivity=2", "recall=0.9", "nan"):
        with pytest.raises(UsageError, match=f"a threshold of {wrong}"):
            vlmbench.compare(two, threshold=wrong)
    with pytest.raises(InputError, match="no run has validation images to choose a threshold on"):
        vlmbench.compare(two, threshold="youden")
    scores = {"source": "the val split", "starts": [0.1, 0.4, 0.7], "images": [[5, 0], [1, 1], [0, 4]]}
    names = ["abnormal", "normal_columnar"]
    detail = {"validation_scores": scores}
    protocol = {"metric": "roc_auc"}
    factory.write_classification(
        two, "linear-probe", accuracy=0.9, classnames=names, n=100, detail=detail, seed=3, protocol=protocol
    )
    zero, probe = lines(vlmbench.compare(two, threshold="sensitivity=0.9"), "two_classes")
    assert (zero["threshold"].text, zero["chosen_on"].text) == ("0.5", "not chosen: no validation images")
    assert (probe["threshold"].text, probe["chosen_on"].text) == (
        "0.4",
        "sensitivity of at least 90 on 11 validation images (the val split): sensitivity 100.0, specificity 83.3",
    )


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
