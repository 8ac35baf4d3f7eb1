"""Human ratings of captions, and what every reader of judgements needs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible

COLUMNS = "image_id, candidate and rating"


@dataclass(frozen=True)
class Judgement:
    """One rating of one caption."""

    image: str
    candidate: str
    rating: float
    place: str
    """Its place, for messages: ``judgements.csv, line 3``."""


@dataclass(frozen=True)
class Judgements:
    """Human judgements."""

    name: str
    format: str
    items: tuple[Judgement, ...]
    references: dict[str, list[str]] | None
    """By image; None: they are in another file."""
    left_out: int = 0
    """Judgements not taken, because the protocol of the format leaves them out."""
    why: str = ""
    """Why, in words."""
    rated: dict[str, str] = field(default_factory=dict)
    """By image the judged caption that is one of its references, where the format says which that is."""


def lines(text: str) -> Iterator[tuple[str, str]]:
    """The lines that hold anything, each with its place; only line feeds end a line."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", line.rstrip("\r")


def number(value: Any, path: Path, place: str) -> float:
    """A rating as a finite number; `InputError` where it is none."""
    try:
        found = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        shown = visible(str(value)[:40])
        raise wrong(f"a rating that is not a number: {shown!r}", path, place, "give a finite number")
    return found


def wrong(what: str, path: Path, place: str, fix: str) -> InputError:
    """The error that names what is wrong, where, and what fixes it."""
    return InputError(what, where=f"{path}, {place}", fix=fix)
