"""scikit-learn's `LogisticRegression` with our own solver's interface: ``--solver sklearn``, for comparison."""

import warnings

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.heads.logistic import Fit, Start, check_labels
from vlmbench.heads.spec import MAX_ITER, TOLERANCE


class SklearnTrainer:
    """Fits one training set, `x` `[N, D]` and `y` `[N]` (or `[N, C]` of 0 and 1), at any number of strengths with
    scikit-learn, each from zero, in float64; `InputError` for fewer than two classes, or invalid labels."""

    def __init__(self, x: NDArray[np.floating], y: NDArray[np.integer], *, classes: int) -> None:
        self.x = np.asarray(x, dtype=np.float64)
        self.y = np.asarray(y)
        self.classes = check_labels(self.y, len(self.x), classes)
        if not np.isfinite(self.x).all():
            raise InputError("a feature is NaN or infinite", fix="encode again, with --precision fp32")
        if self.y.ndim == 1 and len(np.unique(self.y)) < 2:
            raise InputError(
                "all training images have the same class, so there is nothing to classify",
                fix="add images of a second class, or more shots",
            )

    def fit(
        self, c: float, *, start: Start | None = None, tol: float = TOLERANCE, max_iter: int = MAX_ITER
    ) -> tuple[Fit, None]:
        """Fits at one strength; `start` is not used."""
        coef = np.zeros((self.classes, self.x.shape[1]))
        intercept = np.full(self.classes, -np.inf)
        if self.y.ndim == 1:
            present = np.unique(self.y)
            rows, offsets, iterations = self._one(self.y, c, tol, max_iter)
            if len(present) == 2:
                rows, offsets = np.concatenate([-rows, rows]) / 2, np.concatenate([-offsets, offsets]) / 2
            coef[present], intercept[present] = rows, offsets
        else:
            iterations = 0
            shares = (self.y.sum(axis=0) + 0.5) / (len(self.y) + 1)
            intercept = np.log(shares / (1 - shares))
            for index in np.flatnonzero((self.y.min(axis=0) == 0) & (self.y.max(axis=0) == 1)):
                row, offset, steps = self._one(self.y[:, index], c, tol, max_iter)
                coef[index], intercept[index], iterations = row[0], offset[0], max(iterations, steps)
        return Fit(coef, intercept, self.y.ndim == 2, c=c, iterations=iterations, converged=iterations < max_iter), None

    def _one(
        self, y: NDArray[np.integer], c: float, tol: float, max_iter: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not converge is marked in the record
            model = LogisticRegression(C=c, tol=tol, max_iter=max_iter).fit(self.x, y)
        return model.coef_, model.intercept_, int(model.n_iter_.max())
