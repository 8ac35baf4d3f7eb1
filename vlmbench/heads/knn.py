"""The head ``knn``: weighted votes of the k nearest training images by cosine.

Each of the k neighbours votes for its class with weight exp(cosine / temperature) (Wu et al. 2018; Caron et al. 2021,
who fix the temperature at 0.07). The probabilities are the shares of the votes. k is chosen on validation images among
1, 2, 5, 10, 20, 50, 100 and 200; without any it is 1.

Public code: DINO's evaluation prints the figures of k = 10, 20, 100 and 200 on the test set, and its paper reports the
best, 20; scikit-learn's `KNeighborsClassifier` votes with equal weights and k = 5 by default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from vlmbench.heads.spec import HeadData, HeadSpec

CANDIDATES = (1, 2, 5, 10, 20, 50, 100, 200)
_CELLS = 2**24


@dataclass(frozen=True)
class Neighbours:
    """A fitted head.

    Attributes:
        x: `[N, D]` float32, unit norm.
        y: `[N]`.
        classes: C.
        k: neighbours that vote.
        temperature: of their weights.
        detail: the fit's part of a record.
    """

    x: NDArray[np.float32]
    y: NDArray[np.integer]
    classes: int
    k: int
    temperature: float
    detail: Mapping[str, JsonValue] = field(default_factory=dict)

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logarithms of the shares of the votes, `[N, C]`; minus infinity for a class without votes."""
        rows = max(1, _CELLS // len(self.x))
        parts = [self._votes(x[first : first + rows], [self.k])[0] for first in range(0, len(x), rows)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes))

    def _votes(self, x: NDArray[np.floating], ks: list[int]) -> list[NDArray[np.float64]]:
        """Logits of the same images for several k, in increasing order."""
        cosines = np.asarray(x, dtype=np.float32) @ self.x.T
        most = ks[-1]
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        found = np.take_along_axis(cosines, nearest, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        nearest, found = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(found, order, axis=1)
        weights = np.exp((found - found[:, :1]).astype(np.float64) / self.temperature)
        votes, rows, results, before = np.zeros((len(x), self.classes)), np.arange(len(x))[:, None], [], 0
        for k in ks:
            np.add.at(votes, (rows, self.y[nearest[:, before:k]]), weights[:, before:k])
            with np.errstate(divide="ignore"):
                results.append(np.log(votes / votes.sum(axis=1, keepdims=True)))
            before = k
        return results


def fit(data: HeadData) -> Neighbours:
    """Stores the images and, if ``k`` is None, chooses it. Settings: ``k``, ``temperature``."""
    x = np.ascontiguousarray(data.x, dtype=np.float32)
    k, temperature = data.settings["k"], data.settings["temperature"]
    if k is not None or data.x_val is None:
        k = min(int(k or 1), len(x))
        return Neighbours(x, data.y, data.classes, k, temperature, {"k": k})
    ks = [one for one in CANDIDATES if one <= len(x)]
    bare = Neighbours(x, data.y, data.classes, 1, temperature)
    rows = max(1, _CELLS // len(x))
    blocks = [bare._votes(data.x_val[first : first + rows], ks) for first in range(0, len(data.x_val), rows)]
    k, chosen = data.choose(zip(ks, map(np.concatenate, zip(*blocks, strict=True)), strict=True))
    return Neighbours(x, data.y, data.classes, k, temperature, {"k": k, **chosen})


SPEC = HeadSpec(
    name="knn",
    definition="votes of the k nearest training images, weighted by exp(cosine / temperature)",
    source="Wu et al. 2018; Caron et al. 2021",
    fit=fit,
    settings={"k": None, "temperature": 0.07},
    unit=True,
    validation=True,
)
