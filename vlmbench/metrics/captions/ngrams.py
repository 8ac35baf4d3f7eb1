"""N-gram counts of a whole corpus at once: integers and sorting, no Python loop over n-grams.

A token is a dense integer; an n-gram's integer is made from the integer of its first n - 1 tokens and its last token,
then made dense again by sorting. Integers are exact: nothing is hashed, so two n-grams never share one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """Captions as integers, end to end."""

    ids: Ints
    """`[T]`, 0 to vocabulary - 1."""
    lengths: Ints
    """Tokens of each caption, `[M]`."""
    starts: Ints
    """Where each caption starts in `ids`, `[M]`."""
    vocabulary: tuple[str, ...]
    """The token of each integer."""


@dataclass(frozen=True)
class Counts:
    """How often each n-gram of one order stands in each caption; rows sorted by n-gram, then caption."""

    gram: Ints
    """`[K]`, dense: 0 to `grams` - 1."""
    caption: Ints
    """`[K]`, index of the caption."""
    count: Ints
    """`[K]`, at least 1."""
    grams: int


def intern(captions: Sequence[Sequence[str]]) -> Tokens:
    """Turns captions (each a list of tokens) into integers; equal tokens get equal integers."""
    lengths = np.fromiter(map(len, captions), dtype=np.int64, count=len(captions))
    vocabulary: defaultdict[str, int] = defaultdict(count().__next__)
    ids = np.fromiter(
        map(vocabulary.__getitem__, chain.from_iterable(captions)), dtype=np.int64, count=int(lengths.sum())
    )
    return Tokens(ids, lengths, np.cumsum(lengths) - lengths, tuple(vocabulary))


def count_ngrams(tokens: Tokens, longest: int = 4) -> list[Counts]:
    """The n-gram counts of every caption, for n = 1 … `longest`."""
    captions = len(tokens.lengths)
    ids = tokens.ids
    vocabulary = int(ids.max()) + 1 if len(ids) else 0
    owner = np.repeat(np.arange(captions), tokens.lengths)
    left = np.repeat(tokens.starts + tokens.lengths, tokens.lengths) - np.arange(len(ids))
    starts = np.arange(len(ids))
    grams = ids
    distinct = vocabulary
    found: list[Counts] = []
    for n in range(1, longest + 1):
        if n > 1:
            inside = left[starts] >= n
            starts = starts[inside]
            grams, distinct = _dense(grams[inside] * vocabulary + ids[starts + n - 1])
        keys, counts = _unique(np.sort(grams * max(1, captions) + owner[starts]))
        gram = keys // max(1, captions)
        found.append(Counts(gram, keys - gram * max(1, captions), counts, distinct))
    return found


def _dense(keys: Ints) -> tuple[Ints, int]:
    """Replaces keys by their rank among the distinct ones."""
    if not len(keys):
        return keys, 0
    order = np.argsort(keys)
    ordered = keys[order]
    ranks = np.empty(len(keys), dtype=np.int64)
    steps = np.cumsum(ordered[1:] != ordered[:-1])
    ranks[order[0]] = 0
    ranks[order[1:]] = steps
    return ranks, int(steps[-1]) + 1 if len(steps) else 1


def _unique(ordered: Ints) -> tuple[Ints, Ints]:
    """The distinct values of a sorted array, and how often each stands in it."""
    firsts = run_starts(ordered)
    return ordered[firsts], np.diff(firsts, append=len(ordered))


def run_starts(ordered: Ints) -> Ints:
    """Where each run of equal values of a sorted array starts."""
    if not len(ordered):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
