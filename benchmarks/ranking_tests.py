"""Do the paired tests of ranking metrics keep their level, and how long do they take? Simulated systems, real tests.

Two systems score the same images of several classes; each score is the truth's signal, a part that the image decides
for both, and noise of its own. Without a true difference at most about 5 % of the p-values may lie below 0.05; with a
clear one (the first system's signal is stronger) all should lie far below.

    python benchmarks/ranking_tests.py [--pairs 1000]
"""

import argparse
import time

import numpy as np

from vlmbench.metrics.spec import classification_specs
from vlmbench.metrics.stats.paired_ranking import paired_ranking

RANKED = [spec.name for spec in classification_specs() if spec.test == "ranking"]


def systems(generator, n, classes, share, signals, agreement):
    """Per-sample columns of two systems on the same `n` images, `share` of which have each class."""
    truth = generator.random((n, classes)) < share
    both = generator.normal(size=(n, classes)) * agreement**0.5
    found = []
    for signal in signals:
        scores = signal * truth + both + generator.normal(size=(n, classes)) * (1 - agreement) ** 0.5
        found.append({"labels": list(truth.astype(np.int8)), "scores": list(scores)})
    return found


def rejected(pairs, n, classes, share, agreement, metric, seed=0, level=0.05):
    """The share of simulated pairs without a true difference whose p lies below `level`."""
    generator = np.random.default_rng([seed, n, classes, round(100 * share), round(10 * agreement)])
    found = 0
    for trial in range(pairs):
        first, second = systems(generator, n, classes, share, (1.0, 1.0), agreement)
        found += paired_ranking(first, second, metric, trial)[3] < level
    return found / pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    options = parser.parse_args()
    print(f"p < 0.05 in {options.pairs} pairs of systems without a true difference.\n")
    print("| images | classes | share of images with a class | agreement | " + " | ".join(RANKED) + " |")
    print("| ---: | ---: | ---: | ---: | " + " | ".join("---:" for _ in RANKED) + " |")
    for n, classes, share in ((100, 1, 0.3), (300, 1, 0.1), (300, 4, 0.2), (1000, 20, 0.08)):
        for agreement in (0.0, 0.7):
            pairs = options.pairs if n < 1000 else max(1, options.pairs // 4)
            shares = [rejected(pairs, n, classes, share, agreement, metric) for metric in RANKED]
            told = " | ".join(f"{100 * one:.1f} %" for one in shares)
            print(f"| {n:,} | {classes} | {share:g} | {agreement:g} | {told} |", flush=True)
    first, second = systems(np.random.default_rng(1), 10_000, 20, 0.08, (2.0, 1.8), 0.5)
    print("\n10,000 images, 20 classes, a clear difference:")
    for metric in RANKED:
        start = time.perf_counter()
        *_, p = paired_ranking(first, second, metric, 0)
        print(f"{metric}: p {p:.1g}, {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
