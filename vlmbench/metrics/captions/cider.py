"""CIDEr as ``pycocoevalcap`` 1.2 computes it, which is CIDEr-D of the paper (Vedantam et al. 2015, equation 6).

TF-IDF vectors of n-grams, n = 1 … 4; a candidate's weight is clipped to the reference's, a Gaussian (σ 6) punishes a
different length, the mean over orders and references is multiplied by 10. Nothing is stemmed. A length is counted in
bigrams; that differs from words only for an empty caption, whose similarity is 0 either way.
"""

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.captions.corpus import ORDERS, Corpus, Match, Order

Floats = NDArray[np.float64]

SIGMA = 6.0
SCALE = 10.0
FEWEST = 2


def cider_scores(corpus: Corpus, system: int, likeness: Floats) -> Floats:
    """CIDEr of each candidate, `[n]`, 0 to 10; the corpus score is its mean.

    An n-gram's inverse document frequency is ``log(images) - log(max(1, images whose references hold it))``, over all
    the references of the corpus (or over its `documents`), never over a resample.

    Args:
        corpus: the corpus.
        system: index of the system.
        likeness: the sum of `cosines` over the orders, `[R]`.

    Raises:
        InputError: fewer than two documents, of which every n-gram is in all: every score would be 0.
    """
    if corpus.documents < FEWEST:
        raise InputError(
            "CIDEr needs at least two images: with one, every n-gram stands in every document and every score is 0",
            mend="take document frequencies from a larger set of references, or leave cider out",
        )
    kept = corpus.images[system]
    tokens, own = corpus.candidate_tokens(system)
    length = np.zeros(corpus.size)
    length[kept] = np.maximum(0, tokens.lengths[own] - 1)
    gap = length[corpus.image_of_reference] - np.maximum(0, tokens.lengths[: corpus.references] - 1)
    likeness = likeness * np.exp(-(gap**2) / (2 * SIGMA**2))
    scores = np.add.reduceat(likeness, corpus.first_reference) if corpus.size else np.zeros(0)
    return np.asarray((scores / corpus.per_image)[kept] / ORDERS * SCALE)


def rarities(corpus: Corpus, order: Order) -> tuple[Floats, Floats, Floats]:
    """Inverse document frequencies `[grams]`, the references' weights `[K]`, and their norms `[R]`."""
    rarity = np.log(corpus.documents) - np.log(np.maximum(1, order.frequency))
    weights = order.references.count * rarity[order.references.gram]
    norms = np.sqrt(np.bincount(order.references.caption, weights**2, minlength=corpus.references))
    return rarity, weights, norms


def cosines(
    corpus: Corpus, system: int, order: Order, match: Match, rarity: Floats, weights: Floats, norms: Floats
) -> Floats:
    """Clipped cosine of each reference and its image's candidate, one order, `[R]`; the last three from `rarities`."""
    kept = corpus.images[system]
    ours = match.count * rarity[match.gram]
    row = np.repeat(np.arange(len(match.gram)), match.rows)
    inside = np.arange(len(row)) - np.repeat(np.cumsum(match.rows) - match.rows, match.rows)
    other = match.first[row] + inside
    theirs = weights[other]
    products = np.bincount(
        order.references.caption[other], np.minimum(ours[row], theirs) * theirs, minlength=corpus.references
    )
    size = np.zeros(corpus.size)
    size[kept] = np.sqrt(np.bincount(match.image, ours**2, minlength=len(kept)))
    below = size[corpus.image_of_reference] * norms
    return np.asarray(np.divide(products, below, out=np.zeros(corpus.references), where=below > 0))
