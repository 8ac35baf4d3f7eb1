import numpy as np
import pytest

from vlmbench.heads.logistic import Fit, Trainer
from vlmbench.heads.oracle import SklearnTrainer
from vlmbench.heads.search import COARSE, search_strength


class Curve:
    """A trainer whose validation figure is a known function of the exponent."""

    def __init__(self):
        self.starts = []

    def fit(self, c, *, start=None, tol=0.0, max_iter=0):
        self.starts.append(start)
        return Fit(np.zeros((1, 1)), np.zeros(1), c=c, iterations=1, converged=True), c


@pytest.mark.parametrize("peak", [-6.0, -3.2, 0.3, 1.1, 5.9])
def test_finds_the_peak_among_the_96_strengths(peak):
    """A single-peaked curve: the answer is one of the grid's eighths of a decade nearest to the peak."""
    tried = []

    def validate(fit):
        tried.append(np.log10(fit.c))
        return -abs(np.log10(fit.c) - peak), 1.0

    found = search_strength(Curve(), validate)
    assert abs(np.log10(found.best.c) - peak) <= 0.0625 + 1e-9
    assert np.allclose(tried[:7], COARSE)
    assert len(tried) <= 15
    assert len(tried) == len({round(exponent, 6) for exponent in tried})
    assert min(tried) >= -6
    assert max(tried) <= 6
    assert [trial.exponent for trial in found.trials] == sorted(trial.exponent for trial in found.trials)


def test_each_fit_starts_from_its_nearest_neighbour():
    curve = Curve()
    search_strength(curve, lambda fit: (-abs(np.log10(fit.c)), 1.0))
    assert curve.starts[0] is None
    assert curve.starts[1] == pytest.approx(1e-6)
    assert curve.starts[7] == pytest.approx(1e-2)


def test_among_equals_the_log_loss_decides_then_the_stronger_penalty():
    assert search_strength(Curve(), lambda fit: (0.5, abs(np.log10(fit.c) - 2))).best.c == pytest.approx(100)
    assert search_strength(Curve(), lambda fit: (0.5, 1.0)).best.c == pytest.approx(1e-6)


def test_the_whole_search_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(5, 20))
    y = np.arange(200) % 5
    x = (centres[y] + 2 * generator.normal(size=(200, 20))).astype(np.float32)

    def validate(fit):
        probabilities = fit.probabilities(x[120:])
        own = probabilities[np.arange(80), y[120:]]
        return float((probabilities.argmax(axis=1) == y[120:]).mean()), float(-np.log(own).mean())

    ours = search_strength(Trainer(x[:120], y[:120]), validate)
    theirs = search_strength(SklearnTrainer(x[:120], y[:120], classes=5), validate)
    assert ours.best.c == theirs.best.c
    for one, other in zip(ours.trials, theirs.trials, strict=True):
        assert one.exponent == other.exponent
        if one.exponent <= 3:
            assert one.score == other.score
            assert one.log_loss == pytest.approx(other.log_loss, rel=1e-3)
