"""BLEU-1 … BLEU-4 (Papineni et al. 2002) with the closest reference length, as ``pycocoevalcap`` 1.2 returns it."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.captions.corpus import ORDERS, Corpus, Match, Order
from vlmbench.metrics.spec import CaptionSpec

Floats = NDArray[np.float64]

STATISTICS = (*(f"bleu_matches_{n}" for n in range(1, ORDERS + 1)), *(f"bleu_ngrams_{n}" for n in range(1, ORDERS + 1)),
              "candidate_length", "reference_length")  # fmt: skip
_TINY, _SMALL = 1e-15, 1e-9  # what pycocoevalcap adds to numerators and denominators


def bleu(corpus: Corpus) -> list[Floats]:
    """For each system the counts that BLEU sums over images, `[n, 10]`; `bleu_scores` of rows or sums is BLEU."""
    scorer = Bleu(corpus)
    corpus.scan(scorer)
    return [scorer.statistics(system) for system in range(len(corpus.images))]


class Bleu:
    """BLEU as a scorer for `Corpus.scan`, which gets the n-grams order by order."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._matched = [np.zeros((len(images), ORDERS)) for images in corpus.images]

    def start(self, order: Order) -> None:
        """Starts the next order."""
        self._n = order.n

    def add(self, system: int, match: Match) -> None:
        """Counts the n-grams of each candidate that a reference has, clipped to the count in that one reference."""
        counts = np.minimum(match.count, match.largest).astype(np.float64)
        matched = self._matched[system]
        matched[:, self._n - 1] = np.bincount(match.image, counts, minlength=len(matched))

    def statistics(self, system: int) -> Floats:
        """Matched n-grams (n = 1 … 4), n-grams, candidate length, reference length, `[n, 10]`.

        A match is clipped to the highest count in one reference. The reference length is the one closest to the
        candidate's; of two equally close ones, the shorter.
        """
        tokens, own = self._corpus.candidate_tokens(system)
        lengths = tokens.lengths[own]
        table = np.zeros((len(lengths), 2 * ORDERS + 2))
        table[:, :ORDERS] = self._matched[system]
        table[:, ORDERS : 2 * ORDERS] = np.maximum(0, lengths[:, None] - np.arange(ORDERS))
        table[:, -2] = lengths
        if len(lengths):
            table[:, -1] = _closest(self._corpus, system)
        return table


def _closest(corpus: Corpus, system: int) -> NDArray[np.int64]:
    tokens, own = corpus.candidate_tokens(system)
    candidate = np.zeros(corpus.size, dtype=np.int64)
    candidate[corpus.images[system]] = tokens.lengths[own]
    references = tokens.lengths[: corpus.references]
    scale = int(tokens.lengths.max()) + 1
    keys = np.abs(references - candidate[corpus.image_of_reference]) * scale + references
    return np.minimum.reduceat(keys, corpus.first_reference)[corpus.images[system]] % scale


def bleu_scores(statistics: Floats) -> Floats:
    """BLEU-1 … BLEU-4, 0 to 1, from statistics of an image or their sum over images: `[..., 10]` to `[..., 4]`.

    The geometric mean of the precisions up to each order times the brevity penalty ``exp(1 - r / c)`` for c < r; the
    tiny constants that keep an empty candidate from dividing by zero are those of ``pycocoevalcap``.
    """
    matched, ngrams = statistics[..., :ORDERS], statistics[..., ORDERS : 2 * ORDERS]
    products = np.cumprod((matched + _TINY) / (ngrams + _SMALL), axis=-1)
    scores = products ** (1 / np.arange(1, ORDERS + 1))
    ratio = (statistics[..., -2] + _TINY) / (statistics[..., -1] + _SMALL)
    penalty = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return np.asarray(scores * penalty[..., None])


def _total(n: int, sums: Floats) -> Floats:
    return bleu_scores(sums)[..., n - 1]


ALL_BLEU = "bleu"
"""Stands for all four in lists of metrics."""
BLEU = tuple(f"bleu_{n}" for n in range(1, ORDERS + 1))
SPECS = [
    CaptionSpec(
        name=name,
        title=f"BLEU-{n}",
        definition=definition,
        source="Papineni et al. 2002; pycocoevalcap 1.2",
        blind_to="synonyms, word order beyond n words, recall; it says little about a single caption",
        columns=STATISTICS,
        total=partial(_total, n),
        usual=True,
        prominence=4 if n == ORDERS else 0,
        order=10 * n,
    )
    for n, name, definition in zip(
        range(1, ORDERS + 1),
        BLEU,
        (
            "BLEU with unigrams",
            "BLEU up to bigrams",
            "BLEU up to trigrams",
            "BLEU up to 4-grams (Papineni et al. 2002)",
        ),
        strict=True,
    )
]
