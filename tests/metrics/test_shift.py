"""Losses under shift and effective robustness, against formulas written out and simulated test sets."""

import numpy as np
import pytest
from scipy import special, stats

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.shift import effective_robustness, extra_loss, loss


def shares(*counts: int) -> np.ndarray:
    """1 for the first count, 0 for the second."""
    return np.repeat([1.0, 0.0], counts)


def test_a_loss_has_the_interval_of_agresti_and_caffo():
    found = loss(shares(90, 10), shares(30, 20))
    p, q = 91 / 102, 31 / 52
    half = stats.norm.ppf(0.975) * np.sqrt(p * (1 - p) / 102 + q * (1 - q) / 52)
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((p - q - half, p - q + half))


def test_a_difference_of_losses_is_paired_on_the_images():
    """Per image the second is subtracted: what both get right or wrong adds nothing to the interval."""
    own = np.array([1, 1, 1, 0, 1] * 40, float), np.array([1, 1, 0, 0, 1] * 40, float)
    shifted = np.array([1, 0, 1, 0, 0] * 30, float), np.array([1, 0, 1, 1, 0] * 30, float)
    found = extra_loss(own, shifted)
    assert found.value == pytest.approx(0.2 + 0.2)
    gaps = [np.concatenate([a - b, [0.5, -0.5]]) for a, b in (own, shifted)]
    assert found.low < found.value < found.high
    n, m = len(own[0]) + 1, len(shifted[0]) + 1
    means = [gap[:-2].sum() / size for gap, size in zip(gaps, (n, m), strict=True)]
    squares = [((gap[:-2] ** 2).sum() + 1) / size for gap, size in zip(gaps, (n, m), strict=True)]
    variance = sum((s - mean**2) / size for s, mean, size in zip(squares, means, (n, m), strict=True))
    half = special.ndtri(0.975) * variance**0.5
    assert (found.low, found.high) == pytest.approx((means[0] - means[1] - half, means[0] - means[1] + half))
    swapped = extra_loss(own[::-1], shifted[::-1])
    assert (swapped.value, swapped.low, swapped.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_the_same_images_corrupted_are_paired_too():
    generator = np.random.default_rng(0)
    probe, zero = (generator.random((2, 500)) < 0.8).astype(float)
    worse = probe * (generator.random(500) < 0.9), zero * (generator.random(500) < 0.95)
    apart, paired = (extra_loss((probe, zero), worse, same_images=same) for same in (False, True))
    assert paired.value == pytest.approx(apart.value)
    assert paired.high - paired.low < 0.7 * (apart.high - apart.low)
    assert loss(probe, worse[0], same_images=True).low < loss(probe, worse[0]).value


def test_what_cannot_be_compared_is_refused():
    for own, shifted, same in (((3, 4), (2, 2), False), ((0, 0), (2, 2), False), ((3, 3), (2, 2), True)):
        with pytest.raises(InputError):
            extra_loss((np.ones(own[0]), np.ones(own[1])), (np.ones(shifted[0]), np.ones(shifted[1])), same_images=same)


def test_the_interval_covers_the_true_difference():
    """`benchmarks/shift_coverage.py` does this at length; a quick look with a wide band."""
    generator = np.random.default_rng(3)
    truth, held = (0.09 - 0.03) - (0.10 - 0.20), 0
    for _ in range(400):
        sets = []
        for n, p in ((300, [0.86, 0.09, 0.03, 0.02]), (200, [0.55, 0.10, 0.20, 0.15])):
            kind = generator.choice(4, n, p=p)
            sets.append((np.isin(kind, (0, 1)).astype(float), np.isin(kind, (0, 2)).astype(float)))
        found = extra_loss(*sets)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_effective_robustness_is_the_distance_above_the_line_on_logit_axes():
    generator = np.random.default_rng(0)
    own_true, slope, intercept = np.array([0.6, 0.7, 0.8, 0.9, 0.85]), 0.8, -0.9
    shifted_true = special.expit(slope * special.logit(own_true) + intercept)
    shifted_true[4] += 0.15
    own = (generator.random((4000, 5)) < own_true).astype(float)
    shifted = (generator.random((3000, 5)) < shifted_true).astype(float)
    baselines = np.array([True, True, True, True, False])
    found = effective_robustness(own, shifted, baselines)
    x, y = special.logit(own.mean(axis=0)), special.logit(shifted.mean(axis=0))
    fitted = np.polyfit(x[:4], y[:4], 1)
    assert (found.line.slope, found.line.intercept) == pytest.approx(tuple(fitted))
    above = shifted.mean(axis=0) - special.expit(np.polyval(fitted, x))
    assert [one.value for one in found.above] == pytest.approx(above.tolist())
    assert found.line.at(float(own[:, 4].mean())) == pytest.approx(float(shifted[:, 4].mean() - above[4]))
    zero_shot = found.above[4]
    assert zero_shot.low < 0.15 < zero_shot.high < zero_shot.low + 0.12
    assert all(one.low <= one.value <= one.high for one in found.above)


def test_a_line_needs_three_different_baselines_and_stands_perfect_scores():
    own, shifted = np.ones((50, 4)), np.zeros((40, 4))
    own[:5, 1], own[:10, 2] = 0, 0
    shifted[:20, :3] = 1
    assert effective_robustness(own[:, [0, 0, 1]], shifted[:, :3], np.array([True] * 3)) is None
    found = effective_robustness(own, shifted, np.array([True, True, True, False]))
    assert found is not None
    assert np.isfinite([one.value for one in found.above]).all()
