"""Test images for a difference, labels for a figure: against the definition, and where it cannot be said."""

import numpy as np
import pytest
from scipy.stats import binom

from vlmbench.foundations.errors import UsageError
from vlmbench.metrics.labels_needed import labels_needed
from vlmbench.metrics.power import approximate_images, images_needed, mcnemar_power, smallest_difference

SHOTS = [1, 2, 4, 8, 16, 32]


def by_enumeration(images, delta, disagreement):
    """Every outcome of McNemar's exact test with its probability."""
    total = 0.0
    for count in range(images + 1):
        wins = np.arange(count + 1)
        p = 2 * binom.cdf(np.minimum(wins, count - wins), count, 0.5)
        likely = binom.pmf(wins, count, (1 + delta / disagreement) / 2)
        total += binom.pmf(count, images, disagreement) * likely[p <= 0.05].sum()
    return total


@pytest.mark.parametrize(
    ("images", "delta", "disagreement"), [(60, 0.1, 0.3), (120, 0.05, 0.1), (33, 0.2, 0.2), (40, 0, 0.3)]
)
def test_the_power_is_the_exact_tests(images, delta, disagreement):
    assert mcnemar_power(images, delta, disagreement) == pytest.approx(
        by_enumeration(images, delta, disagreement), abs=1e-9
    )


@pytest.mark.parametrize(("delta", "disagreement"), [(0.02, 0.1), (0.05, 0.2), (0.1, 0.15)])
def test_the_planned_images_are_the_fewest_with_that_power(delta, disagreement):
    found = images_needed(delta, disagreement).images
    assert 0.8 <= mcnemar_power(found, delta, disagreement) < 0.81
    assert mcnemar_power(found - 1, delta, disagreement) < 0.8
    assert found == pytest.approx(approximate_images(delta, disagreement) + 2 / delta, rel=0.1)
    assert smallest_difference(found, disagreement) == pytest.approx(delta, abs=0.002)


def test_a_disagreement_that_was_estimated_gives_a_range():
    found = images_needed(0.02, 0.1, seen=1000)
    assert found.low < found.images < found.high
    assert (images_needed(0.02, 0.1).low, images_needed(0.0004, 0.3).images > 10**6) == (None, True)
    assert smallest_difference(5, 0.1) is None
    with pytest.raises(UsageError, match="cannot be 20 points apart"):
        images_needed(0.2, 0.1)
    with pytest.raises(UsageError, match="power= is 2"):
        images_needed(0.02, 0.1, power=2)


def curve(floor, height, exponent, spread, seed=0):
    random = np.random.default_rng(seed)
    return [list(1 - floor - height * k**-exponent + spread * k**-0.5 * random.standard_normal(5)) for k in SHOTS]


def test_labels_beyond_the_curve_are_said_with_a_range_that_holds_the_truth():
    values = curve(0.02, 0.4, 0.5, 0.004)
    found = labels_needed(SHOTS, values, 1 - 0.02 - 0.4 * 60**-0.5)
    assert found.low < 60 < found.high < 120
    assert found.low < found.value < found.high
    assert found.text.startswith(f"{found.value:.2g} (")
    assert found.sentence("A linear probe", "accuracy").startswith("For accuracy of 92.84 a linear probe needs about ")


def test_labels_inside_the_curve_are_too():
    found = labels_needed(SHOTS, curve(0.02, 0.4, 0.5, 0.004), 1 - 0.02 - 0.4 * 10**-0.5)
    assert found.low < 10 < found.high < 14


@pytest.mark.parametrize(
    ("values", "target", "why"),
    [
        (curve(0.1, 0.4, 0.5, 0.004), 0.95, "never reached"),
        (curve(0.02, 0.4, 0.5, 0.05), 0.94, "or more, or never"),
        (curve(0.02, 0.4, 0.5, 0.004), 0.1, "never reached|below 1 labels"),
        ([[0.5, 0.51, 0.5]] * 3 + [[0.9, 0.91, 0.9]] * 3, 0.95, "not a power law"),
        ([[0.5], [0.6], [0.7], [0.8], [0.85], [0.9]], 0.95, "three with several samples"),
    ],
)
def test_what_cannot_be_said_is_not(values, target, why):
    import re

    found = labels_needed(SHOTS, values, target)
    assert (found.value, found.high, found.text[:10]) == (None, None, "cannot say")
    assert re.search(why, found.why)
    assert "cannot say" in found.sentence("a linear probe", "accuracy")
