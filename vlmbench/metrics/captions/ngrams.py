"""N-gram counts of a whole corpus at once: integers and sorting, no Python loop over n-grams.

A token is a dense integer; an n-gram's integer is computed from those of its first n - 1 tokens and its last token,
then made dense again by sorting. Integers are exact: nothing is hashed, so two n-grams never share one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Short = NDArray[np.int32]


@dataclass(frozen=True)
class Tokens:
    """Captions as integers, concatenated."""

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
    """How often each n-gram of one order occurs in each caption; rows sorted by n-gram, then caption."""

    gram: Short
    """`[K]`, dense: 0 to `grams` - 1."""
    caption: Short
    """`[K]`, index of the caption."""
    count: Short
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


def count_ngrams(tokens: Tokens, longest: int = 4) -> Iterator[Counts]:
    """The n-gram counts of every caption, for n = 1 … `longest`, one at a time."""
    ids = tokens.ids
    owner = np.repeat(np.arange(len(tokens.lengths), dtype=np.int32), tokens.lengths)
    left = np.repeat(tokens.starts + tokens.lengths, tokens.lengths) - np.arange(len(ids))
    grams, distinct = ids, len(tokens.vocabulary)
    starts = np.arange(len(ids))
    for n in range(1, longest + 1):
        if n > 1:
            inside = left[starts] >= n
            starts = starts[inside]
            grams = grams[inside] * len(tokens.vocabulary) + ids[starts + n - 1]
            distinct *= len(tokens.vocabulary)
        order, firsts = _grouped(grams, distinct)
        distinct = len(firsts)
        ranks = np.repeat(np.arange(distinct, dtype=np.int32), np.diff(firsts, append=len(order)))
        captions = owner[starts[order]]
        same = (ranks[1:] == ranks[:-1]) & (captions[1:] == captions[:-1])
        rows = np.flatnonzero(np.concatenate(([True], ~same))) if len(order) else firsts
        table = Counts(ranks[rows], captions[rows], np.diff(rows, append=len(order)).astype(np.int32), distinct)
        grams = np.empty(len(order), dtype=np.int64)
        grams[order] = ranks
        del order, firsts, ranks, captions, same, rows  # free the memory while the table is used
        yield table
        del table


def _grouped(keys: Ints, bound: int) -> tuple[Ints, Ints]:
    """The stable order that sorts `keys` `[K]`, each below `bound`, and where each run of equal keys starts in it."""
    bits = len(keys).bit_length()
    if bound << bits < 1 << 63:  # key and place fit one integer, and sorting is faster than argsort
        packed = np.sort((keys << bits) | np.arange(len(keys)))
        order = packed & ((1 << bits) - 1)
        return order, run_starts(packed >> bits)
    order = np.argsort(keys, kind="stable")
    return order, run_starts(keys[order])


def run_starts(ordered: NDArray[np.integer]) -> Ints:
    """Where each run of equal values of a sorted array starts."""
    if not len(ordered):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
