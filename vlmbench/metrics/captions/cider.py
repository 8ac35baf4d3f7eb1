"""CIDEr as ``pycocoevalcap`` 1.2 computes it, which is CIDEr-D of the paper (Vedantam et al. 2015, equation 6).

A caption is four TF-IDF vectors, one for n-grams of each order n = 1 … 4::

    g_n(caption)[w]  =  count of w in the caption  ·  (log(images) - log(images whose references contain w))

    CIDEr(candidate, references)  =  10 · mean over n and references of
        exp(-(length - reference length)² / (2 · 6²))  ·  min(g_n(c), g_n(r)) · g_n(r)  /  (|g_n(c)| · |g_n(r)|)

Nothing is stemmed. Lengths are counted in bigrams; that differs from words only for an empty caption, whose similarity
is 0 either way.
"""

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.captions.corpus import ORDERS, Corpus, Match, Order
from vlmbench.metrics.spec import CaptionSpec

Floats = NDArray[np.float64]

SIGMA = 6.0
SCALE = 10.0
FEWEST = 2


def cider(corpus: Corpus) -> list[Floats]:
    """CIDEr of each system's candidates, `[n]` each, 0 to 10; a system's corpus score is their mean.

    Document frequencies are counted over all the references of the corpus (or over its `documents`), never over a
    resample; an n-gram that occurs in no document counts as occurring in one. Fewer than two documents are an
    `InputError`: every n-gram would be in all of them, and every score 0.
    """
    scorer = Cider(corpus)
    corpus.scan(scorer)
    return [scorer.scores(system) for system in range(len(corpus.images))]


class Cider:
    """CIDEr as a scorer for `Corpus.scan`, which gets the n-grams order by order; raises the same errors as `cider`."""

    def __init__(self, corpus: Corpus) -> None:
        if corpus.documents < FEWEST:
            raise InputError(
                "CIDEr needs at least two images: with one, every n-gram occurs in every document and every score is 0",
                fix="take document frequencies from a larger set of references, or leave cider out",
            )
        self._corpus = corpus
        self._similarity = [np.zeros(corpus.references) for _ in corpus.images]
        """For each system the sum over orders of the cosine between each reference and its image's candidate, `[R]`."""

    def start(self, order: Order) -> None:
        """Weighs the n-grams of one order in the references."""
        found = order.references
        self._order = order
        self._idf = np.log(self._corpus.documents) - np.log(np.maximum(1, order.frequency))
        self._weights = found.count * self._idf[found.gram]
        self._norms = np.sqrt(np.bincount(found.caption, self._weights**2, minlength=self._corpus.references))

    def add(self, system: int, match: Match) -> None:
        """Adds one system's clipped cosines of this order."""
        corpus, images = self._corpus, self._corpus.images[system]
        ours = match.count * self._idf[match.gram]
        row = np.repeat(np.arange(len(match.gram)), match.rows)
        inside = np.arange(len(row)) - np.repeat(np.cumsum(match.rows) - match.rows, match.rows)
        other = match.first[row] + inside
        theirs = self._weights[other]
        caption = self._order.references.caption[other]
        products = np.bincount(caption, np.minimum(ours[row], theirs) * theirs, minlength=corpus.references)
        norm = np.zeros(corpus.size)
        norm[images] = np.sqrt(np.bincount(match.image, ours**2, minlength=len(images)))
        below = norm[corpus.image_of_reference] * self._norms
        self._similarity[system] += np.divide(products, below, out=np.zeros(corpus.references), where=below > 0)

    def scores(self, system: int) -> Floats:
        """CIDEr of each candidate of a system, `[n]`, after all orders."""
        corpus, images = self._corpus, self._corpus.images[system]
        tokens, own = corpus.candidate_tokens(system)
        length = np.zeros(corpus.size)
        length[images] = np.maximum(0, tokens.lengths[own] - 1)
        gap = length[corpus.image_of_reference] - np.maximum(0, tokens.lengths[: corpus.references] - 1)
        alike = self._similarity[system] * np.exp(-(gap**2) / (2 * SIGMA**2))
        sums = np.add.reduceat(alike, corpus.first_reference) if corpus.size else np.zeros(0)
        return np.asarray((sums / corpus.per_image)[images] / ORDERS * SCALE)


_BLIND = "synonyms and word order beyond 4 words; comparable only with the same document frequencies"
SPECS = [
    CaptionSpec(
        name=name,
        title=title,
        definition=definition,
        source="Vedantam et al. 2015, equation 6; pycocoevalcap 1.2",
        blind_to=_BLIND,
        range=(0.0, SCALE),
        needs="documents",
        usual=name == "cider",
        prominence=1 if name == "cider" else 0,
        order=order,
    )
    for name, title, definition, order in (
        (
            "cider",
            "CIDEr",
            "CIDEr, sigma 6, document frequency from the references (Vedantam et al. 2015)",
            70,
        ),
        (
            "cider_d",
            "CIDEr-D",
            "CIDEr-D: clipped counts and a length penalty; the same as pycocoevalcap's CIDEr",
            80,
        ),
    )
]
