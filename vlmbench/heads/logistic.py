"""The linear probe: L2-regularised logistic regression on frozen features.

Objective, for N images, with w the coefficients and b the intercepts (free of penalty)::

    mean over images of the log-loss(x·wᵀ + b)  +  ‖w - prior‖² / (2 · c · N)

which is scikit-learn's `LogisticRegression(C=c)` divided by c·N; the paper's λ (Radford et al. 2021, A.3) is 1 / c. The
log-loss is softmax cross-entropy for three classes and more, binary cross-entropy on one logit for two (as in
scikit-learn), and the sum of one binary cross-entropy per class if images have several labels.

With a prior (the zero-shot classifier's weights times its logit scale, for features of unit length) the intercept is
shrunk too, towards what gives the mean image the prior's logits: as c goes to 0 the probe becomes the prior itself.

The solver is L-BFGS in the features' principal axes (`axes`, `lbfgs`), in float32 with sums in float64; where rounding
ends the descent before the tolerance is met it continues in float64. It runs on CPU and CUDA, in chunks of rows, so
that neither `[N, C]` nor `[N, D]` has to fit in memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.heads.axes import Axes, principal_axes
from vlmbench.heads.lbfgs import Point, minimise
from vlmbench.heads.spec import MAX_ITER, RELATIVE, TOLERANCE, LinearHead

_CPU_CELLS, _GPU_CELLS = 2**18, 2**28
_SHARED_WORK = 20_000_000
_TINY = 1e-300


@dataclass(frozen=True, kw_only=True)
class Fit(LinearHead):
    """A fitted probe; with two classes `coef` is plus and minus half of scikit-learn's single row.

    Attributes:
        c: the strength, scikit-learn's C = 1 / λ.
        iterations: steps of the solver.
        converged: whether the tolerance was met.
        loss: the objective.
        grad_norm: largest entry of its gradient.
    """

    c: float
    iterations: int
    converged: bool
    loss: float = 0.0
    grad_norm: float = 0.0


@dataclass(frozen=True)
class Start:
    """A solution in the trainer's own axes, to start a neighbouring strength from."""

    x: torch.Tensor


class Trainer:
    """Fits one training set at any number of strengths; the rotation is computed once.

    Args:
        x: features `[N, D]`, an array or a `Table`.
        y: labels `[N]`, 0 to classes - 1; or `[N, C]` of 0 and 1 for several labels per image.
        classes: C; the default is the largest label + 1.
        prior: `[C, D]` coefficients to start from and regularize towards; the default is zero.
        device: ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        InputError: fewer than two classes, invalid labels, features that are not finite.
    """

    def __init__(
        self,
        x: Any,
        y: NDArray[np.integer],
        *,
        classes: int | None = None,
        prior: NDArray[np.floating] | None = None,
        device: str = "cpu",
    ) -> None:
        labels = np.asarray(y)
        self.multilabel = labels.ndim == 2
        self.classes = check_labels(labels, len(x), classes)
        with _threads(len(x) * x.shape[-1] * self.classes):
            self.axes: Axes = principal_axes(x, device)
        self.n = len(labels)
        if self.multilabel:
            self.fitted = np.flatnonzero((labels.min(axis=0) == 0) & (labels.max(axis=0) == 1))
            targets = labels[:, self.fitted].T
        else:
            self.fitted, targets = np.unique(labels, return_inverse=True)
        if len(self.fitted) < (1 if self.multilabel else 2):
            raise InputError(
                "all training images have the same class, so there is nothing to classify",
                fix="add images of a second class, or more shots",
            )
        self._shares = (labels.mean(axis=0) * self.n + 0.5) / (self.n + 1) if self.multilabel else None
        self.binary = not self.multilabel and len(self.fitted) == 2
        self._targets = torch.as_tensor(np.ascontiguousarray(targets), device=device)
        if self.binary:
            self._targets = self._targets[None]
        self.rows = 1 if self.binary else len(self.fitted)
        self.sigmoid = self.multilabel or self.binary
        self._outer, self._prior, self._shift = self._place_prior(prior)
        cells = _GPU_CELLS if torch.device(device).type == "cuda" else _CPU_CELLS
        self._chunk = max(1024, cells // max(self.rows, 1))
        self._device = device

    def fit(
        self, c: float, *, start: Start | None = None, tol: float = TOLERANCE, max_iter: int = MAX_ITER
    ) -> tuple[Fit, Start]:
        """Fits at one strength.

        Args:
            c: scikit-learn's C, 1 / λ; above 0.
            start: another strength's solution.
            tol: largest entry of the gradient at the end.
            max_iter: maximum number of steps.

        Raises:
            UsageError: `c` is not above 0 and finite.
        """
        if not (np.isfinite(c) and c > 0):
            raise UsageError(f"the strength C must be above 0, not {c}")
        with _threads(self.n * len(self.axes.variance) * self.rows):
            return self._fit(c, start, tol, max_iter)

    def _fit(self, c: float, start: Start | None, tol: float, max_iter: int) -> tuple[Fit, Start]:
        penalty = 1 / (c * self.n)
        rounding = 1e-7 * float(self.axes.variance[0].sqrt())
        outcome = minimise(
            partial(self._evaluate, penalty=penalty, dtype=torch.float32),
            start.x if start is not None else self._origin(),
            stop=partial(self._good, tol=max(tol, rounding)),
            max_iter=max_iter,
            noise=1e-8,
            project=self._project,
        )
        iterations = outcome.iterations
        if not outcome.converged or tol < rounding:
            outcome = minimise(
                partial(self._evaluate, penalty=penalty, dtype=torch.float64),
                outcome.point.x,
                stop=partial(self._good, tol=tol),
                max_iter=max_iter - iterations,
                noise=1e-14,
                project=self._project,
            )
            iterations += outcome.iterations
        return self._unrotate(outcome.point, c, iterations, outcome.converged), Start(outcome.point.x)

    def _origin(self) -> torch.Tensor:
        """Zero coefficients, and intercepts that give each class its share; or the prior itself."""
        here = torch.zeros(self.rows, len(self.axes.variance) + 1, dtype=torch.float64, device=self._device)
        if self._prior is not None:
            here[:, -1] = self._prior @ self.axes.mean
            return here
        if self.sigmoid:
            share = self._targets.sum(dim=1, dtype=torch.float64) / self.n
            here[:, -1] = torch.log(share / (1 - share))
        else:
            here[:, -1] = torch.log(torch.bincount(self._targets, minlength=self.rows).double() / self.n)
            here[:, -1] -= here[:, -1].mean()
        return here

    def _project(self, step: torch.Tensor) -> torch.Tensor:
        """Softmax is invariant to a shift of all classes, so the step must not contain one."""
        return step if self.sigmoid else step - step.mean(dim=0)

    def _good(self, point: Point, tol: float) -> bool:
        if float(point.gradient.abs().max()) > 4 * tol or point.decrement > RELATIVE * abs(point.value):
            return False
        return self._largest(point) <= tol

    def _largest(self, point: Point) -> float:
        """The largest entry of the gradient in the original features."""
        inner = point.gradient[:, :-1] @ self.axes.basis.T + point.gradient[:, -1:] * self.axes.mean
        return max(float(inner.abs().max()), float(point.gradient[:, -1].abs().max()))

    def _evaluate(self, x: torch.Tensor, penalty: float, dtype: torch.dtype) -> Point:
        """The objective, its gradient and the diagonal of a bound on its curvature, in the axes.

        For class k the curvature along axis j is the mean of p_k (1 - p_k) z_j², here taken as a product of means.
        """
        weights, intercept = x[:, :-1], x[:, -1]
        shifted = weights if self._shift is None else weights + self._shift
        matrix, offset = self.axes.outwards(shifted).to(dtype), intercept[:, None].to(dtype)
        value = torch.zeros((), dtype=torch.float64, device=x.device)
        gradient = torch.empty_like(x)
        outer, inner = torch.zeros(matrix.shape, dtype=torch.float64, device=x.device), torch.zeros_like(intercept)
        spread = torch.zeros_like(intercept)
        for first in range(0, self.n, self._chunk):
            z = self.axes.rows(first, first + self._chunk, dtype)
            targets = self._targets[..., first : first + self._chunk]
            logits = torch.addmm(offset, matrix, z.T)
            loss, residual, part = _sigmoid_part(logits, targets) if self.sigmoid else _softmax_part(logits, targets)
            value += loss
            spread += part
            outer += residual @ z
            inner += residual.sum(dim=1, dtype=torch.float64)
        gradient[:, :-1], gradient[:, -1] = self.axes.inwards(outer), inner
        gradient /= self.n
        gradient[:, :-1] += penalty * weights
        value = value / self.n + 0.5 * penalty * (weights * weights).sum()
        spread = (spread / self.n).clamp_min(_TINY)
        curvature = torch.empty_like(x)
        curvature[:, :-1] = spread[:, None] * self.axes.variance + penalty
        curvature[:, -1] = spread
        if self._prior is not None:
            moved = intercept - self._prior @ self.axes.mean
            value += 0.5 * penalty * (moved * moved).sum()
            gradient[:, -1] += penalty * moved
            curvature[:, -1] += penalty
        return Point(x, float(value), gradient, curvature)

    def _place_prior(
        self, prior: NDArray[np.floating] | None
    ) -> tuple[NDArray[np.float64] | None, torch.Tensor | None, torch.Tensor | None]:
        """The prior's rows for the fitted classes, in the solver's form (one row for two classes), in the axes."""
        if prior is None:
            return None, None, None
        outer = np.asarray(prior, dtype=np.float64)
        if outer.shape != (self.classes, len(self.axes.mean)):
            raise InputError(
                f"the prior is {outer.shape}, not {self.classes} classes by {len(self.axes.mean)} features"
            )
        outer = outer[self.fitted]
        inner = torch.as_tensor(outer[1:] - outer[:1] if self.binary else outer, device=self.axes.mean.device)
        return outer, inner, inner @ self.axes.basis

    def _unrotate(self, point: Point, c: float, iterations: int, converged: bool) -> Fit:
        weights = (point.x[:, :-1] @ self.axes.basis.T).cpu().numpy()
        intercept = point.x[:, -1].cpu().numpy()
        if self.binary:
            weights, intercept = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
        elif not self.multilabel and self._outer is None:
            weights, intercept = weights - weights.mean(axis=0), intercept - intercept.mean()
        if self._outer is not None:
            weights = weights + self._outer
        coef = np.zeros((self.classes, weights.shape[1]))
        offsets = np.full(self.classes, -np.inf)
        if self._shares is not None:
            offsets = np.log(self._shares / (1 - self._shares))
        coef[self.fitted] = weights
        offsets[self.fitted] = intercept - weights @ self.axes.mean.cpu().numpy()
        return Fit(
            coef,
            offsets,
            self.multilabel,
            c=c,
            iterations=iterations,
            converged=converged,
            loss=point.value,
            grad_norm=self._largest(point),
        )


@contextmanager
def _threads(work: int) -> Iterator[None]:
    """One thread if a product of `work` multiplications is too small to share; waiting would cost more."""
    before = torch.get_num_threads()
    if work < _SHARED_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _softmax_part(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Summed loss, residuals p - y `[C, r]` and summed p (1 - p) `[C]` of logits `[C, r]`, which are overwritten.

    The label's own residual is minus the sum of the others, and the loss of a confident answer is log1p of it, so that
    float32 keeps its precision as p approaches 1.
    """
    index = targets[None]
    logits -= logits.amax(dim=0)
    own = logits.gather(0, index)
    powers = logits.exp_()
    right = powers.gather(0, index)
    powers.scatter_(0, index, 0.0)
    wrong = powers.sum(dim=0, keepdim=True)
    loss = (torch.log1p(wrong + (right - 1)) - own).sum(dtype=torch.float64)
    total = wrong + right
    powers /= total
    missed = wrong / total
    residual = powers.scatter_(0, index, -missed)
    return loss, residual, (residual.abs().sum(dim=1) - (residual * residual).sum(dim=1)).double()


def _sigmoid_part(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same for one sigmoid per class; targets `[C, r]` of 0 and 1."""
    sign = 2 * targets.to(logits.dtype) - 1
    margin = sign * logits
    missed = torch.sigmoid(-margin)
    loss = torch.nn.functional.softplus(-margin).sum(dtype=torch.float64)
    return loss, -sign * missed, (missed * (1 - missed)).sum(dim=1).double()


def check_labels(labels: NDArray[np.generic], images: int, classes: int | None) -> int:
    """The number of classes."""
    if labels.dtype.kind not in "iub" or labels.ndim not in {1, 2} or len(labels) != images or not images:
        raise InputError(
            f"labels must be {images} whole numbers or rows of 0 and 1, not {labels.dtype} of shape {labels.shape}",
            fix="number the classes from 0",
        )
    found = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    top = 1 if labels.ndim == 2 else (classes or found) - 1
    if labels.min() < 0 or labels.max() > top or (classes is not None and labels.ndim == 2 and classes != found):
        raise InputError(f"labels run from {labels.min()} to {labels.max()}; they must be between 0 and {top}")
    return classes or found
