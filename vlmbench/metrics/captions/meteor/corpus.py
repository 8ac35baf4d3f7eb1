"""Captions for METEOR's matchers: normalised, numbered words with stems, synsets and function words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.captions.meteor.index import MeteorIndex
from vlmbench.metrics.captions.meteor.normalize import TokenNormalizer
from vlmbench.metrics.captions.meteor.resources import detached
from vlmbench.metrics.captions.meteor.stem import stem

_Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Sentences:
    """Rows of word numbers, one after the other.

    Attributes:
        words: [T] int32, places in a `Vocabulary`.
        starts: [S + 1] int64, sentence s is `words[starts[s]:starts[s + 1]]`.
    """

    words: _Ints
    starts: NDArray[np.int64]

    def row(self, s: int) -> list[int]:
        """The word numbers of sentence `s`."""
        return self.words[self.starts[s] : self.starts[s + 1]].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Vocabulary:
    """What the matchers need to know of each distinct word.

    Attributes:
        known: [V] int32, the word's number in the index, or -1.
        stems: [V] int32, equal for words of one stem.
        function: [V] uint8, 1 for a function word.
        synset_starts, synsets: [V + 1] int32 and rows of synset numbers.
    """

    known: _Ints
    stems: _Ints
    function: NDArray[np.uint8]
    synset_starts: _Ints
    synsets: _Ints


def number_words(sentences: Sequence[Sequence[str]]) -> tuple[Sentences, list[str]]:
    """Normalises tokenized sentences (`normalize` of the tokens joined by spaces) and numbers their distinct words."""
    tokens = list(chain.from_iterable(sentences))
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    normalizer = TokenNormalizer(set(tokens))
    number: dict[str, int] = {}
    code = dict.fromkeys(normalizer.kind, -1)  # a word's number, or -1: the sentence must be normalised in full
    for token, words in normalizer.words.items():
        if len(words) == 1 and normalizer.kind[token] <= normalizer.ALONE:
            code[token] = number.setdefault(words[0], len(number))
    codes = np.fromiter(map(code.__getitem__, tokens), dtype=np.int32, count=len(tokens))
    unsettled = np.flatnonzero(np.diff(np.concatenate(([0], np.cumsum(codes < 0)))[_starts(lengths)]))
    rows = [[number.setdefault(word, len(number)) for word in normalizer(sentences[s])] for s in unsettled.tolist()]
    final = lengths.copy()
    final[unsettled] = [len(row) for row in rows]
    after = _starts(final)
    flat = np.empty(after[-1], dtype=np.int32)
    settled = np.ones(len(sentences), dtype=bool)
    settled[unsettled] = False
    flat[np.repeat(settled, final)] = codes[np.repeat(settled, lengths)]
    flat[np.repeat(~settled, final)] = np.fromiter(chain.from_iterable(rows), dtype=np.int32)
    return Sentences(flat, after), list(number)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths)))


def describe(words: Sequence[str], index: MeteorIndex) -> Vocabulary:
    """Looks every word up in the index; for words not in it, stem and synsets are computed."""
    known = index.find(words)
    absent = np.flatnonzero(known < 0).tolist()
    at = np.maximum(known, 0)
    stems = index.stems[at]
    function = np.where(known >= 0, index.function[at], 0).astype(np.uint8)
    own_stems = [stem(words[i]) for i in absent]
    stems[absent] = _numbered(own_stems, index)
    owners, places = _bases([words[i] for i in absent], index)
    first, last = index.synset_starts[at], index.synset_starts[at + 1]
    first[absent] = last[absent] = 0
    rows_of = np.asarray(absent, dtype=np.int64)[owners]
    counts = (last - first).astype(np.int64)
    counts[rows_of] = index.own_starts[places + 1] - index.own_starts[places]
    starts = _starts(counts).astype(np.int32)
    synsets = np.empty(starts[-1], dtype=np.int32)
    from_own = np.zeros(len(words), dtype=bool)
    from_own[rows_of] = True
    begin = first.astype(np.int64)
    begin[rows_of] = index.own_starts[places]
    offsets = np.repeat(begin - starts[:-1], counts) + np.arange(starts[-1])
    mine = np.repeat(from_own, counts)
    synsets[~mine] = index.synsets[offsets[~mine]]
    synsets[mine] = index.own[offsets[mine]]
    return Vocabulary(known, stems.astype(np.int32), function, starts, synsets)


def _numbered(stems: Sequence[str], index: MeteorIndex) -> list[int]:
    """Numbers for stems: those of the index, and new ones beyond."""
    found = index.find(stems).tolist()
    fresh: dict[str, int] = {}
    beyond = len(index.words)
    return [n if n >= 0 else beyond + fresh.setdefault(s, len(fresh)) for n, s in zip(found, stems, strict=True)]


def _bases(words: Sequence[str], index: MeteorIndex) -> tuple[NDArray[np.int64], _Ints]:
    """Which words outside the index have a base form in WordNet, with its number in the index."""
    tried = [(owner, form) for owner, word in enumerate(words) for form in detached(word)]
    numbers = index.find([form for _, form in tried])
    base: dict[int, int] = {}
    for (who, _), number in zip(tried, numbers.tolist(), strict=True):
        if number >= 0 and index.own_starts[number + 1] > index.own_starts[number]:
            base.setdefault(who, number)
    owners = np.fromiter(base.keys(), dtype=np.int64, count=len(base))
    return owners, np.fromiter(base.values(), dtype=np.int32, count=len(base))
