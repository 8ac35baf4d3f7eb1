"""How often does the regression gate raise an alarm? Simulated pairs of runs, through the code of ``vlmbench check``.

Two models label the same images. Each image has a difficulty; the models agree more or less (``agreement`` is the share
of the variance of their answers that the image decides). Without a true change an alarm is false; with a true drop of
two points it should come.

    python benchmarks/gate_power.py [--pairs 1000] [--n 1000 10000]
"""

import argparse

import numpy as np
from scipy.special import ndtri

from vlmbench.report.gate.baseline import GateEntry
from vlmbench.report.gate.run import run_gate


def answers(generator, n, accuracies, agreement):
    """Whether each model is right on each image, `[2, n]`: probit with a shared part of variance `agreement`."""
    shared = generator.normal(size=n) * agreement**0.5
    own = generator.normal(size=(2, n)) * (1 - agreement) ** 0.5
    return shared + own < ndtri(np.asarray(accuracies))[:, None]


def entry(right, labels):
    """One run as the gate sees it."""
    return GateEntry(
        key="zeroshot model data/test",
        comparable={"n": len(right), "metric": "accuracy", "content": "same"},
        metrics={"accuracy": float(right.mean())},
        main="accuracy",
        signature="",
        ids="same",
        columns={"right": right, "label": labels},
    )


def alarms(pairs, n, drop, agreement, seed, accuracy=0.8):
    """The share of simulated pairs in which the gate finds a regression."""
    generator = np.random.default_rng([seed, n, round(drop * 1000), round(agreement * 100)])
    found = 0
    for _ in range(pairs):
        before, now = answers(generator, n, (accuracy, accuracy - drop), agreement)
        labels = generator.integers(0, 10, n)
        found += bool(run_gate([entry(before, labels)], [entry(now, labels)], {}).regressions)
    return found / pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"Alarms in {options.pairs} simulated pairs, accuracy 80, level 5 %, tolerance 0.\n")
    print("| n | agreement | images on which they differ | no change | drop of 1 point | drop of 2 points |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for n in options.n:
        for agreement in (0.0, 0.5, 0.9):
            shares = [alarms(options.pairs, n, drop, agreement, options.seed) for drop in (0.0, 0.01, 0.02)]
            first, second = answers(np.random.default_rng(1), 200_000, (0.8, 0.8), agreement)
            told = " | ".join(f"{share * 100:.1f} %" for share in shares)
            print(f"| {n:,} | {agreement:g} | {(first != second).mean() * 100:.0f} % | {told} |", flush=True)


if __name__ == "__main__":
    main()
