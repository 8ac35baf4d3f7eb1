"""References and candidates of a whole corpus as integer tables, built once and shared by BLEU, ROUGE-L and CIDEr.

Captions are tokens of the Penn Treebank tokenizer. A token may contain a no-break space (``1 1/2``):
BLEU and CIDEr split it there and ROUGE-L does not, like ``pycocoevalcap``; and for ROUGE-L a caption without tokens
has one, the empty token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.captions.ngrams import Counts, Ints, Short, Tokens, count_ngrams, intern, run_starts

ORDERS = 4
Caption = Sequence[str]
"""Tokens."""


@dataclass(frozen=True)
class Match:
    """One system's n-grams of one order, with the same n-grams in the references of the same image."""

    image: Short
    """Position among the system's images, `[K]`."""
    gram: Short
    """`[K]`."""
    count: Short
    """Count in the candidate, `[K]`."""
    first: Ints
    """First row of `Order.references` with this n-gram and image, `[K]`; meaningless where `rows` is 0."""
    rows: Ints
    """How many references of the image contain the n-gram, `[K]`."""
    largest: Ints
    """The highest count in one reference of the image, `[K]`; 0 if none contains it."""


@dataclass(frozen=True)
class Order:
    """The n-grams of one order in the references, and the lookup of a system's among them."""

    n: int
    references: Counts
    """Rows sorted by n-gram, then image, then reference."""
    frequency: Ints
    """Number of documents (images) with the n-gram in a reference, `[grams]`."""
    keys: Ints
    """The distinct (n-gram, image) pairs as one number each, ascending, `[G]`."""
    firsts: Ints
    """First row of each pair, `[G]`."""
    rows: Ints
    """Number of rows of each pair, `[G]`."""
    largest: Ints
    """Highest count of each pair, `[G]`."""
    candidates: tuple[Counts, ...]
    """The rows of each system; `caption` is the position among its images."""
    images: tuple[Ints, ...]
    """`Corpus.images`."""
    size: int
    """Number of images with references."""

    def match(self, system: int) -> Match:
        """The system's n-grams next to the references'."""
        own = self.candidates[system]
        wanted = own.gram.astype(np.int64) * self.size + self.images[system][own.caption]
        if not len(self.keys):
            zeros = np.zeros(len(wanted), dtype=np.int64)
            return Match(own.caption, own.gram, own.count, zeros, zeros, zeros)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = self.keys[place] == wanted
        rows, largest = self.rows[place] * found, self.largest[place] * found
        return Match(own.caption, own.gram, own.count, self.firsts[place], rows, largest)


class Scorer(Protocol):
    """A metric of n-grams: `Corpus.scan` passes it each order, then every system's n-grams of that order."""

    def start(self, order: Order) -> None:
        """Starts an order."""

    def add(self, system: int, match: Match) -> None:
        """Takes one system's n-grams of that order."""


class Corpus:
    """One set of references and any number of systems' candidates. Raises `InputError` where an image has no reference,
    or candidates and images differ in number.

    Args:
        references: for each of N images the tokens of its references, at least one.
        systems: for each system the tokens of one candidate per image, in the order of its `images`.
        images: for each system the ascending indexes of its images, `[n]`; None: all N.
        documents: tokens of captions by document, for document frequencies; None: `references`.
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
                f"image {int(self.per_image.argmin())} has no reference", fix="give every image a reference"
            )
        chosen = images if images is not None else [None] * len(systems)
        self.images = [np.arange(self.size) if item is None else np.asarray(item, dtype=np.int64) for item in chosen]
        for given, kept in zip(systems, self.images, strict=True):
            if len(given) != len(kept):
                raise InputError(f"{len(given)} candidates for {len(kept)} images", fix="give one candidate per image")
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
        """The captions split at every kind of white space, as BLEU and CIDEr do."""
        tokens = self._as_given
        odd = [number for number, token in enumerate(tokens.vocabulary) if token.split() != [token]]
        if not odd:
            return tokens
        captions = list(self._captions)
        ends = tokens.starts + tokens.lengths
        places = np.flatnonzero(np.isin(tokens.ids, odd))
        for index in set(np.searchsorted(ends, places, side="right").tolist()):  # np.unique would import numpy.ma
            captions[index] = " ".join(captions[index]).split()
        return intern(captions)

    @cached_property
    def blank_tokens(self) -> Tokens:
        """The captions for ROUGE-L: as given, but a caption without tokens gets the empty token."""
        if self._as_given.lengths.all():
            return self._as_given
        return intern([caption or [""] for caption in self._captions])

    def orders(self) -> Iterator[Order]:
        """The n-grams for n = 1 … 4, one order at a time: for a large corpus each takes much memory."""
        for n, table in enumerate(count_ngrams(self.tokens, ORDERS), 1):
            own = _only(table, 0, self.references)
            keys = own.gram.astype(np.int64) * self.size + self.image_of_reference[own.caption]
            firsts = run_starts(keys)
            largest = np.maximum.reduceat(own.count, firsts) if len(firsts) else firsts
            documents, seen = own, firsts
            if self._own_documents:
                documents = _only(table, self.references, len(self._document_of))
                pairs = documents.gram.astype(np.int64) * self.documents + self._document_of[documents.caption]
                seen = run_starts(pairs)
            frequency = np.bincount(documents.gram[seen], minlength=table.grams)
            candidates = tuple(
                _only(table, offset, len(kept)) for offset, kept in zip(self._offsets, self.images, strict=True)
            )
            rows = np.diff(firsts, append=len(keys))
            order = Order(
                n, own, frequency, keys[firsts], firsts, rows, largest, candidates, tuple(self.images), self.size
            )
            del table, own, keys, documents, seen, frequency, candidates, firsts, rows, largest
            yield order
            del order

    def scan(self, *scorers: Scorer) -> None:
        """Passes the n-grams to all scorers in one pass, so that they are counted once."""
        for order in self.orders() if scorers else ():
            for scorer in scorers:
                scorer.start(order)
            for system in range(len(self.images)):
                match = order.match(system)
                for scorer in scorers:
                    scorer.add(system, match)

    def candidate_tokens(self, system: int, *, blanks: bool = False) -> tuple[Tokens, slice]:
        """The tokens of everything, and the slice of the system's candidates."""
        offset = self._offsets[system]
        return (self.blank_tokens if blanks else self.tokens), slice(offset, offset + len(self.images[system]))


def _only(table: Counts, first: int, captions: int) -> Counts:
    """The rows of some captions, renumbered from 0."""
    inside = (table.caption >= first) & (table.caption < first + captions)
    return Counts(table.gram[inside], table.caption[inside] - first, table.count[inside], table.grams)
