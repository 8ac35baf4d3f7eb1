"""Kendall's tau against its definition, and the bootstrap interval."""

import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.agreement import agreement


def taus(x, y):
    """Tau-b and tau-c, each judgement of an image of its own."""
    ((b, c),) = agreement([x], y, [str(i) for i in range(len(x))], 0, resamples=1)
    return b.value, c.value


def by_definition(x, y):
    """Tau-b and tau-c by looking at every pair."""
    n, s, tied_x, tied_y = len(x), 0, 0, 0
    for i in range(n):
        for j in range(i):
            s += int(np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]))
            tied_x += x[i] == x[j]
            tied_y += y[i] == y[j]
    pairs, m = n * (n - 1) / 2, min(len(set(x)), len(set(y)))
    return s / ((pairs - tied_x) * (pairs - tied_y)) ** 0.5, 2 * s / (n * n * (m - 1) / m)


@pytest.mark.parametrize("seed", range(8))
def test_tau_is_its_definition_with_ties(seed):
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 6, 60).astype(float).tolist()
    y = (np.asarray(x) // 2 + generator.integers(0, 4, 60)).tolist()
    b, c = by_definition(x, y)
    assert taus(x, y) == pytest.approx((b, c), abs=1e-12)
    ((tau_b, tau_c),) = agreement([x], y, [str(i) for i in range(60)], 0, resamples=100)
    assert (tau_b.value, tau_c.value) == pytest.approx((b, c), abs=1e-12)
    assert -1 <= tau_b.low < tau_b.value < tau_b.high <= 1


def test_a_monotone_metric_agrees_wholly_and_a_reversed_one_not_at_all():
    ratings = np.arange(30.0)
    groups = [str(i) for i in range(30)]
    up, down = agreement([np.exp(ratings / 10), -ratings], ratings, groups, 0, resamples=200)
    for tau in up:
        assert (tau.value, tau.low, tau.high) == pytest.approx((1, 1, 1), abs=1e-12)
    for tau in down:
        assert (tau.value, tau.low, tau.high) == pytest.approx((-1, -1, -1), abs=1e-12)


def test_scores_that_differ_by_rounding_are_tied_and_tiny_ones_are_not():
    assert taus([0.1 + 0.2, 0.3, 0.5], [1, 2, 3]) == pytest.approx(taus([1, 1, 2], [1, 2, 3]))
    assert taus([1e-16, 2e-16, 3e-16], [1, 2, 3])[0] == pytest.approx(1)


def test_ratings_of_few_levels_are_counted_as_scipy_counts(monkeypatch):
    from vlmbench.metrics import agreement as module

    generator = np.random.default_rng(7)
    y = generator.integers(1, 5, 90).astype(float)
    xs = [y + generator.integers(0, 4, 90), generator.normal(size=90)]
    groups = [str(i // 3) for i in range(90)]
    counted = agreement(xs, y, groups, 0, resamples=120)
    monkeypatch.setattr(module, "_LEVELS", 0)
    for one, other in zip(counted, agreement(xs, y, groups, 0, resamples=120), strict=True):
        for tau, again in zip(one, other, strict=True):
            assert (tau.value, tau.low, tau.high) == pytest.approx((again.value, again.low, again.high), abs=1e-12)


def test_two_judgements_and_one_image():
    assert taus([1, 2], [5, 3])[0] == -1
    assert taus([1, 2], [3, 5])[1] == 1
    ((tau, _),) = agreement([[1, 2, 3]], [1, 2, 2], ["a", "a", "a"], 0, resamples=100)
    assert tau.value > 0
    assert np.isnan([tau.low, tau.high]).all()


def test_images_are_drawn_whole():
    """Each judgement three times over in its image: the interval does not become narrower."""
    generator = np.random.default_rng(0)
    y = generator.integers(1, 5, 80).astype(float)
    x = y + generator.normal(0, 2, 80)
    groups = [str(i) for i in range(80)]
    once = agreement([x], y, groups, 3, resamples=300)[0][0]
    thrice = agreement([np.tile(x, 3)], np.tile(y, 3), groups * 3, 3, resamples=300)[0][0]
    assert thrice.value == pytest.approx(once.value)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.05)


def test_the_seed_decides_the_interval():
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=40), generator.integers(0, 4, 40)
    groups = [str(i // 2) for i in range(40)]
    first = agreement([x], y, groups, 0, resamples=100)
    assert first == agreement([x], y, groups, 0, resamples=100)
    assert first[0][0].low != agreement([x], y, groups, 1, resamples=100)[0][0].low


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(5)
    held = 0
    for trial in range(60):
        shared = generator.normal(size=50)
        x, y = shared + generator.normal(size=50), shared + generator.normal(size=50)
        tau = agreement([x], y, [str(i) for i in range(50)], trial, resamples=120)[0][0]
        held += tau.low <= 2 / np.pi * np.arcsin(0.5) <= tau.high
    assert held >= 50


def test_a_constant_metric_has_no_tau_and_constant_ratings_are_refused():
    groups = ["a", "b", "c"]
    constant, other = agreement([[1, 1, 1], [1, 2, 3]], [1, 2, 3], groups, 0, resamples=100)
    assert np.isnan([constant[0].value, constant[1].low]).all()
    assert other[0].value == pytest.approx(1)
    with pytest.raises(InputError, match="all ratings are equal"):
        agreement([[1, 2, 3]], [2, 2, 2], groups, 0)
    with pytest.raises(InputError, match="2 scores for 3 ratings"):
        agreement([[1, 2]], [1, 2, 3], groups, 0)
    with pytest.raises(InputError, match="finite"):
        agreement([[1, float("nan")]], [1, 2], groups[:2], 0)
