"""Majority and chance are what predictors that have seen no image really score, through our own metrics."""

import numpy as np
import pytest

from vlmbench.metrics.classification import metrics_from_samples, sample_columns
from vlmbench.metrics.reference import CHANCE, MAJORITY, class_counts, imbalance, not_better, references, unbeaten
from vlmbench.records.result import Metric


def scored(probabilities, labels, metric):
    columns = sample_columns(probabilities, labels, [""] * len(labels))
    return metrics_from_samples(columns, [metric], 0, resamples=0)[metric].value


@pytest.mark.parametrize("metric", ["accuracy", "accuracy_top5", "mean_per_class_accuracy"])
@pytest.mark.parametrize("train", [None, [1, 9, 2, 8, 3, 7, 40]])
def test_the_majority_predictor_of_one_label_images(metric, train):
    """Class 6 has no test image, so that the training split's favourite gets nothing at all."""
    labels = np.repeat(np.arange(6), [30, 7, 11, 13, 5, 4])
    counts = class_counts(labels, 7)
    wanted = np.asarray(counts if train is None else train, dtype=float)
    found = references(metric, counts, len(labels), train=None if train is None else np.array(train))
    assert found[MAJORITY] == pytest.approx(scored(np.tile(wanted / wanted.sum(), (70, 1)), labels, metric))
    assert found[CHANCE] == pytest.approx({"accuracy_top5": 5}.get(metric, 1) / 7)


def test_chance_is_the_mean_of_random_answers():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    for metric in ("accuracy", "mean_per_class_accuracy"):
        drawn = [scored(generator.random((100, 3)), labels, metric) for _ in range(2000)]
        value = references(metric, class_counts(labels, 3), 100)[CHANCE]
        assert np.mean(drawn) == pytest.approx(value, abs=4 * np.std(drawn) / 2000**0.5)


@pytest.mark.parametrize("metric", ["map", "map11", "roc_auc"])
def test_ranking_by_one_score_for_all_images(metric):
    labels = (np.random.default_rng(1).random((60, 4)) < [0.5, 0.1, 0.3, 0.02]).astype(np.uint8)
    labels[:, 3] = 0
    found = references(metric, class_counts(labels, 4), 60, multilabel=True)
    assert found == {CHANCE: pytest.approx(scored(np.full((60, 4), 0.3), labels, metric))}


def test_two_classes_by_roc_auc_have_both_rows_at_a_half():
    labels = np.repeat([0, 1], [77, 23])
    assert references("roc_auc", class_counts(labels, 2), 100) == {MAJORITY: 0.5, CHANCE: 0.5}
    assert scored(np.tile([0.8, 0.2], (100, 1)), labels, "roc_auc") == 0.5


@pytest.mark.parametrize("metric", ["ece", "brier"])
def test_calibration_has_no_reference(metric):
    assert references(metric, np.array([5, 5]), 10) == {}


def test_a_figure_beats_what_its_whole_interval_is_above():
    known = {MAJORITY: 0.77, CHANCE: 0.5}
    assert unbeaten(Metric(value=0.761, low=0.71, high=0.81), known) == (MAJORITY, 0.77)
    assert unbeaten(Metric(value=0.80, low=0.77, high=0.83), known) == (MAJORITY, 0.77)
    assert unbeaten(Metric(value=0.85, low=0.8, high=0.89), known) is None
    assert unbeaten(Metric(value=0.5, low=0.4, high=0.6), {MAJORITY: 0.5, CHANCE: 0.5}) == (CHANCE, 0.5)
    assert unbeaten(Metric(value=0.78), known) is None
    assert unbeaten(Metric(value=0.1), {}) is None
    assert not_better(CHANCE, 1 / 7) == "not better than chance (14.3)"


@pytest.mark.parametrize(
    ("counts", "times"),
    [([77, 23], 77 / 23), ([10, 10, 10], 1), ([20, 10, 0, 10], 2), ([50], 1), ([0, 9], 1), ([66, 33], 2)],
)
def test_imbalance_is_the_largest_class_over_the_mean_of_the_others(counts, times):
    assert imbalance(np.array(counts)) == pytest.approx(times)
