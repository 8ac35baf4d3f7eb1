import numpy as np
import pytest
from scipy import stats

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.stats.paired import holm, mcnemar_exact, paired_bootstrap


def test_mcnemar_is_the_binomial_test_on_the_discordant_images():
    a = np.array([1] * 9 + [0] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    b = np.array([0] * 9 + [1] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    assert mcnemar_exact(a, b) == pytest.approx(stats.binomtest(2, 11).pvalue)
    assert mcnemar_exact(a, b) == mcnemar_exact(b, a)
    assert mcnemar_exact(a, a) == 1
    assert mcnemar_exact([True, False], [False, True]) == 1


@pytest.mark.parametrize("kind", ["right or wrong", "scores"])
def test_without_a_difference_at_most_one_in_twenty_is_rejected(kind):
    generator = np.random.default_rng(11)
    rejected = {"mcnemar": 0, "bootstrap": 0}
    trials = 400
    for trial in range(trials):
        if kind == "scores":
            both = generator.gamma(1, size=60)
            a, b = both * generator.gamma(2, size=60), both * generator.gamma(2, size=60)
        else:
            ease = generator.beta(2, 1, size=60)
            a, b = (generator.random((2, 60)) < ease).astype(float)
            rejected["mcnemar"] += mcnemar_exact(a, b) <= 0.05
        rejected["bootstrap"] += paired_bootstrap(a, b, trial, resamples=400)[3] <= 0.05
    allowed = 0.05 * trials + 2 * (0.05 * 0.95 * trials) ** 0.5
    assert max(rejected.values()) <= allowed, rejected


def test_a_true_difference_is_found_and_lies_in_its_interval():
    generator = np.random.default_rng(3)
    a = generator.random(500) + 0.1
    b = a - 0.05 + 0.1 * generator.normal(size=500)
    difference, low, high, p = paired_bootstrap(a, b, seed=1)
    assert difference == pytest.approx((a - b).mean())
    assert low < difference < high
    assert low < 0.05 < high
    assert p < 0.001


def test_the_bootstrap_interval_is_that_of_the_t_test_on_smooth_data():
    a, b = np.random.default_rng(4).normal(size=(2, 400))
    _, low, high, p = paired_bootstrap(a, b, seed=0)
    exact = stats.ttest_rel(a, b)
    interval = exact.confidence_interval()
    assert (low, high) == pytest.approx((interval.low, interval.high), abs=0.006)
    assert p == pytest.approx(exact.pvalue, abs=0.02)


def test_repeated_values_take_the_short_way_to_the_same_law():
    generator = np.random.default_rng(5)
    a, b = (generator.random((2, 300)) < [[0.7], [0.6]]).astype(float)
    short = paired_bootstrap(a, b, seed=0)
    long = paired_bootstrap(a + 1e-9 * generator.random(300), b, seed=0)
    assert short[1:3] == pytest.approx(long[1:3], abs=0.006)


def test_degenerate_pairs():
    assert paired_bootstrap([1, 1, 1], [1, 1, 1], 0) == (0, 0, 0, 1)
    assert paired_bootstrap([1, 1, 1], [0, 0, 0], 0)[3] < 0.001
    assert paired_bootstrap([1], [0], 0)[3] == 1
    for first, second in (([], []), ([1], [1, 2]), ([[1]], [[1]])):
        with pytest.raises(InputError):
            mcnemar_exact(first, second)


def test_holm_steps_down_and_stays_in_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []
