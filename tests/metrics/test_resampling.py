import numpy as np
import pytest

from vlmbench.foundations.errors import UsageError
from vlmbench.metrics.classification import metrics_from_samples, sample_columns
from vlmbench.metrics.stats.intervals import (
    effective_trials,
    iter_bootstrap_weights,
    t_interval,
    wilson,
)


def classification_metrics(probabilities, labels, *, metric_names, seed, resamples=1000):
    """Figures as from a per-sample file."""
    columns = sample_columns(probabilities, labels, [""] * len(labels))
    return metrics_from_samples(columns, metric_names, seed, resamples=resamples)


def test_weights_are_counts_of_n_draws_whatever_the_chunk():
    (whole,) = iter_bootstrap_weights(137, 50, seed=5)
    assert (whole.sum(axis=1) == 137).all()
    pieces = np.concatenate(list(iter_bootstrap_weights(137, 50, 5, chunk=400)))
    assert (pieces == whole).all()
    assert (next(iter_bootstrap_weights(137, 50, seed=6)) != whole).any()
    assert whole.var() == pytest.approx(1, abs=0.1)


def test_nothing_to_resample_is_an_error():
    with pytest.raises(UsageError):
        next(iter_bootstrap_weights(0, 10, 0))


def test_wilson_equals_its_published_example():
    low, high = wilson(81 / 263, 263)  # Newcombe 1998, table I: 81/263, score method
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0.0, 20)[0] == 0
    assert wilson(1.0, 20)[1] == 1


def test_effective_trials_of_even_classes_is_the_number_of_images():
    assert effective_trials(np.full(10, 0.7), np.full(10, 50)) == pytest.approx(500)
    assert effective_trials(np.array([0.5, 0.5]), np.array([1, 1000])) < 5


def test_t_interval_equals_the_textbook():
    low, high = t_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert (low, high) == pytest.approx((2.5 - 3.182446 * 1.290994 / 2, 2.5 + 3.182446 * 1.290994 / 2), rel=1e-5)


def test_the_accuracy_interval_covers_the_truth_in_93_5_to_96_5_percent():
    """Simulated datasets with a known accuracy: n from 100 to 5,000, accuracies from 0.05 to 0.98."""
    generator = np.random.default_rng(2024)
    covered = 0
    for _ in range(500):
        n, truth = int(np.exp(generator.uniform(np.log(100), np.log(5000)))), generator.uniform(0.05, 0.98)
        right = generator.random(n) < truth
        probabilities = np.where(right[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
        found = classification_metrics(probabilities, np.zeros(n, dtype=int), metric_names=("accuracy",), seed=0)[
            "accuracy"
        ]
        covered += found.low <= truth <= found.high
    assert 0.935 <= covered / 500 <= 0.965


def test_the_mean_per_class_interval_covers_the_truth_with_uneven_classes():
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(500):
        counts = generator.integers(2, 80, size=12)
        truths = generator.beta(4, 1.5, size=12)
        labels = np.repeat(np.arange(12), counts)
        right = generator.random(len(labels)) < truths[labels]
        probabilities = np.eye(12)[np.where(right, labels, (labels + 1) % 12)]
        found = classification_metrics(probabilities, labels, metric_names=("mean_per_class_accuracy",), seed=0)
        metric = found["mean_per_class_accuracy"]
        covered += metric.low <= truths.mean() <= metric.high
    assert 0.93 <= covered / 500 <= 0.98
