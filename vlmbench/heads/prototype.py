"""The head ``prototype``: the nearest class mean by cosine.

Features are scaled to unit length, averaged per class, and the means scaled to unit length again. A logit is the
cosine with the class mean divided by the temperature. The temperature changes no prediction, only the probabilities;
it is CLIP's at the end of its training, so nothing is chosen and every label trains.

Public code: prototypical networks (Snell et al. 2017) use squared Euclidean distance to means of un-normalised
features; scikit-learn's `NearestCentroid`, Euclidean distance to the means. On unit features whose means are scaled to
unit length, the order is that of the cosines.
"""

import numpy as np

from vlmbench.heads.spec import HeadData, HeadSpec, LinearHead
from vlmbench.metrics.rows import normalise


def fit(data: HeadData) -> LinearHead:
    """Class means. Setting: ``temperature``.

    Returns:
        The head; a class without images is never predicted.
    """
    coef = np.zeros((data.classes, data.x.shape[1]))
    np.add.at(coef, data.y, np.asarray(data.x, dtype=np.float64))
    present = np.bincount(data.y, minlength=data.classes) > 0
    coef[present] = normalise(coef[present]) / data.settings["temperature"]
    return LinearHead(coef, np.where(present, 0.0, -np.inf))


SPEC = HeadSpec(
    name="prototype",
    definition="the nearest class mean of unit features, by cosine",
    source="Snell et al. 2017, with cosines",
    fit=fit,
    settings={"temperature": 0.01},
    unit=True,
    linear=True,
)
