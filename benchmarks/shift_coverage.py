"""Does the interval of "probe's loss minus zero-shot's loss" hold the truth 95 % of the time?

Simulated test sets of known size and shift: each image of a test set is right for both systems, for one of them or for
neither, with given shares, so that the true difference of the two losses is known. For each setting the share of
simulated pairs of test sets whose interval holds it is printed; all must lie between 93.5 and 96.5 %. The last lines
are of one test set, as it is and corrupted: a share of the images keeps its outcome, the others are drawn anew.

    python benchmarks/shift_coverage.py [--simulations 20000]
"""

import argparse
import sys

import numpy as np

from vlmbench.metrics.shift import extra_loss

# in distribution and shifted: shares of images that both get right, the probe alone, zero-shot alone
SETTINGS = {
    "probe ahead, then behind": ((0.86, 0.09, 0.03), (0.55, 0.10, 0.20)),
    "both high, small shift": ((0.95, 0.030, 0.015), (0.90, 0.035, 0.045)),
    "no difference in loss": ((0.80, 0.08, 0.05), (0.60, 0.13, 0.10)),
    "large shift": ((0.85, 0.10, 0.02), (0.20, 0.05, 0.35)),
    "weak systems": ((0.10, 0.25, 0.10), (0.05, 0.10, 0.15)),
}
SIZES = ((200, 200), (800, 480), (1000, 1000), (2000, 300), (10000, 2000))
BAND = (0.935, 0.965)


Shares = tuple[float, float, float]


def drawn(shares: Shares, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong of both systems on `n` images."""
    kind = generator.choice(4, size=n, p=[*shares, 1 - sum(shares)])
    return np.isin(kind, (0, 1)).astype(float), np.isin(kind, (0, 2)).astype(float)


def coverage(own: Shares, shifted: Shares, n: int, m: int, times: int, unchanged: float = 0.0) -> float:
    """The share of simulations whose interval holds the true difference of losses.

    With `unchanged`, the second test set shows the images of the first, of which so many keep their outcome.
    """
    generator = np.random.default_rng([n, m, times])
    truth = (1 - unchanged) * ((own[1] - own[2]) - (shifted[1] - shifted[2]))
    held = 0
    for _ in range(times):
        first, second = drawn(own, n, generator), drawn(shifted, m, generator)
        if unchanged:
            kept = generator.random(n) < unchanged
            second = np.where(kept, first[0], second[0]), np.where(kept, first[1], second[1])
        found = extra_loss(first, second, same_images=unchanged > 0)
        held += found.low <= truth <= found.high
    return held / times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=4000, help="per setting")
    times = parser.parse_args().simulations
    shares = []
    for name, (own, shifted) in SETTINGS.items():
        for n, m in SIZES:
            shares.append(coverage(own, shifted, n, m, times))
            print(f"{name:26} n {n:6} and {m:5}: {100 * shares[-1]:.1f} %", flush=True)
        for n in (200, 1000):
            shares.append(coverage(own, shifted, n, n, times, unchanged=0.7))
            print(f"{name:26} n {n:6}, corrupted: {100 * shares[-1]:.1f} %", flush=True)
    print(f"from {100 * min(shares):.1f} to {100 * max(shares):.1f} %, mean {100 * np.mean(shares):.1f} %")
    return int(not BAND[0] <= min(shares) <= max(shares) <= BAND[1])


if __name__ == "__main__":
    sys.exit(main())
