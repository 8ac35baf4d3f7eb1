"""How lower layers report what they are doing, without a terminal.

A run takes a `Reporter`; the command line hands in one that draws bars on stderr, a test or a program none at all.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from vlmbench.foundations.spelling import spell


class Advance(Protocol):
    """Called with the number of units just finished."""

    def __call__(self, units: int = 1) -> None:
        """`units` more are done."""


class Reporter(Protocol):
    """What a run reports while it works."""

    def task(self, label: str, total: int | None) -> AbstractContextManager[Advance]:
        """A context manager around a piece of work of `total` units; yields an `Advance`."""

    def note(self, message: str) -> None:
        """A line for the user's information (``features: 0 images encoded, 1,797 from the store``)."""

    def warn(self, message: str) -> None:
        """A line that a user must see (a fit that did not converge, images that were skipped)."""


SECONDS = 30.0
"""After so long, work should be on the disk: what a run that is killed outright can lose."""


def tell_slow(took: float, images: int, reporter: Reporter) -> bool:
    """Says so where a single batch takes longer than `SECONDS`, and whether it did."""
    slow = images > 1 and took > SECONDS
    if slow:
        reporter.note(
            f"{images} images per batch take {took:.0f} s, and an interrupted run stores only whole batches; "
            "a smaller --batch-size loses less"
        )
    return slow


class Silent:
    """A reporter that keeps messages and shows nothing."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """Yields an `Advance` that does nothing."""
        yield lambda units=1: None

    def note(self, message: str) -> None:
        """Keeps `message` in `notes`."""
        self.notes.append(spell(message))

    def warn(self, message: str) -> None:
        """Keeps `message` in `warnings`."""
        self.warnings.append(spell(message))
