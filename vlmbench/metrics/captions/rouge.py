"""ROUGE-L (Lin 2004, section 3), β 1.2, as ``pycocoevalcap`` 1.2 has it: best precision and best recall separately."""

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.captions.corpus import Corpus
from vlmbench.metrics.captions.ngrams import Ints, Tokens
from vlmbench.metrics.spec import CaptionSpec

BETA = 1.2
_WORD = 64
_CHUNK = 8192
_LONGEST = 1024


def rouge_l(corpus: Corpus, system: int) -> NDArray[np.float64]:
    """ROUGE-L of each candidate, `[n]`, 0 to 1.

    P is the highest LCS / candidate length over the references, R the highest LCS / reference length, and the score is
    ``(1 + β²) P R / (R + β² P)``; 0 if P or R is 0.
    """
    tokens, own = corpus.candidate_tokens(system, blanks=True)
    images = corpus.images[system]
    if not len(images):
        return np.zeros(0)
    counts = corpus.per_image[images]
    firsts = np.cumsum(counts) - counts
    references = np.arange(int(counts.sum())) + np.repeat(corpus.first_reference[images] - firsts, counts)
    candidates = np.repeat(np.arange(own.start, own.stop), counts)
    common = lcs_lengths(tokens, candidates, references)
    precision = np.maximum.reduceat(common / tokens.lengths[candidates], firsts)
    recall = np.maximum.reduceat(common / tokens.lengths[references], firsts)
    below = recall + BETA**2 * precision
    return np.asarray(np.divide((1 + BETA**2) * precision * recall, below, out=np.zeros(len(images)), where=below > 0))


def lcs_lengths(tokens: Tokens, first: Ints, second: Ints) -> Ints:
    """Length of the longest common subsequence of caption `first[p]` and caption `second[p]`, `[P]`.

    Bit-parallel (Hyyrö 2004): a row of the dynamic programme is one 64-bit word per pair, for thousands of pairs at a
    time. Pairs too long for a word are processed one by one with Python's long integers.
    """
    swap = tokens.lengths[second] > tokens.lengths[first]
    long, short = np.where(swap, second, first), np.where(swap, first, second)
    common = np.zeros(len(first), dtype=np.int64)
    wide = (tokens.lengths[short] > _WORD) | (tokens.lengths[long] > _LONGEST)
    for pair in np.flatnonzero(wide):
        common[pair] = _one(_caption(tokens, int(long[pair])), _caption(tokens, int(short[pair])))
    narrow = np.flatnonzero(~wide & (tokens.lengths[short] > 0))
    order = narrow[np.lexsort((tokens.lengths[long[narrow]], tokens.lengths[short[narrow]]))]
    for start in range(0, len(order), _CHUNK):
        block = order[start : start + _CHUNK]
        common[block] = _batch(_padded(tokens, long[block], -1), _padded(tokens, short[block], -2))
    return common


def _caption(tokens: Tokens, caption: int) -> list[int]:
    start = int(tokens.starts[caption])
    return [int(item) for item in tokens.ids[start : start + int(tokens.lengths[caption])]]


def _padded(tokens: Tokens, captions: Ints, fill: int) -> NDArray[np.int32]:
    """The captions as columns, `[L, P]`, padded with `fill`."""
    lengths = tokens.lengths[captions]
    rows = np.arange(int(lengths.max()))[:, None]
    inside = rows < lengths
    places = np.where(inside, tokens.starts[captions] + rows, 0)
    return np.where(inside, tokens.ids[places], fill).astype(np.int32)


def _batch(long: NDArray[np.int32], short: NDArray[np.int32]) -> Ints:
    """LCS lengths of the columns of `long` and `short`, `[P]`; `short` has at most 64 rows."""
    free: NDArray[np.uint64] = np.full(long.shape[1], np.iinfo(np.uint64).max, dtype=np.uint64)
    bits = np.uint64(1) << np.arange(len(short), dtype=np.uint64)
    for row in long:
        equal: NDArray[np.uint64] = np.zeros(long.shape[1], dtype=np.uint64)
        for bit, other in zip(bits, short, strict=True):
            np.bitwise_or(equal, np.where(other == row, bit, np.uint64(0)), out=equal)
        matched = np.bitwise_and(free, equal)
        free = np.bitwise_or(free + matched, free - matched)
    used = np.bitwise_not(free) & np.uint64((1 << len(short)) - 1)
    return np.asarray(np.bitwise_count(used), dtype=np.int64)


def _one(long: list[int], short: list[int]) -> int:
    masks: dict[int, int] = {}
    for position, token in enumerate(short):
        masks[token] = masks.get(token, 0) | (1 << position)
    everything = (1 << len(short)) - 1
    free = everything
    for token in long:
        equal = masks.get(token)
        if equal:
            matched = free & equal
            free = ((free + matched) | (free - matched)) & everything
    return len(short) - free.bit_count()


SPEC = CaptionSpec(
    name="rouge_l",
    title="ROUGE-L",
    definition="ROUGE-L, beta 1.2 (Lin 2004)",
    source="Lin 2004, section 3; pycocoevalcap 1.2",
    blind_to="synonyms, and which words matter: an article counts as much as the object",
    usual=True,
    prominence=3,
    order=50,
)
