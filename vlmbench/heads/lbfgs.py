"""L-BFGS with a diagonal initial Hessian that is renewed at each step.

The textbook method (Nocedal and Wright 2006, algorithm 7.5) starts each two-loop recursion from a multiple of the
identity. Here it starts from a multiple of a diagonal that the objective gives with its gradient; for the logistic
probe in its features' principal axes that diagonal is close to the true curvature, and a fit takes far fewer steps.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

MEMORY = 12
_ARMIJO = 1e-4
_WOLFE = 0.9
_TRIALS = 15
_PATIENCE = 25


@dataclass(frozen=True)
class Point:
    """The objective at one place.

    `x`, `gradient` and `curvature` (the diagonal, positive) have one shape, float64; `value` is a plain number.
    """

    x: torch.Tensor
    value: float
    gradient: torch.Tensor
    curvature: torch.Tensor

    @property
    def decrement(self) -> float:
        """About twice the remaining improvement: gradientᵀ · curvature⁻¹ · gradient."""
        return float(_dot(self.gradient, self.gradient / self.curvature))


@dataclass(frozen=True)
class Outcome:
    """The end of the minimisation: `converged` by its stopping rule, `stalled` if rounding hid any further descent."""

    point: Point
    iterations: int
    evaluations: int
    converged: bool
    stalled: bool


def minimise(
    evaluate: Callable[[torch.Tensor], Point],
    start: torch.Tensor,
    *,
    stop: Callable[[Point], bool],
    max_iter: int,
    noise: float,
    project: Callable[[torch.Tensor], torch.Tensor] = lambda step: step,
) -> Outcome:
    """Minimises a convex function.

    Args:
        evaluate: returns value, gradient and curvature at a point.
        stop: whether a point is good enough.
        noise: relative rounding error of a value; smaller increases are ignored.
        project: projects a step onto the searched subspace (linear).
    """
    here = evaluate(start)
    evaluations, iterations = 1, 0
    history: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = deque(maxlen=MEMORY)
    best, since = here.decrement, 0
    while iterations < max_iter:
        if stop(here):
            return Outcome(here, iterations, evaluations, converged=True, stalled=False)
        step = project(-_two_loops(here, history))
        slope = float(_dot(step, here.gradient))
        if not slope < 0:
            history.clear()
            step = project(-here.gradient / here.curvature)
            slope = float(_dot(step, here.gradient))
        there, tried = _search(evaluate, here, step, slope, noise)
        evaluations += tried
        if there is None:
            if history:
                history.clear()
                continue
            return Outcome(here, iterations, evaluations, converged=False, stalled=True)
        moved, turned = there.x - here.x, there.gradient - here.gradient
        product = _dot(moved, turned)
        if float(product) > 0:
            history.append((moved, turned, 1 / product))
        here = there
        iterations += 1
        decrement = here.decrement
        best, since = (decrement, 0) if decrement < 0.5 * best else (best, since + 1)
        if since > _PATIENCE and noise > 1e-12:
            return Outcome(here, iterations, evaluations, converged=stop(here), stalled=True)
    return Outcome(here, iterations, evaluations, converged=stop(here), stalled=False)


def _two_loops(here: Point, history: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """The inverse Hessian's estimate times the gradient."""
    direction = here.gradient.clone()
    shares = []
    for moved, turned, inverse in reversed(history):
        share = inverse * _dot(moved, direction)
        direction.addcmul_(turned, share, value=-1)
        shares.append(share)
    direction /= here.curvature
    if history:
        _, turned, inverse = history[-1]
        direction /= inverse * _dot(turned, turned / here.curvature)
    for (moved, turned, inverse), share in zip(history, reversed(shares), strict=True):
        direction.addcmul_(moved, share - inverse * _dot(turned, direction))
    return direction


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.dot(one.reshape(-1), other.reshape(-1))


def _search(
    evaluate: Callable[[torch.Tensor], Point], here: Point, step: torch.Tensor, slope: float, noise: float
) -> tuple[Point | None, int]:
    """A length along `step` that meets the strong Wolfe conditions: secant on the slope, safeguarded by bisection."""
    length, low, high = 1.0, 0.0, float("inf")
    slope_low = slope
    for tried in range(1, _TRIALS + 1):
        there = evaluate(here.x + length * step)
        rise = there.value - here.value - _ARMIJO * length * slope
        too_high = not rise <= noise * abs(here.value)
        slope_there = float(_dot(step, there.gradient))
        if not too_high and abs(slope_there) <= _WOLFE * abs(slope):
            return there, tried
        if too_high or slope_there > 0:
            high = length
            guess = low + (length - low) * slope_low / (slope_low - slope_there) if slope_there > slope_low else 0.0
            length = min(max(guess, low + 0.1 * (high - low)), low + 0.9 * (high - low))
        else:
            low, slope_low = length, slope_there
            length = 2.5 * length if high == float("inf") else (low + high) / 2
    return None, _TRIALS
