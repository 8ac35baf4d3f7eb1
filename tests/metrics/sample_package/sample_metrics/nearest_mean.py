"""A head: the class whose mean of training features is nearest (Euclidean); it is linear in the features."""

import numpy as np

from vlmbench.heads.spec import HeadSpec, LinearHead


def fit(data):
    """Class means; a class without images is never predicted."""
    means, offsets = np.zeros((data.classes, data.x.shape[1])), np.full(data.classes, -np.inf)
    for label in np.unique(data.y):
        means[label] = data.x[data.y == label].mean(axis=0, dtype=np.float64)
        offsets[label] = -0.5 * (means[label] @ means[label])
    scale = data.settings["scale"]
    return LinearHead(scale * means, scale * offsets, detail={"classes": len(np.unique(data.y))})


SPEC = HeadSpec(
    name="nearest-mean",
    definition="the class whose mean feature is nearest",
    source="this sample",
    fit=fit,
    settings={"scale": 1.0},
    linear=True,
)
