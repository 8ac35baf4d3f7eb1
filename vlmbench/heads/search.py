"""The search for the probe's strength: Radford et al. 2021, appendix A.3.

Seven strengths, λ in 1e-6, 1e-4 … 1e6; then around the best of them with steps halved from one decade to an eighth of
one, which reaches the 96 strengths an exhaustive sweep would try with eight a decade. The validation figure decides;
among ties (frequent with few images) the lower validation log-loss, then the stronger penalty.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from vlmbench.heads.logistic import Fit, Start
from vlmbench.heads.spec import MAX_ITER, TOLERANCE

COARSE = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
"""Exponents of ten of C = 1 / λ."""
HALVINGS = (1.0, 0.5, 0.25, 0.125)
"""Steps around the peak, in decades."""


class Trains(Protocol):
    """What can be fitted at a strength: `logistic.Trainer`, or scikit-learn with the same interface."""

    def fit(
        self, c: float, *, start: Start | None = None, tol: float = TOLERANCE, max_iter: int = MAX_ITER
    ) -> tuple[Fit, Start | None]:
        """A fit and, if the solver supports it, a start for its neighbours."""


@dataclass(frozen=True)
class Trial:
    """One strength tried: log10 of C, the validation figure (higher is better) and log-loss, and how the fit went."""

    exponent: float
    score: float
    log_loss: float
    iterations: int
    converged: bool

    def row(self) -> dict[str, float | int | bool]:
        """The trial as in a record."""
        found = asdict(self)
        return {"c": 10.0 ** found.pop("exponent"), **found}


@dataclass(frozen=True)
class Search:
    """The best fit, and every trial, from the strongest penalty to the weakest."""

    best: Fit
    trials: tuple[Trial, ...]


def search_strength(
    trainer: Trains,
    validate: Callable[[Fit], tuple[float, float]],
    *,
    tol: float = TOLERANCE,
    max_iter: int = MAX_ITER,
    tried: Callable[[], object] = lambda: None,
) -> Search:
    """Searches the strength; each fit starts from the solution of the nearest strength already tried. `validate` gives
    a fit's figure and log-loss on validation images; `tried` is called after each fit."""
    trials: dict[float, Trial] = {}
    starts: dict[float, Start | None] = {}
    best: tuple[tuple[float, float, float], Fit] | None = None

    def attempt(exponent: float) -> None:
        nonlocal best
        if exponent in trials or not COARSE[0] <= exponent <= COARSE[-1]:
            return
        near = min(starts, key=lambda other: (abs(other - exponent), other), default=None)
        start = None if near is None else starts[near]
        fit, starts[exponent] = trainer.fit(10.0**exponent, start=start, tol=tol, max_iter=max_iter)
        score, log_loss = validate(fit)
        trials[exponent] = Trial(exponent, score, log_loss, fit.iterations, fit.converged)
        rank = (score, -log_loss, -exponent)
        if best is None or rank > best[0]:
            best = (rank, fit)
        tried()

    for exponent in COARSE:
        attempt(exponent)
    for step in HALVINGS:
        peak = -best[0][2] if best is not None else 0.0
        attempt(peak - step)
        attempt(peak + step)
    if best is None or not math.isfinite(best[0][1]):
        raise ValueError("validation gave no finite log-loss")
    return Search(best[1], tuple(trials[exponent] for exponent in sorted(trials)))


def most_trials() -> int:
    """The maximum number of fits of a search."""
    return len(COARSE) + 2 * len(HALVINGS)
