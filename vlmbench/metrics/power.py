"""How many test images it takes to tell two systems apart by McNemar's test on the same images.

The power of the exact test, averaged over how many images the two disagree on. The usual formula (`approximate_images`)
is for the test without the exact binomial tail, which needs a few images less.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import UsageError
from vlmbench.metrics.stats.intervals import wilson

POWER, LEVEL = 0.8, 0.05
EXACT = 200_000
"""Above so many images the formula is used, with 2 / δ more for the exact binomial tail: what that takes here."""


@dataclass(frozen=True)
class ImagesNeeded:
    """Test images that a difference takes.

    Attributes:
        delta: the difference in accuracy, 0 to 1.
        disagreement: the share of images on which exactly one of the two systems is right.
        power: the chance that the test finds the difference.
        level: the test's error rate.
        images: so many.
        low, high: with the ends of the disagreement's 95 % interval, if that was estimated.
    """

    delta: float
    disagreement: float
    power: float
    level: float
    images: int
    low: int | None = None
    high: int | None = None


def images_needed(delta: float, disagreement: float, *, seen: int | None = None, power: float = POWER) -> ImagesNeeded:
    """The fewest images with which McNemar's exact test finds a difference with probability `power`. Raises
    `UsageError` where a number is out of range, or the difference exceeds the disagreement.

    Args:
        delta: the difference in accuracy, 0 to 1.
        disagreement: the share of images on which exactly one of the two systems is right.
        seen: the images on which that share was seen, for a range; None: it is known.
    """
    for name, value in (("--delta", delta), ("--disagreement", disagreement), ("--power", power)):
        if not 0 < value < 1 and not (value == 1 and name != "--power"):
            raise UsageError(f"{name} is {value:g}", where=name, fix="a number between 0 and 1, such as 0.02")
    if delta > disagreement:
        raise UsageError(
            f"two systems that disagree on {100 * disagreement:.3g} % of the images cannot be "
            f"{100 * delta:.3g} points apart",
            where="--delta",
            fix=f"a difference of at most {disagreement:.3g}",
        )
    low = high = None
    if seen is not None:
        low, high = (_images(delta, max(delta, end), power) for end in wilson(disagreement, seen))
    return ImagesNeeded(delta, disagreement, power, LEVEL, _images(delta, disagreement, power), low, high)


def smallest_difference(images: int, disagreement: float, *, power: float = POWER) -> float | None:
    """The smallest difference in accuracy that so many images show with probability `power`; None: none does."""
    if mcnemar_power(images, disagreement, disagreement) < power:
        return None
    low, high = 0.0, disagreement
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if mcnemar_power(images, middle, disagreement) >= power else (middle, high)
    return high


def approximate_images(delta: float, disagreement: float, power: float = POWER) -> float:
    """(z(1 - α/2) √ψ + z(power) √(ψ - δ²))² / δ², ψ the disagreement: Connor 1987, Biometrics 43, equation 3."""
    from scipy import special

    one, other = special.ndtri(1 - LEVEL / 2), special.ndtri(power)
    return float((one * math.sqrt(disagreement) + other * math.sqrt(disagreement - delta**2)) ** 2 / delta**2)


def mcnemar_power(images: int, delta: float, disagreement: float) -> float:
    """The probability that McNemar's exact test finds a true difference.

    Of `images`, Binomial(images, disagreement) are such that one system alone is right, and of these the better one is
    right on Binomial(·, (1 + δ/ψ) / 2); the test rejects where twice the binomial tail is at most `LEVEL`.
    """
    from scipy import special

    spread = math.sqrt(images * disagreement * (1 - disagreement))
    middle = images * disagreement
    counts = np.arange(max(0, math.floor(middle - 7 * spread - 1)), min(images, math.ceil(middle + 7 * spread + 1)) + 1)
    log = special.gammaln(images + 1) - special.gammaln(counts + 1) - special.gammaln(images - counts + 1)
    log += special.xlogy(counts, disagreement) + special.xlog1py(images - counts, -disagreement)
    most = _critical(counts)
    share = (1 + delta / disagreement) / 2
    possible = most >= 0
    rejects = np.zeros(len(counts))
    fewer = special.bdtr(most[possible], counts[possible], share)
    more = special.bdtrc(counts[possible] - most[possible] - 1, counts[possible], share)
    rejects[possible] = fewer + more
    return float(np.exp(log) @ rejects)


def _critical(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each count of disagreements the most wins of the loser that the exact test rejects at; -1: none."""
    from scipy import special

    guess = counts / 2 + special.ndtri(LEVEL / 2) * np.sqrt(counts) / 2
    found = np.clip(np.floor(guess).astype(np.int64) + 2, -1, counts // 2)
    for _ in range(8):
        tail = np.where(found >= 0, special.bdtr(np.maximum(found, 0), counts, 0.5), 0)
        found = np.where(2 * tail > LEVEL, found - 1, found)
    return np.asarray(found)


def _images(delta: float, disagreement: float, power: float) -> int:
    about = approximate_images(delta, disagreement, power)
    if about > EXACT:
        return math.ceil(about + 2 / delta)
    low = max(1, int(about * 0.8))
    high = int(about) + 1
    while mcnemar_power(high, delta, disagreement) < power:
        low, high = high, int(high * 1.05) + 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = mcnemar_power(middle, delta, disagreement) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high
