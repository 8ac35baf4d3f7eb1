"""`LinearProbe`: the probe as a scikit-learn estimator; torch is imported when it is fitted."""

import warnings
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from vlmbench.foundations.seeds import derive_seed
from vlmbench.heads.fewshot import holdout
from vlmbench.heads.spec import HeadData
from vlmbench.metrics.choice import DEFAULT
from vlmbench.metrics.classification import softmax
from vlmbench.metrics.rows import normalise


class LinearProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """L2-regularised multinomial logistic regression on frozen features (Radford et al. 2021, A.3).

    The objective is that of scikit-learn's ``LogisticRegression(C=C)``, solved by L-BFGS on CPU or GPU. With
    ``C="auto"`` the strength is the one of 96 between 1e-6 and 1e6 that is best on validation images, found by the
    paper's search; the defaults are those of ``vlmbench linear-probe``.

    Args:
        C: the strength, 1 / λ, above 0; ``"auto"``: searched.
        normalize: scale features to unit length first.
        refit: with ``C="auto"``, fit again on training and validation images at the chosen strength.
        max_iter: maximum number of steps of a fit.
        tol: largest allowed entry of the gradient of the mean loss at the end.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        random_state: seed of the split that provides validation images if `fit` gets none.

    Attributes:
        classes_: [K] the labels, sorted.
        coef_: [K, D] float64; two classes: [1, D], as in scikit-learn.
        intercept_: [K] float64; two classes: [1].
        C_: the strength.
        n_iter_: [1] steps of the last fit.
        n_features_in_: D.

    Examples:
        >>> import numpy as np
        >>> from vlmbench import LinearProbe
        >>> x = np.random.default_rng(0).normal(size=(60, 8)) + np.repeat(np.eye(3, 8) * 9, 20, axis=0)
        >>> y = np.repeat(["cat", "dog", "owl"], 20)
        >>> probe = LinearProbe(C=0.316).fit(x, y)
        >>> probe.score(x, y), probe.coef_.shape
        (1.0, (3, 8))
    """

    def __init__(
        self,
        C: float | Literal["auto"] = "auto",
        *,
        normalize: bool = False,
        refit: bool = False,
        max_iter: int = 1000,
        tol: float = 1e-6,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.C = C
        self.normalize = normalize
        self.refit = refit
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, X_val: ArrayLike | None = None, y_val: ArrayLike | None = None) -> Self:
        """Fits the probe.

        Args:
            X: [N, D] features.
            y: [N] labels of any kind that can be sorted.
            X_val: [M, D] features of validation images, for ``C="auto"``; None: a stratified fifth of X is held out for
                it.
            y_val: [M] their labels, all among those of `y`.

        Raises:
            ValueError: input that scikit-learn rejects (shapes, NaN, continuous labels), a single class, a strength
                that is not above 0, a validation label that is not in the training labels.
        """
        from vlmbench.heads.probe import fit

        strength = _strength(self.C)
        x, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        classes = len(self.classes_)
        if classes < 2:
            raise ValueError(f"LinearProbe needs at least two classes, but the data have 1 class: {self.classes_[0]!r}")
        x = self._scaled(np.require(x, requirements="W"))  # torch shares only writable memory of an array
        val_x, val_codes = self._validation(X_val, y_val)
        if strength is None and val_x is None:
            kept, held = holdout(codes, derive_seed(self._seed(), "validation"))
            if len(held):
                x, codes, val_x, val_codes = x[kept], codes[kept], x[held], codes[held]
        settings = {"c": strength, "refit": self.refit and strength is None, "tol": self.tol, "max_iter": self.max_iter}
        found = fit(
            HeadData(
                x=x,
                y=codes,
                classes=classes,
                x_val=val_x,
                y_val=val_codes,
                metric=DEFAULT,
                settings=settings,
                device=self.device,
            )
        )
        if not found.converged:
            warnings.warn(
                f"the probe did not converge in max_iter={self.max_iter} steps", ConvergenceWarning, stacklevel=2
            )
        two = classes == 2
        self.coef_ = found.coef[1:] - found.coef[:1] if two else found.coef
        self.intercept_ = found.intercept[1:] - found.intercept[:1] if two else found.intercept
        self.C_ = found.c
        self.n_iter_ = np.array([found.iterations], dtype=np.int32)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits [N, K]; two classes: [N], above 0 for the second."""
        check_is_fitted(self)
        x = self._scaled(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        logits = np.asarray(x, dtype=np.float64) @ self.coef_.T + self.intercept_
        return logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities [N, K], in the order of `classes_`."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            logits = np.stack([-logits, logits], axis=1) / 2
        return softmax(logits)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels [N]."""
        logits = self.decision_function(X)
        return np.asarray(self.classes_[(logits > 0).astype(int) if logits.ndim == 1 else logits.argmax(axis=1)])

    def _scaled(self, x: NDArray[Any]) -> NDArray[Any]:
        return normalise(x) if self.normalize else x

    def _validation(self, X: ArrayLike | None, y: ArrayLike | None) -> tuple[NDArray[Any] | None, NDArray[np.int64]]:
        """The caller's validation images, with labels as indices into `classes_`."""
        if X is None and y is None:
            return None, np.zeros(0, dtype=np.int64)
        if X is None or y is None:
            raise ValueError("X_val and y_val must be given together")
        x, labels = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=False)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y_val has labels that y does not have: {', '.join(map(str, unknown[:5]))}")
        return self._scaled(x), np.searchsorted(self.classes_, labels)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))


def _strength(given: object) -> float | None:
    """None for ``"auto"``, else the number."""
    if isinstance(given, str) and given == "auto":
        return None
    if isinstance(given, int | float | np.number) and not isinstance(given, bool) and 0 < given < float("inf"):
        return float(given)
    raise ValueError(f"C must be 'auto' or a number above 0, not {given!r}")
