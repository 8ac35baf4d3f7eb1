import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.crossing import labels_to_match


def test_interpolates_in_the_logarithm_of_the_labels():
    found = labels_to_match([1, 4, 16], [[0.2], [0.4], [0.6]], 0.5, seed=0)
    assert found["value"] == pytest.approx(8)
    assert found["text"] == "8.0"
    assert found["low"] is None
    assert "8.0 labelled images per class" in found["sentence"]


def test_outside_the_curve_is_said_as_such():
    below = labels_to_match([1, 2], [[0.5, 0.6], [0.7, 0.8]], 0.4, seed=0)
    above = labels_to_match([1, 2, 32], [[0.5, 0.6], [0.7, 0.8], [0.8, 0.8]], 0.9, seed=0)
    assert (below["value"], below["text"], below["interval"]) == (None, "< 1", "< 1 to < 1")
    assert (above["value"], above["text"]) == (None, "> 32")
    assert "fewer than 1" in below["sentence"]
    assert "more than 32" in above["sentence"]


def test_the_interval_comes_from_the_seeds_and_covers_the_crossing():
    """Curves a + b log2 k with a seed's own a: the true crossing lies in the interval in most simulated experiments."""
    generator = np.random.default_rng(0)
    shots, truth, covered = [1, 2, 4, 8, 16, 32], 2**2.5, 0
    for trial in range(60):
        values = [[0.4 + 0.1 * np.log2(k) + shift for shift in generator.normal(0, 0.03, size=10)] for k in shots]
        found = labels_to_match(shots, values, 0.65, seed=trial)
        assert found["low"] <= found["value"] <= found["high"]
        covered += found["low"] <= truth <= found["high"]
    assert 50 <= covered <= 60


def test_part_of_the_interval_may_lie_beyond_the_curve():
    found = labels_to_match([1, 2], [[0.3, 0.3, 0.3], [0.5, 0.6, 0.7]], 0.59, seed=0)
    assert found["value"] is not None
    assert found["high"] is None
    assert found["interval"].endswith("to > 2")


def test_a_curve_that_dips_is_read_at_its_first_crossing():
    assert labels_to_match([1, 2, 4, 8], [[0.1], [0.5], [0.3], [0.7]], 0.5, seed=0)["value"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("shots", "values"),
    [([], []), ([1, 2], [[0.1]]), ([2, 1], [[0.1], [0.2]]), ([1, 2], [[0.1, 0.2, 0.3], [0.2, 0.1]])],
)
def test_a_curve_that_is_none_is_an_error(shots, values):
    with pytest.raises(InputError):
        labels_to_match(shots, values, 0.5, seed=0)
