"""The multi-class Brier score (Brier 1950): squared errors of the probabilities; seeded bootstrap."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.spec import ClassificationSpec, Columns, figure
from vlmbench.metrics.stats.intervals import percentile_interval, resampled_sums

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

STEPS = "brier_steps"
"""What a baseline stores: each image's squared error as an integer from 0 to 255, so that it stays small."""


def brier_steps(errors: NDArray[Any]) -> NDArray[np.uint8]:
    """Squared errors, 0 to 2, in 255 steps of equal square root: finer near 0, where most images are, `[N]` uint8.

    A run is rounded like its baseline, so that equal runs stay equal.
    """
    return np.asarray(np.round(255 * np.sqrt(np.clip(errors, 0, 2) / 2)), dtype=np.uint8)


def brier_errors(steps: NDArray[Any]) -> NDArray[np.float64]:
    """The squared errors, to the middle of their step, `[N]` float64."""
    return np.asarray(2 * (np.asarray(steps, dtype=np.float64) / 255) ** 2)


def _errors(columns: Columns) -> NDArray[np.float64]:
    return np.asarray(columns["brier"], dtype=np.float64) if "brier" in columns else brier_errors(columns[STEPS])


def _brier(columns: Columns, seed: int, resamples: int) -> "Metric":
    errors = _errors(columns)
    value = float(errors.mean())
    if not resamples:
        return figure(value)
    low, high = percentile_interval(resampled_sums(errors[:, None], seed, resamples)[:, 0] / len(errors))
    return figure(value, low, high)


SPEC = ClassificationSpec(
    name="brier",
    title="brier",
    definition="mean squared error of the probabilities, 0 to 2; lower is better",
    source="Brier 1950",
    blind_to="whether an error is one of ranking or of calibration",
    in_sentences="Brier score",
    range=(0.0, 2.0),
    columns=("brier",),
    compute=_brier,
    per_image=_errors,
    test="bootstrap",
    keeps={STEPS: lambda columns: brier_steps(_errors(columns))},
    higher_is_better=False,
    order=80,
)
