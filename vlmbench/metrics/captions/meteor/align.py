"""METEOR's aligner in plain Python: a readable version of the compiled kernel, used where that cannot run.

An alignment is a set of matches that share no word (Denkowski and Lavie 2011, section 2.1: as many words
covered as possible, then as few chunks, then as little crossing). METEOR 1.5 searches for it with a beam search whose
details are part of the metric and are reproduced here; tests compare them with the jar's answers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

MODULE_WEIGHTS = (1.0, 0.6, 0.8, 0.6)
"""Weights of exact, stem, synonym and paraphrase matches (Denkowski and Lavie 2014, table 2, English ranking weights).

They score an alignment.
"""

SEARCH_WEIGHTS = (1.0, 0.5, 0.5, 0.5)
"""The weights of the search for an alignment, independent of the scoring weights."""

BEAM = 40


class Match(NamedTuple):
    """Words `reference[start:start + length]` matched with `candidate[other:other + width]` by a module."""

    start: int
    length: int
    other: int
    width: int
    module: int


class Lexicon(Protocol):
    """What the matchers need from the data; words are numbers that are equal if the words are."""

    def stem(self, word: int) -> int:
        """A number for the word's stem."""

    def synsets(self, word: int) -> frozenset[int]:
        """The word's synsets."""

    def phrases(self, words: Sequence[int]) -> list[tuple[int, int, int]]:
        """(start, length, phrase) of each phrase of the paraphrase table in `words`, by start, then by length."""

    def paraphrases(self, phrase: int) -> Sequence[int]:
        """The table's phrases for `phrase`, in its order."""


def find_matches(candidate: Sequence[int], reference: Sequence[int], lexicon: Lexicon) -> list[Match]:
    """Every match of the four modules, in the order in which METEOR 1.5 finds those of one reference word.

    Identical sentences have only exact matches. A pair of phrases that the table lists in both directions matches
    twice.
    """
    matches = [
        Match(j, 1, i, 1, 0) for j, word in enumerate(reference) for i, other in enumerate(candidate) if word == other
    ]
    if list(candidate) == list(reference):
        return matches
    different = [
        (j, word, i, other) for j, word in enumerate(reference) for i, other in enumerate(candidate) if word != other
    ]
    matches += [Match(j, 1, i, 1, 1) for j, word, i, other in different if lexicon.stem(word) == lexicon.stem(other)]
    matches += [
        Match(j, 1, i, 1, 2) for j, word, i, other in different if lexicon.synsets(word) & lexicon.synsets(other)
    ]
    in_reference, in_candidate = lexicon.phrases(reference), lexicon.phrases(candidate)
    matches += [Match(j, n, i, m, 3) for j, n, i, m in _listed(in_reference, in_candidate, lexicon)]
    matches += [Match(j, n, i, m, 3) for i, m, j, n in _listed(in_candidate, in_reference, lexicon)]
    return matches


def _listed(
    first: Sequence[tuple[int, int, int]], second: Sequence[tuple[int, int, int]], lexicon: Lexicon
) -> Iterator[tuple[int, int, int, int]]:
    """Phrases of `first`, each with those of `second` that the table lists for it."""
    places: dict[int, list[tuple[int, int]]] = {}
    for start, length, phrase in second:
        places.setdefault(phrase, []).append((start, length))
    for start, length, phrase in first:
        for other in lexicon.paraphrases(phrase):
            for place, width in places.get(other, ()):
                yield start, length, place, width


class _Path(NamedTuple):
    """A partial alignment: its sort key in the beam, its position, and its matches as a linked list."""

    total: int
    chunks: int
    distance: int
    reference_end: int  # of the open chunk; -1 if none is open
    candidate_end: int
    resume: int  # the first reference word that is not covered
    used: int  # bit i: candidate word i is covered by a match that was chosen
    matches: "tuple[Match, object] | None"


def align(matches: Sequence[Match], reference_length: int, beam: int = BEAM) -> tuple[list[Match], int]:
    """METEOR 1.5's beam search: the chosen matches, by place in the reference, and the number of chunks.

    A match whose words no other match touches is chosen beforehand. The rest is searched over reference words; the
    jar's details are:
    a match adds its length times its module's weight on either side, each sum truncated to an integer, so that a lone
    stem, synonym or paraphrase adds nothing; the distance of a match is added to the path that it extends, not to the
    path it creates; a chunk counts when it closes; paths are ordered by higher total, fewer chunks, smaller distance,
    then by order of appearance.
    """
    on_reference: Counter[int] = Counter()
    on_candidate: Counter[int] = Counter()
    for match in matches:
        on_reference.update(range(match.start, match.start + match.length))
        on_candidate.update(range(match.other, match.other + match.width))
    settled: dict[int, Match] = {}
    open_at: dict[int, list[Match]] = {}
    for match in matches:
        if all(on_reference[j] == 1 for j in range(match.start, match.start + match.length)) and all(
            on_candidate[i] == 1 for i in range(match.other, match.other + match.width)
        ):
            settled[match.start] = match
        else:
            open_at.setdefault(match.start, []).append(match)
    paths = [_Path(0, 0, 0, -1, -1, 0, 0, None)]
    for place in range(reference_length):
        grown = [new for path in paths for new in _extended(path, place, settled, open_at)]
        grown.sort(key=lambda path: (-path.total, path.chunks, path.distance))
        paths = grown[:beam]
    closed = [_closed(path) for path in paths]
    best = min(closed, key=lambda path: (-path.total, path.chunks, path.distance))
    chosen: list[Match] = []
    link = best.matches
    while link is not None:
        match, link = link  # type: ignore[assignment]
        chosen.append(match)
    return chosen[::-1], best.chunks


def _extended(
    path: _Path, place: int, settled: Mapping[int, Match], open_at: Mapping[int, list[Match]]
) -> Iterator[_Path]:
    """`path` with each match that begins at reference word `place` and fits, and without any."""
    if place in settled:
        yield _with(path, settled[place])
        return
    if path.resume > place:
        yield path
        return
    for match in open_at.get(place, ()):
        if not path.used >> match.other & ((1 << match.width) - 1):
            yield _with(path, match)
            path = path._replace(distance=path.distance + abs(match.start - match.other))
    yield _closed(path)


def _with(path: _Path, match: Match) -> _Path:
    """`path` with `match` added."""
    weight = SEARCH_WEIGHTS[match.module]
    continues = path.reference_end == match.start and path.candidate_end == match.other
    return _Path(
        int(int(path.total + match.width * weight) + match.length * weight),
        path.chunks + (not continues and path.reference_end >= 0),
        path.distance,
        match.start + match.length,
        match.other + match.width,
        match.start + match.length,
        path.used | ((1 << match.width) - 1) << match.other,
        (match, path.matches),
    )


def _closed(path: _Path) -> _Path:
    """`path` with its open chunk, if there is one, closed and counted."""
    if path.reference_end < 0:
        return path
    return path._replace(chunks=path.chunks + 1, reference_end=-1, candidate_end=-1)
