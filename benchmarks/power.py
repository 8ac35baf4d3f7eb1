"""Planned test images and planned labels, checked by simulation: power of 80 % ± 2, intervals that hold in 95 %.

Run ``python benchmarks/power.py`` (two minutes). Test images: pairs of systems with a true difference and disagreement
are drawn with the planned number of images and tested by McNemar's exact test. Labels: few-shot curves are drawn around
power laws, with the spread of few-shot samples, and asked for a figure that their truth reaches beyond what was seen;
of the intervals that are given, the share that holds the truth is counted. Curves that are no power laws are not drawn.
"""

import argparse

import numpy as np

from vlmbench.metrics.labels_needed import REACH, labels_needed
from vlmbench.metrics.power import images_needed
from vlmbench.metrics.stats.paired import mcnemar_exact

PLANS = ((0.02, 0.1), (0.02, 0.05), (0.05, 0.2), (0.1, 0.15), (0.01, 0.03))
CURVES = {
    "0.30 k^-0.4": (0.0, 0.3, 0.4),
    "0.02 + 0.40 k^-0.5": (0.02, 0.4, 0.5),
    "0.05 + 0.60 k^-0.8": (0.05, 0.6, 0.8),
    "0.10 + 0.50 k^-0.3": (0.1, 0.5, 0.3),
}
SHOTS = (1, 2, 4, 8, 16, 32)


def powers(repeats: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    print("difference  disagreement  planned images  power in simulation")
    for delta, disagreement in PLANS:
        images = images_needed(delta, disagreement).images
        found = 0
        for _ in range(repeats):
            kind = random.choice(
                3, images, p=[(disagreement + delta) / 2, (disagreement - delta) / 2, 1 - disagreement]
            )
            found += mcnemar_exact(kind == 0, kind == 1) <= 0.05
        print(f"{delta:10.3f}  {disagreement:12.2f}  {images:14,d}  {100 * found / repeats:18.1f} %")


def coverage(repeats: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    print("\ncurve of errors              target beyond   said  holds the truth  (where it is said)")
    total = []
    for name, (floor, height, exponent) in CURVES.items():
        for beyond in (1.5, 3.0):
            for spread in (0.004, 0.02):
                truth = SHOTS[-1] * beyond
                target = 1 - (floor + height * truth**-exponent)
                held = []
                for _ in range(repeats):
                    values = [
                        1 - (floor + height * k**-exponent) + spread * k**-0.5 * random.standard_normal(5)
                        for k in SHOTS
                    ]
                    found = labels_needed(SHOTS, [list(row) for row in values], target)
                    if found.high is not None:
                        held.append(found.low <= truth <= found.high)
                total += held
                share = f"{100 * np.mean(held):5.1f} %" if len(held) > 20 else "      -"
                what = f"{name}, spread {spread:g}/√k"
                print(f"{what:38s} {beyond:3g}x  {100 * len(held) / repeats:6.0f} %  {share}")
    print(
        f"all: {100 * np.mean(total):.1f} % of {len(total):,} intervals hold the truth (up to {REACH} times the labels)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--curves", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    powers(options.repeats, options.seed)
    coverage(options.curves, options.seed)
