"""The zero-shot classifier of Radford et al. 2021 (section 3.1): class weights from prompts, logits from cosines.

Pure NumPy: with features and class weights in the store, torch is not needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.classification import columns_by_block, softmax
from vlmbench.metrics.rows import means, normalise, products

_ROWS = 8192


@dataclass(frozen=True)
class ZeroShotWeights:
    """A zero-shot classifier.

    Attributes:
        weights: [C, D] float32, unit norm; sparse rows if the model's are (ASIF with many anchors).
        logit_scale: ``exp(logit_scale)`` of the model.
        logit_bias: 0 except for SigLIP.
        templates: the templates, or the prompts of the first class if they are class-specific.
        classnames: [C] names that were put into the templates.
        sha256: digest of all prompts.
    """

    weights: Any
    logit_scale: float
    logit_bias: float
    templates: tuple[str, ...]
    classnames: tuple[str, ...]
    sha256: str


def class_weights(embeddings: Any, counts: Sequence[int]) -> Any:
    """Class weights [C, D] float32, unit norm: normalise every prompt's embedding, average per class, normalise again.

    The embeddings [sum of counts, D] come class by class, dense or sparse; `counts` [C] are the prompts per class, at
    least 1. The mean of unit vectors that cancel out is an error, as in `normalise`.
    """
    return normalise(means(normalise(embeddings.astype(np.float64)), counts)).astype(np.float32)


def logits(features: Any, head: ZeroShotWeights, *, views: int = 1) -> NDArray[np.float32]:
    """``logit_scale`` x cosine + ``logit_bias``, [N, C] float32; with several views of an image, each class takes the
    best.

    The projected features [N * V, D] are un-normalised, dense or sparse, the V views of an image consecutively.
    """
    found = np.empty((features.shape[0] // views, head.weights.shape[0]), np.float32)
    rows = max(1, _ROWS // views)
    for start in range(0, len(found), rows):
        block = features[start * views : (start + rows) * views].astype(np.float32)
        cosines = products(normalise(block), head.weights)
        found[start : start + rows] = cosines.reshape(-1, views, cosines.shape[1]).max(axis=1)
    return found * np.float32(head.logit_scale) + np.float32(head.logit_bias)


def zero_shot_columns(
    features: Any, head: ZeroShotWeights, labels: NDArray[np.integer], ids: Sequence[str], *, views: int = 1
) -> dict[str, Any]:
    """The per-sample columns (`metrics.classification.sample_columns`) of the softmax of `logits`."""

    def probabilities(rows: slice) -> NDArray[np.float64]:
        block = features[rows.start * views : rows.stop * views]
        return softmax(logits(block, head, views=views))

    return columns_by_block(probabilities, labels, ids, views * min(features.shape[1], head.weights.shape[0]))
