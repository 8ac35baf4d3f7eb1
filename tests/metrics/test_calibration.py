from itertools import pairwise

import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.calibration import calibration_bins, equal_mass_bins
from vlmbench.metrics.classification import metrics_from_samples, sample_columns


def classification_metrics(probabilities, labels, *, metric_names, seed, resamples=1000):
    """Figures as from a per-sample file."""
    columns = sample_columns(probabilities, labels, [""] * len(labels))
    return metrics_from_samples(columns, metric_names, seed, resamples=resamples)


def error(confidence, correct):
    columns = {"confidence": confidence, "prediction": np.asarray(correct, dtype=int), "label": np.ones(len(correct))}
    return metrics_from_samples(columns, ["ece"], 0, resamples=0)["ece"].value


def test_the_error_is_the_bins_gap_by_hand():
    assert error(np.array([0.9, 0.9, 0.6, 0.6]), [True, True, True, False]) == pytest.approx((0.1 + 0.1) / 2)


def test_bins_hold_equal_numbers_and_cover_everything():
    confidence = np.random.default_rng(0).random(1000)
    order, starts = equal_mass_bins(confidence)
    sizes = np.diff(np.append(starts, 1000))
    assert len(starts) == 15
    assert sizes.max() - sizes.min() <= 1
    assert sorted(order.tolist()) == list(range(1000))
    rows = calibration_bins(confidence, confidence > 0.5)
    assert sum(row["n"] for row in rows) == 1000
    assert all(low["high"] <= high["low"] for low, high in pairwise(rows))


def test_equal_confidences_stay_together():
    confidence = np.array([1.0] * 50 + [0.5] * 7)
    _, starts = equal_mass_bins(confidence)
    assert starts.tolist() == [0, 7]


def test_true_probabilities_have_almost_no_error_and_boasting_has_its_own():
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.3, 1, 20_000)
    honest = generator.random(20_000) < confidence
    assert error(confidence, honest) < 0.015
    assert error(np.full(20_000, 0.9), generator.random(20_000) < 0.6) == pytest.approx(0.3, abs=0.02)


def test_the_interval_holds_the_value_of_a_calibrated_model():
    generator = np.random.default_rng(2)
    confidence = generator.uniform(0.5, 1, 600)
    labels = (generator.random(600) >= confidence).astype(int)
    found = classification_metrics(np.c_[confidence, 1 - confidence], labels, metric_names=("ece",), seed=0)["ece"]
    assert 0 <= found.low <= found.value <= found.high < 0.2


def test_no_images_is_an_error():
    with pytest.raises(InputError):
        error(np.zeros(0), [])
