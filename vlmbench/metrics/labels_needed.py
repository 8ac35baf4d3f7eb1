"""How many labels per class a wanted figure takes: a few-shot curve extended by a power law, or "cannot say".

The error falls as a + b k^-c with k labels per class (Hestness et al. 2017, section 2; Rosenfeld et al. 2020). The
interval is a profile likelihood's: all k at which some such curve reaches the figure and fits the points not
significantly worse than the best (Bates and Watts 1988, section 6.1). It is given only where it ends within `REACH`
times the labels seen, and where a power law fits at all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH = 10
"""A curve is extended to so many times the labels that were seen."""

LEVEL = 0.95
_FEWEST = 4
_FLATTEST, _STEEPEST = 0.02, 3.0
_STEPS = 300


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels per class that a figure takes.

    Attributes:
        target: the figure, 0 to 1.
        value: labels per class by the best fit; None where that cannot be said.
        low, high: the 95 % interval; `low` alone: more than that.
        text: ``71 (38 to 160)``, ``cannot say``, ``cannot say; more than 38``.
        why: why it cannot be said; empty where it can.
    """

    target: float
    value: float | None
    low: float | None
    high: float | None
    text: str
    why: str = ""

    @property
    def interval(self) -> str:
        """``38 to 160``; empty where it cannot be said."""
        return "" if self.low is None or self.high is None else f"{_round(self.low)} to {_round(self.high)}"

    def sentence(self, head: str, metric: str) -> str:
        """For people."""
        head, wanted = head[:1].lower() + head[1:], f"{metric} of {100 * self.target:.4g}"
        if self.value is None:
            more = f" More than {_round(self.low)}." if self.low is not None else ""
            return f"The curve cannot say how many labels per class {head} needs for {wanted}: {self.why}.{more}"
        labels = f"{_round(self.value)} labelled images per class (95 % interval {self.interval})"
        return f"For {wanted} {head} needs about {labels}."


def labels_needed(labels: Sequence[float], values: Sequence[Sequence[float]], target: float) -> LabelsNeeded:
    """The labels per class at which the mean curve reaches a figure, inside what was measured or beyond. `labels` [J]
    increase from above 0; `values` are the figures of all samples for each of them, 0 to 1 and higher better; a single
    figure has the spread that the others lead one to expect."""
    counts = np.array([len(row) for row in values])
    if len(labels) < _FEWEST or (counts > 1).sum() < 3:
        return _unknown(target, f"the curve has {len(labels)} points; it takes {_FEWEST}, three with several samples")
    k = np.asarray(labels, np.float64)
    error = 1 - np.array([np.mean(row) for row in values])
    variance, freedom = _variances(k, values)
    weights = counts / variance
    wanted = 1 - target
    grid = np.geomspace(k[0], k[-1] * REACH, _STEPS)
    profile = np.array([_best_through(k, error, weights, wanted, place) for place in grid])
    best = min(float(profile.min()), _best(k, error, weights))
    from scipy import special

    left = len(k) - 3
    if left > 0 and special.fdtrc(left, freedom, best / left) < 0.01:
        return _unknown(target, "the curve is not a power law")
    worse = max(1.0, best / left) if left > 0 else 1.0  # what the fit leaves beyond the samples' spread
    inside = profile <= best + worse * float(special.fdtri(1, freedom, LEVEL))
    low = float(grid[inside.argmax()]) if inside.any() else None
    if low is None:
        return _unknown(
            target, f"the figure lies beyond {k[-1] * REACH:.3g} labels per class, or is never reached", k[-1] * REACH
        )
    if inside[-1]:
        more = low if low > k[0] * 1.001 else None
        return _unknown(target, f"up to {k[-1] * REACH:.3g} labels per class, or more, or never", more)
    if inside[0]:
        return _unknown(target, f"it may be reached below {k[0]:g} labels per class")
    last = len(grid) - 1 - int(inside[::-1].argmax())
    value, low, high = float(grid[profile.argmin()]), float(grid[inside.argmax() - 1]), float(grid[last + 1])
    return LabelsNeeded(target, value, low, high, f"{_round(value)} ({_round(low)} to {_round(high)})")


def _unknown(target: float, why: str, low: float | None = None) -> LabelsNeeded:
    more = f"; more than {_round(low)}" if low is not None else ""
    return LabelsNeeded(target, None, low, None, f"cannot say{more}", why)


def _round(labels: float) -> str:
    return f"{labels:.2g}" if labels < 100 else f"{round(labels, 1 - int(math.log10(labels))):.0f}"


def _variances(k: NDArray[np.float64], values: Sequence[Sequence[float]]) -> tuple[NDArray[np.float64], int]:
    """[J] variances of a figure, log-linear in log labels, and the degrees of freedom they come from."""
    many = [place for place, row in enumerate(values) if len(row) > 1]
    spread = np.array([max(float(np.var(values[place], ddof=1)), 1e-8) for place in many])
    slope, start = np.polyfit(np.log(k[many]), np.log(spread), 1)
    freedom = sum(len(values[place]) - 1 for place in many)
    shape = np.exp(start + slope * np.log(k))
    scale = float(np.average(spread / shape[many], weights=[len(values[place]) - 1 for place in many]))
    return shape * scale, max(1, freedom - 1)


def _least(squares: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> float:
    """The least of a function of the exponent, by a grid that is made finer around its minimum."""
    low, high = math.log(_FLATTEST), math.log(_STEEPEST)
    least = math.inf
    for _ in range(5):
        exponents = np.linspace(low, high, 25)
        found = squares(np.exp(exponents)[:, None])
        place, step = int(found.argmin()), exponents[1] - exponents[0]
        low, high = exponents[place] - step, exponents[place] + step
        least = min(least, float(found[place]))
    return least


def _best_through(
    k: NDArray[np.float64], error: NDArray[np.float64], weights: NDArray[np.float64], wanted: float, place: float
) -> float:
    """The least squares of curves a + (e - a) (k / place)^-c, a in [0, e]: they pass the wanted error e there."""

    def squares(exponents: NDArray[np.float64]) -> NDArray[np.float64]:
        shape = (k / place) ** -exponents
        across, rest = 1 - shape, error - wanted * shape
        floor = (weights * across * rest).sum(axis=1) / np.maximum((weights * across**2).sum(axis=1), 1e-300)
        return np.asarray((weights * (rest - np.clip(floor, 0, wanted)[:, None] * across) ** 2).sum(axis=1))

    return _least(squares)


def _best(k: NDArray[np.float64], error: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The least weighted squares of all curves a + b k^-c, a at least 0, whether they reach the wanted error or not."""
    total = weights.sum()

    def squares(exponents: NDArray[np.float64]) -> NDArray[np.float64]:
        shape = (k / k[0]) ** -exponents
        mean_shape, mean_error = (shape * weights).sum(axis=1, keepdims=True) / total, (error * weights).sum() / total
        centred = shape - mean_shape
        slope = (weights * centred * (error - mean_error)).sum(axis=1) / (weights * centred**2).sum(axis=1)
        floor = mean_error - slope * mean_shape[:, 0]
        free = (weights * (error - floor[:, None] - slope[:, None] * shape) ** 2).sum(axis=1)
        through = (weights * shape * error).sum(axis=1) / (weights * shape**2).sum(axis=1)
        bound = (weights * (error - through[:, None] * shape) ** 2).sum(axis=1)
        return np.asarray(np.where(floor >= 0, free, bound))

    return _least(squares)
