"""ASIF, a dual encoder without training (Norelli et al. 2022): coupled data turns any two encoders into one space.

An image is described by how like it is to the images of an anchor set, a text by how like it is to their captions; an
image and a text match when they are like the same anchors.
"""

import numpy as np
from numpy.typing import NDArray

from vlmbench.heads.zeroshot import normalise

NONZERO = 800
POWER = 8
_ROWS = 1024


def relative(
    values: NDArray[np.floating], anchors: NDArray[np.floating], *, k: int = NONZERO, p: float = POWER
) -> NDArray[np.float32]:
    """Sparse relative representations (equations 1 to 3 of the paper).

    Cosines with every anchor; in each row all but the `k` largest become 0; the rest is raised to the power `p`; rows
    get unit norm. A negative cosine counts as 0: among the largest of a large anchor set there is none.

    Args:
        values: [N, D] embeddings of images or of texts.
        anchors: [A, D] embeddings of the anchors by the same encoder.
        k: anchors that are kept, at most A.
        p: the power.

    Returns:
        [N, A] float32, unit norm.
    """
    unit = normalise(np.asarray(anchors, np.float32))
    k = min(k, len(unit))
    found = np.zeros((len(values), len(unit)), np.float32)
    for start in range(0, len(values), _ROWS):
        cosines = normalise(np.asarray(values[start : start + _ROWS], np.float32)) @ unit.T
        kept = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        powers = np.maximum(np.take_along_axis(cosines, kept, 1), 0).astype(np.float64) ** p
        block = found[start : start + _ROWS]
        np.put_along_axis(block, kept, normalise(powers).astype(np.float32), 1)
    return found
