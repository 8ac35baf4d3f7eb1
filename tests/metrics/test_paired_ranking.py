import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.classification import metrics_from_samples
from vlmbench.metrics.spec import classification_specs
from vlmbench.metrics.stats.paired_ranking import paired_ranking

RANKED = [spec.name for spec in classification_specs() if spec.test == "ranking"]

_spec = importlib.util.spec_from_file_location(
    "ranking_tests", Path(__file__).parents[2] / "benchmarks" / "ranking_tests.py"
)
bench = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bench)


def binary(truth, scores):
    return {"id": np.arange(len(truth)), "label": np.asarray(truth), "score": np.asarray(scores, dtype=float)}


def delong_as_published(truth, one, two):
    """DeLong et al. 1988, equations 3 to 5, as they stand: over all pairs of images, in plain loops."""
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(1 - truth)

    def psi(scores, i, j):
        return 1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0

    v10 = [[np.mean([psi(scores, i, j) for j in negatives]) for i in positives] for scores in (one, two)]
    v01 = [[np.mean([psi(scores, i, j) for i in positives]) for j in negatives] for scores in (one, two)]
    s = np.cov(v10) / len(positives) + np.cov(v01) / len(negatives)
    return np.mean(v10[0]) - np.mean(v10[1]), s[0, 0] + s[1, 1] - 2 * s[0, 1]


def test_delong_is_the_published_formula():
    generator = np.random.default_rng(0)
    truth = (generator.random(60) < 0.3).astype(int)
    both = generator.normal(size=60)
    one, two = (np.round(signal * truth + both + generator.normal(size=60), 1) for signal in (1.5, 0.8))
    value, low, high, p = paired_ranking(binary(truth, one), binary(truth, two), "roc_auc", 0)
    wanted, variance = delong_as_published(truth, one, two)
    assert value == pytest.approx(wanted)
    assert (high - low) / 2 == pytest.approx(1.959964 * variance**0.5)
    from scipy import stats

    assert p == pytest.approx(2 * stats.norm.sf(abs(wanted) / variance**0.5))
    back = paired_ranking(binary(truth, two), binary(truth, one), "roc_auc", 1)
    assert back == pytest.approx((-value, -high, -low, p))


@pytest.mark.parametrize("metric", RANKED)
def test_the_difference_is_that_of_the_two_figures(metric):
    first, second = bench.systems(np.random.default_rng(2), 200, 4, 0.2, (1.5, 1.0), 0.3)
    first["labels"][0][:] = second["labels"][0][:] = 0
    figures = [metrics_from_samples(columns, [metric], 0, resamples=0)[metric].value for columns in (first, second)]
    value, low, high, p = paired_ranking(first, second, metric, 0)
    assert value == pytest.approx(figures[0] - figures[1])
    assert low < value < high
    assert paired_ranking(first, second, metric, 0) == (value, low, high, p)
    assert paired_ranking(first, first, metric, 0)[::3] == (0, 1)


@pytest.mark.parametrize("metric", RANKED)
@pytest.mark.parametrize(("n", "classes", "share"), [(150, 1, 0.25), (200, 3, 0.2)])
def test_without_a_difference_about_one_in_twenty_is_rejected(metric, n, classes, share):
    pairs = 300
    rejected = bench.rejected(pairs, n, classes, share, 0.5, metric)
    assert rejected <= 0.05 + 2.5 * (0.05 * 0.95 / pairs) ** 0.5


@pytest.mark.parametrize("metric", RANKED)
def test_a_clear_difference_has_a_p_that_outlives_holm_and_costs_little(metric):
    """Before: 1/1001 at best, after 18 to 26 seconds."""
    first, second = bench.systems(np.random.default_rng(1), 10_000, 20, 0.08, (2.0, 1.8), 0.5)
    start = time.process_time()
    *_, p = paired_ranking(first, second, metric, 0)
    assert time.process_time() - start < 5  # a second on a quiet machine
    assert p < 1e-10


def test_few_shot_seeds_are_one_mean_and_images_count_once():
    """Five copies of one seed are no more evidence than the one."""
    generator = np.random.default_rng(3)
    truth = np.repeat([0, 1], 60)
    one, two = (signal * truth + generator.normal(size=120) for signal in (1.2, 0.8))

    def copies(scores):
        columns = binary(np.tile(truth, 5), np.tile(scores, 5))
        return columns | {"seed": np.repeat(np.arange(5), 120), "id": np.tile(np.arange(120), 5)}

    alone = paired_ranking(binary(truth, one), binary(truth, two), "roc_auc", 0)
    assert paired_ranking(copies(one), copies(two), "roc_auc", 0) == pytest.approx(alone)


def test_rankings_without_spread():
    truth = np.array([0] * 20 + [1] * 20)
    right, wrong = binary(truth, truth), binary(truth, 1 - truth)
    assert paired_ranking(right, right, "roc_auc", 0) == (0, 0, 0, 1)
    assert paired_ranking(right, wrong, "roc_auc", 0)[3] == pytest.approx(2.0**-19)
    assert paired_ranking(binary([0, 1], [0, 1]), binary([0, 1], [1, 0]), "roc_auc", 0)[3] > 0.05


def test_one_image_of_a_kind_is_not_taken_for_certain():
    truth = np.array([1] + [0] * 200)
    generator = np.random.default_rng(0)
    one, two = (binary(truth, signal * truth + generator.normal(size=201)) for signal in (3.0, -3.0))
    assert paired_ranking(one, two, "roc_auc", 0)[3] > 0.05
    assert paired_ranking(one, two, "map", 0)[3] > 0.05


def test_a_set_without_two_kinds_of_images_is_refused():
    with pytest.raises(InputError, match="both"):
        paired_ranking(binary([1, 1], [0, 1]), binary([1, 1], [1, 0]), "roc_auc", 0)
