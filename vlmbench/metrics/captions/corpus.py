"""References and candidates of a whole corpus as integer tables, made once and shared by BLEU, ROUGE-L and CIDEr.

Captions come in as tokens, as the Penn Treebank tokenizer leaves them. A token may hold a no-break space (``1 1/2``):
BLEU and CIDEr split it there and ROUGE-L does not, as ``pycocoevalcap`` does; and to ROUGE-L a caption without tokens
has one, the empty one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.captions.ngrams import Counts, Ints, Short, Tokens, count_ngrams, intern, run_starts

ORDERS = 4
Caption = Sequence[str]
"""Tokens."""


@dataclass(frozen=True)
class Match:
    """The n-grams of one order in a system's candidates, beside the same n-grams in the references of the image."""

    image: Short
    """Position among the system's images, `[K]`."""
    gram: Short
    """`[K]`."""
    count: Short
    """In the candidate, `[K]`."""
    first: Ints
    """First row of `Corpus.reference_counts` with this n-gram and image, `[K]`; no row where `rows` is 0."""
    rows: Ints
    """How many references of the image hold the n-gram, `[K]`."""
    largest: Ints
    """The highest count in one reference of the image, `[K]`; 0 where none holds it."""


class Corpus:
    """One set of references and any number of systems' candidates.

    Args:
        references: for each of N images the tokens of its references, at least one.
        systems: for each system the tokens of a candidate an image, in the order of its `images`.
        images: for each system the indexes of its images, ascending `[n]`; none: all N.
        documents: tokens of captions by document, from which document frequencies are taken; none: `references`.

    Raises:
        InputError: an image has no reference, or a system's candidates and images differ in number.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Caption]],
        systems: Sequence[Sequence[Caption]],
        *,
        images: Sequence[NDArray[np.int64] | None] | None = None,
        documents: Sequence[Sequence[Caption]] | None = None,
    ) -> None:
        self.size = len(references)
        self.per_image = np.fromiter(map(len, references), dtype=np.int64, count=self.size)
        if self.size and not self.per_image.min():
            raise InputError(
                f"image {int(self.per_image.argmin())} has no reference", mend="give every image a reference"
            )
        chosen = images if images is not None else [None] * len(systems)
        self.images = [np.arange(self.size) if item is None else np.asarray(item, dtype=np.int64) for item in chosen]
        for given, kept in zip(systems, self.images, strict=True):
            if len(given) != len(kept):
                raise InputError(f"{len(given)} candidates for {len(kept)} images", mend="give one candidate an image")
        self.image_of_reference = np.repeat(np.arange(self.size), self.per_image)
        self.first_reference = np.cumsum(self.per_image) - self.per_image
        extra: list[Caption] = [] if documents is None else list(chain.from_iterable(documents))
        self.references = len(self.image_of_reference)
        self.documents = self.size if documents is None else len(documents)
        self._document_of: Ints = (
            self.image_of_reference
            if documents is None
            else np.repeat(
                np.arange(len(documents)), np.fromiter(map(len, documents), dtype=np.int64, count=len(documents))
            )
        )
        self._own_documents = documents is not None
        self._captions: list[Caption] = [*chain.from_iterable(references), *extra, *chain.from_iterable(systems)]
        offset = self.references + len(extra)
        self._offsets: list[int] = []
        for kept in self.images:
            self._offsets.append(offset)
            offset += len(kept)
        self._as_given = intern(self._captions)

    @cached_property
    def tokens(self) -> Tokens:
        """The captions split at white space of every kind, as BLEU and CIDEr take them."""
        given = self._as_given
        odd = [number for number, token in enumerate(given.vocabulary) if token.split() != [token]]
        if not odd:
            return given
        captions = list(self._captions)
        ends = given.starts + given.lengths
        for index in np.unique(np.searchsorted(ends, np.flatnonzero(np.isin(given.ids, odd)), side="right")):
            captions[index] = " ".join(captions[index]).split()
        return intern(captions)

    @cached_property
    def blank_tokens(self) -> Tokens:
        """The captions as ROUGE-L takes them: as given, but a caption without tokens holds one, the empty one."""
        if self._as_given.lengths.all():
            return self._as_given
        return intern([caption or [""] for caption in self._captions])

    @cached_property
    def counts(self) -> list[Counts]:
        """N-gram counts of all captions, for n = 1 … 4."""
        return count_ngrams(self.tokens, ORDERS)

    @cached_property
    def reference_counts(self) -> list[Counts]:
        """N-gram counts of the references; rows sorted by n-gram, then image, then reference."""
        return [_only(table, 0, self.references) for table in self.counts]

    @cached_property
    def document_frequency(self) -> list[Ints]:
        """In how many documents (images) each n-gram stands in a reference, for n = 1 … 4: `[grams]`."""
        found = []
        for table, own, (_, firsts, *_) in zip(self.counts, self.reference_counts, self._groups, strict=True):
            rows = own
            if self._own_documents:
                rows = _only(table, self.references, len(self._document_of))
                firsts = run_starts(rows.gram.astype(np.int64) * self.documents + self._document_of[rows.caption])
            found.append(np.bincount(rows.gram[firsts], minlength=table.grams))
        return found

    @cached_property
    def _groups(self) -> list[tuple[Ints, Ints, Ints, Ints]]:
        """For each order: the distinct (n-gram, image) keys, the first row, the rows, the largest count of each."""
        found = []
        for table in self.reference_counts:
            keys = table.gram.astype(np.int64) * self.size + self.image_of_reference[table.caption]
            firsts = run_starts(keys)
            largest = np.maximum.reduceat(table.count, firsts) if len(firsts) else firsts
            found.append((keys[firsts], firsts, np.diff(firsts, append=len(keys)), largest))
        return found

    def candidate_tokens(self, system: int, *, blanks: bool = False) -> tuple[Tokens, slice]:
        """The tokens of everything, and the slice of captions that are the system's candidates."""
        offset = self._offsets[system]
        return (self.blank_tokens if blanks else self.tokens), slice(offset, offset + len(self.images[system]))

    def matches(self, system: int) -> list[Match]:
        """The system's n-grams beside the references', for n = 1 … 4."""
        offset, kept = self._offsets[system], self.images[system]
        found = []
        for table, (keys, firsts, rows, largest) in zip(self.counts, self._groups, strict=True):
            own = _only(table, offset, len(kept))
            wanted = own.gram.astype(np.int64) * self.size + kept[own.caption]
            if not len(keys):
                zeros = np.zeros(len(wanted), dtype=np.int64)
                found.append(Match(own.caption, own.gram, own.count, zeros, zeros, zeros))
                continue
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            there = keys[place] == wanted
            found.append(
                Match(own.caption, own.gram, own.count, firsts[place], rows[place] * there, largest[place] * there)
            )
        return found


def _only(table: Counts, first: int, captions: int) -> Counts:
    """The rows of some captions, renumbered from 0."""
    inside = (table.caption >= first) & (table.caption < first + captions)
    return Counts(table.gram[inside], table.caption[inside] - first, table.count[inside], table.grams)
