"""CIDEr-D by a plain statement of the paper (Vedantam et al. 2015, equations 2 and 6) and of its authors' code.

``g`` is a term-frequency vector times the inverse document frequency, n = 1 … 4. For each reference the candidate's
weights are clipped to the reference's, the cosine is multiplied by ``exp(-(l(c) - l(s))² / (2 · 6²))``, and the mean
over references and n is multiplied by 10. Lengths are counted in bigrams, as the authors' code has it.
"""

import math
import random
from collections import Counter

import numpy as np
import pytest

from vlmbench.metrics.captions.scoring import Tokenized, score_native

WORDS = ["a", "the", "dog", "cat", "man", "on", "in", "runs", "sits", "red", "big", "table"]


def grams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def cider_d(candidate, references, documents, *, sigma=6.0, clip=True):
    total = 0.0
    for n in range(1, 5):
        frequency = Counter(gram for document in documents for gram in {g for text in document for g in grams(text, n)})

        def weights(tokens, n=n, frequency=frequency):
            counts = grams(tokens, n)
            return {g: k * (math.log(len(documents)) - math.log(max(1, frequency[g]))) for g, k in counts.items()}

        ours = weights(candidate)
        for reference in references:
            theirs = weights(reference)
            norms = [math.sqrt(sum(value**2 for value in side.values())) for side in (ours, theirs)]
            product = sum((min(v, theirs.get(g, 0.0)) if clip else v) * theirs.get(g, 0.0) for g, v in ours.items())
            if all(norms):
                gap = sum(grams(candidate, 2).values()) - sum(grams(reference, 2).values())
                total += product / math.prod(norms) * math.exp(-(gap**2) / (2 * sigma**2))
    return 10 * total / 4 / len(references)


def corpus(seed, images=9):
    rng = random.Random(seed)

    def line():
        return rng.choices(WORDS, k=rng.choice([0, 1, 2, 5, 8, 14]))

    return [[line() for _ in range(rng.randint(1, 5))] for _ in range(images)], [line() for _ in range(images)]


def scored(references, candidates, documents=None):
    text = Tokenized(references, [candidates], [np.arange(len(candidates))], documents)
    return score_native(text, ["cider_d"])[0].columns["cider_d"]


@pytest.mark.parametrize("seed", range(12))
def test_it_is_its_formula(seed):
    references, candidates = corpus(seed)
    by_hand = [cider_d(own, refs, references) for own, refs in zip(candidates, references, strict=True)]
    np.testing.assert_allclose(scored(references, candidates), by_hand, rtol=1e-12, atol=1e-12)
    assert max(by_hand) > 0


def test_with_document_frequencies_of_other_captions():
    references, candidates = corpus(3)
    documents, _ = corpus(4, images=30)
    by_hand = [cider_d(own, refs, documents) for own, refs in zip(candidates, references, strict=True)]
    np.testing.assert_allclose(scored(references, candidates, documents), by_hand, rtol=1e-12, atol=1e-12)


def test_the_penalty_and_the_clipping_are_what_is_tested():
    """Repeating a word pays without clipping, and a caption of another length pays without the penalty."""
    references = [[["red", "dog", "runs", "on", "the", "table"]], [["a", "big", "cat"]], [["the", "man", "sits"]]]
    others = [["a"], ["man"]]
    plain, repeated, long = (
        scored(references, [text.split(), *others])[0]
        for text in ("red dog runs", "red red red red red red dog runs", "red dog runs " + "zzz " * 12)
    )
    assert plain > repeated
    assert plain > long
    for text in ("red red red red red red dog runs", "red dog runs " + "zzz " * 12):
        found = scored(references, [text.split(), *others])[0]
        assert found == pytest.approx(cider_d(text.split(), references[0], references))
        assert found < cider_d(text.split(), references[0], references, sigma=1e9)
    repeats = ["red", "red", "red", "red", "red", "red", "dog", "runs"]
    assert cider_d(repeats, references[0], references) < cider_d(repeats, references[0], references, clip=False)
