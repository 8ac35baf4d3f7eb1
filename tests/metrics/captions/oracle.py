"""pycocoevalcap's own Python scorers (no Java in them), and corpora to put to both."""

import random

import numpy as np


def oracle(references, candidates):
    """Per-image and corpus BLEU, ROUGE-L and CIDEr of tokenized lines."""
    from vlmbench.metrics.captions.java import bleu_rouge_cider

    return bleu_rouge_cider(candidates, references)


def corpus(seed, images=None, *, words=None, longest=None, blank=True):
    """Random references `[N][R]` and candidates `[N]`, with the odd shapes that break scorers."""
    rng = random.Random(seed)
    vocabulary = [f"w{index}" for index in range(words or rng.choice([2, 5, 30, 300]))]
    longest = longest or rng.choice([1, 3, 12, 70, 90])

    def line():
        length = rng.choice([0 if blank else 1, 1, 1, rng.randint(1, longest), rng.randint(1, longest)])
        return " ".join(rng.choice(vocabulary) for _ in range(length))

    size = images or rng.randint(2, 12)
    references = [[line() for _ in range(rng.choice([1, 2, 5, 20]))] for _ in range(size)]
    candidates = [line() if rng.random() < 0.7 else rng.choice(refs) for refs in references]
    if rng.random() < 0.3:
        references[1] = list(references[0])
        candidates[1] = candidates[0]
    return references, candidates


def split(line):
    return line.split(" ") if line else []


def native(references, candidates):
    """The same figures by the native scorers."""
    from vlmbench.metrics.captions.scoring import Tokenized, score_native
    from vlmbench.metrics.captions.statistics import Statistics

    names = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")
    text = Tokenized(
        [[split(line) for line in lines] for lines in references],
        [list(map(split, candidates))],
        [np.arange(len(candidates))],
    )
    scored = score_native(text, names)[0]
    return {name: scored.columns[name] for name in names}, Statistics.of(scored.columns, names).corpus(), scored.columns
