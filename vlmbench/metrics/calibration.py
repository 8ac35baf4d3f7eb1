"""Bins of equal size by confidence, for the expected calibration error and the reliability diagram."""

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError

BINS = 15


def equal_mass_bins(confidence: NDArray[np.float64], bins: int = BINS) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits images into bins of (nearly) equal size by confidence (Nguyen and O'Connor 2015).

    Images of equal confidence stay in one bin, so that the result does not depend on their order; there can then be
    fewer bins than requested.

    Args:
        confidence: `[N]`, 0 to 1.

    Returns:
        The order that sorts the images by confidence, `[N]`, and the bins' starts in that order, `[B]`, the first 0.
    """
    if not len(confidence):
        raise InputError("there are no images to measure calibration on")
    order = np.argsort(confidence, kind="stable")
    ordered = confidence[order]
    wanted = (np.arange(bins) * len(confidence)) // bins
    starts = np.searchsorted(ordered, ordered[wanted], side="left")
    later = np.searchsorted(ordered, ordered[wanted], side="right")
    nearer_end = (wanted - starts) > (later - wanted)
    starts = np.where(nearer_end, later, starts)
    starts[0] = 0
    return order, np.unique(starts[starts < len(confidence)])


def calibration_bins(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = BINS
) -> list[dict[str, float]]:
    """The reliability diagram: for each bin its images, lowest and highest confidence, mean confidence and accuracy;
    from the probability `[N]` that the predicted class was given, and whether it was right `[N]`."""
    order, starts = equal_mass_bins(confidence, bins)
    ends = np.append(starts[1:], len(order))
    rows = []
    for start, end in zip(starts, ends, strict=True):
        chosen = order[start:end]
        inside = confidence[chosen]
        rows.append(
            {
                "n": int(end - start),
                "low": float(inside[0]),
                "high": float(inside[-1]),
                "confidence": float(inside.mean()),
                "accuracy": float(correct[chosen].mean()),
            }
        )
    return rows
