"""Do the caption intervals cover, and do the paired tests keep their level?

A population of images with their statistics stands for the truth. Corpora are drawn from it again and again; counted
is how often a 95 % interval holds the population's own score, and how often a paired test finds a difference between
two systems that have none: two draws from the population put side by side, the second system's captions those of
other images.

    python benchmarks/caption_coverage.py --data ../shared/data/captions --corpora 2000 --images 500
"""

import argparse
import json
from pathlib import Path

import numpy as np

from vlmbench.data.captions.read import align, read_candidates, read_references
from vlmbench.foundations.paths import default_cache_dir
from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS, load_index
from vlmbench.metrics.captions.ptb.tokenizer import tokenize
from vlmbench.metrics.captions.sanitize import sanitize_all
from vlmbench.metrics.captions.scoring import Tokenized, score_meteor, score_native
from vlmbench.metrics.captions.statistics import (
    Statistics,
    compare,
    intervals,
    resample,
)
from vlmbench.metrics.spec import caption_specs

NAMES = tuple(spec.name for spec in caption_specs() if spec.usual)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with coco_karpathy_test_references.json")
    parser.add_argument("--system", default="magic", help="whose captions are the population")
    parser.add_argument("--corpora", type=int, default=2000)
    parser.add_argument("--images", type=int, default=500, help="a corpus")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    population = statistics(options.data, options.system)
    truth, size = population.corpus(), len(population.matrix)
    covered, bootstrap, randomization = (dict.fromkeys(NAMES, 0) for _ in range(3))
    rng = np.random.default_rng(options.seed)
    for corpus in range(options.corpora):
        rows = rng.integers(0, size, (2, options.images))
        first, second = (Statistics(population.matrix[part], population.scorers) for part in rows)
        drawn = resample([first, second], corpus, resamples=options.resamples)
        ends, tests = intervals(drawn, 0), compare(drawn, 0, 1)
        for name in NAMES:
            covered[name] += ends[name][0] <= truth[name] <= ends[name][1]
            bootstrap[name] += tests[name].p_bootstrap <= 0.05
            randomization[name] += tests[name].p_randomization <= 0.05
    print(f"{options.corpora} corpora of {options.images} images, {options.resamples} resamples")
    print(f"{'metric':<10} {'covered':>8} {'bootstrap rejects':>18} {'randomization rejects':>22}")
    found = {}
    for name in NAMES:
        shares = [counts[name] / options.corpora for counts in (covered, bootstrap, randomization)]
        found[name] = dict(zip(("covered", "bootstrap_rejects", "randomization_rejects"), shares, strict=True))
        print(f"{name:<10} {shares[0]:>8.2%} {shares[1]:>18.2%} {shares[2]:>22.2%}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def statistics(data: Path, system: str) -> Statistics:
    aligned = align(
        read_references(data / "coco_karpathy_test_references.json"),
        [read_candidates(data / f"coco_karpathy_test_{system}.json")],
    )
    tokens = [tokenize(sanitize_all(captions)[0]) for captions in (*aligned.references, aligned.candidates[0])]
    text = Tokenized(tokens[:-1], [tokens[-1]], [np.arange(len(aligned.ids))])
    scored = score_native(text, NAMES)[0]
    scored.columns[METEOR_STATISTICS], scored.columns["meteor"] = score_meteor(text, load_index(default_cache_dir()))
    return Statistics.of(scored.columns, NAMES)


if __name__ == "__main__":
    main()
