"""Expected calibration error (Naeini et al. 2015) over bins of equal mass; seeded bootstrap over images."""

from typing import TYPE_CHECKING

import numpy as np

from vlmbench.metrics.calibration import equal_mass_bins
from vlmbench.metrics.spec import ClassificationSpec, Columns, figure
from vlmbench.metrics.stats.intervals import percentile_interval, resampled_sums

if TYPE_CHECKING:
    from vlmbench.records.result import Metric


def _ece(columns: Columns, seed: int, resamples: int) -> "Metric":
    """Bins are those of all images. A resample's ECE is biased upwards; the interval is corrected by that bias."""
    confidence = np.asarray(columns["confidence"], dtype=np.float64)
    right = np.asarray(columns["prediction"]) == np.asarray(columns["label"])
    order, starts = equal_mass_bins(confidence)
    residual = (confidence - right)[order]
    value = float(np.abs(np.add.reduceat(residual, starts)).sum() / len(residual))
    if not resamples:
        return figure(value)
    bin_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(residual))))
    binned = np.zeros((len(residual), len(starts)))
    binned[np.arange(len(residual)), bin_of] = residual
    drawn = np.abs(resampled_sums(binned, seed, resamples)).sum(axis=1) / len(residual)
    low, high = percentile_interval(drawn)
    shift = float(drawn.mean()) - value
    return figure(value, max(0.0, min(value, low - shift)), min(1.0, max(value, high - shift)))


SPEC = ClassificationSpec(
    name="ece",
    title="ece",
    definition="expected calibration error, bins of equal mass; lower is better",
    source="Naeini et al. 2015; bins of equal mass: Nguyen and O'Connor 2015",
    blind_to="accuracy: a model that is seldom right, but knows how seldom, has an error of 0",
    in_sentences="calibration error",
    columns=("label", "prediction", "confidence"),
    compute=_ece,
    untested="each system has its own bins, so the difference between two is not a mean over images",
    higher_is_better=False,
    order=70,
)
