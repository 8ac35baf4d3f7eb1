"""The zero-shot classifier of Radford et al. 2021 (section 3.1): class weights from prompts, logits from cosines.

Pure NumPy: with features and class weights in the store, nothing of torch is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError

_ROWS = 8192


@dataclass(frozen=True)
class ZeroShotWeights:
    """A zero-shot classifier.

    Attributes:
        weights: [C, D] float32, unit norm.
        logit_scale: ``exp(logit_scale)`` of the model.
        logit_bias: 0 but for SigLIP.
        templates: the templates, or the prompts of the first class where they are class-specific.
        classnames: [C] names that were put into the templates.
        sha256: digest of all prompts.
    """

    weights: NDArray[np.float32]
    logit_scale: float
    logit_bias: float
    templates: tuple[str, ...]
    classnames: tuple[str, ...]
    sha256: str


def normalise(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rows of unit L2 norm.

    Raises:
        InputError: a row is zero or not finite, which has no direction.
    """
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norms)) or np.any(norms == 0):
        row = int(np.argmax(~np.isfinite(norms[..., 0]) | (norms[..., 0] == 0)))
        raise InputError(f"embedding {row} is zero or not finite", mend="--precision fp32, or another model")
    unit: NDArray[np.floating] = values / norms
    return unit


def class_weights(embeddings: NDArray[np.floating], counts: Sequence[int]) -> NDArray[np.float32]:
    """Class weights: every prompt's embedding to unit norm, their mean per class, to unit norm again.

    Args:
        embeddings: [sum of counts, D] un-normalised prompt embeddings, class by class.
        counts: [C] prompts a class, each at least 1.

    Returns:
        [C, D] float32, unit norm. (The mean of unit vectors that cancel out is an error, as in `normalise`.)
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    unit = normalise(np.asarray(embeddings, np.float64))
    means = np.add.reduceat(unit, starts, axis=0) / np.asarray(counts, np.float64)[:, None]
    return normalise(means).astype(np.float32)


def logits(features: NDArray[np.floating], head: ZeroShotWeights) -> NDArray[np.float32]:
    """``logit_scale`` x cosine + ``logit_bias``.

    Args:
        features: [N, D] un-normalised projected features; [N, V, D] of V views, of which each class takes the best.
        head: the classifier.

    Returns:
        [N, C] float32.
    """
    found = np.empty((len(features), len(head.weights)), np.float32)
    rows = _ROWS if features.ndim == 2 else max(1, _ROWS // features.shape[1])
    for start in range(0, len(features), rows):
        cosines = normalise(np.asarray(features[start : start + rows], np.float32)) @ head.weights.T
        found[start : start + rows] = cosines if features.ndim == 2 else cosines.max(axis=1)
    return found * np.float32(head.logit_scale) + np.float32(head.logit_bias)
