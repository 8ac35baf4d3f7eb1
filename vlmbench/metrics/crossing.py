"""Labels to match: how many labelled images per class make a linear probe as good as zero-shot, or a head as a probe.

Radford et al. 2021, figure 7 ("data efficiency of zero-shot transfer"): the labels at which the probe's few-shot curve
crosses the zero-shot figure, interpolated linearly in the logarithm of the labels per class.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.stats.intervals import LEVEL

RESAMPLES = 2000
A_PROBE, ZERO_SHOT = "A linear probe", "zero-shot"


def labels_to_match(
    shots: Sequence[float],
    values: Sequence[Sequence[float]],
    level: float,
    *,
    seed: int,
    head: str = A_PROBE,
    reference: str = ZERO_SHOT,
) -> dict[str, Any]:
    """The labels per class at which the mean curve first reaches `level`, with a 95 % bootstrap interval.

    Resamples are over seeds, not single points, since one seed's samples are nested and its curve is one draw. Raises
    `InputError` where there are no shots, they do not increase, or the numbers of seeds differ.

    Args:
        shots: labels per class, increasing, each above 0.
        values: the figures of all seeds for each of them; a single figure counts for all seeds.
        level: the zero-shot figure, or another head's.
        head: what the sentence calls the curve's head.
        reference: what it calls the system whose figure is matched.

    Returns:
        value, low, high: labels per class; None if the crossing is outside the curve (below its first point or
        above its last; a missing `low` is then "fewer than", a missing `high` "more than"). text: ``6.2``, ``< 1`` or
        ``> 32``. interval: ``4.8 to 8.1``. sentence: for people.
    """
    counts = [len(row) for row in values]
    most = max(counts, default=0)
    if not most or len(counts) != len(shots) or set(counts) - {1, most} or any(k <= 0 for k in shots):
        raise InputError("a few-shot curve needs, for each number of shots, the figure of every seed")
    if any(later <= earlier for earlier, later in pairwise(shots)):
        raise InputError("the shots of a few-shot curve must increase")
    table = np.array([list(row) * (most if len(row) == 1 else 1) for row in values], dtype=np.float64)
    place = _crossing(shots, table.mean(axis=1), level)
    draws = np.random.default_rng(derive_seed(seed, "labels-to-match")).integers(0, most, size=(RESAMPLES, most))
    places = np.sort([_crossing(shots, table[:, draw].mean(axis=1), level) for draw in draws])
    tail = (1 - LEVEL) / 2
    low = min(place, float(places[int(tail * (RESAMPLES - 1))]))
    high = max(place, float(places[math.ceil((1 - tail) * (RESAMPLES - 1))]))
    interval = "" if most < 2 else f"{_words(low, shots)} to {_words(high, shots)}"
    return {
        "value": _finite(place),
        "low": _finite(low) if most > 1 else None,
        "high": _finite(high) if most > 1 else None,
        "text": _words(place, shots),
        "interval": interval,
        "sentence": _sentence(place, shots, interval, head, reference),
    }


def _crossing(shots: Sequence[float], curve: NDArray[np.float64], reference: float) -> float:
    """Labels per class at the first crossing; 0 below the first point, infinity beyond the last."""
    reached = np.flatnonzero(curve >= reference)
    if not len(reached):
        return math.inf
    after = int(reached[0])
    if after == 0:
        return float(shots[0]) if curve[0] == reference else 0.0
    share = (reference - curve[after - 1]) / (curve[after] - curve[after - 1])
    return float(math.exp((1 - share) * math.log(shots[after - 1]) + share * math.log(shots[after])))


def _finite(place: float) -> float | None:
    return place if 0 < place < math.inf else None


def _words(place: float, shots: Sequence[float]) -> str:
    if place == 0:
        return f"< {shots[0]:g}"
    if place == math.inf:
        return f"> {shots[-1]:.3g}"
    return f"{place:.1f}" if place < 100 else f"{place:.0f}"


def _sentence(place: float, shots: Sequence[float], interval: str, head: str, reference: str) -> str:
    if place == 0:
        images = f"{shots[0]:g} labelled image{'' if shots[0] == 1 else 's'}"
        return f"{head} beats {reference} with fewer than {images} per class."
    if place == math.inf:
        return f"{head} needs more than {shots[-1]:.3g} labelled images per class to match {reference}."
    between = f" (95 % interval over seeds: {interval})" if interval else ""
    about = f"about {_words(place, shots)} labelled images per class"
    if (head, reference) == (A_PROBE, ZERO_SHOT):
        return f"Zero-shot is worth {about}{between}."
    return f"{head} needs {about} to match {reference}{between}."
