"""Stdout and stderr as they can be: closed, closed by their reader (``| head -1``), or of an encoding without some
characters.

A command still comes to its end, with the exit code it has otherwise.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vlmbench.foundations.errors import EXIT_INPUT

ERRORS = "vlmbench.readable"
"""The name by which `codecs` knows how text is written where an encoding has no such character."""

_PLAIN = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‑": "-",
    "…": "...",
    "→": "->",
    "←": "<-",
    "×": "x",
    "·": "|",
    "•": "*",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "²": "2",
    "½": "1/2",
    "λ": "lambda",
    "σ": "sigma",
    "β": "beta",
    "τ": "tau",
    "\xa0": " ",
    "\u2009": " ",
    "\u202f": " ",
}
"""How the typographic characters of tables and messages are written without them."""


def ready() -> None:
    """Makes stdout and stderr fit to be written to, before anything else is done.

    Where an encoding has no such character, the nearest plain ones are written, or its code; JSON never needs either.

    Raises:
        SystemExit: stdout is closed (``>&-``): with 3, since a result could not be written there.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        print("error: stdout is closed\n  where: stdout\n  fix: send it somewhere: > /dev/null", file=sys.stderr)
        raise SystemExit(EXIT_INPUT)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def writable(text: str, encoding: str) -> str:
    """`text` as it can be written in an encoding: ``2 − 1 …`` as ``2 - 1 ...`` in ASCII."""
    if text.isascii():
        return text
    return text.encode(encoding, ERRORS).decode(encoding)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in missing), error.end


codecs.register_error(ERRORS, _plainer)


def give_up_stdout() -> None:
    """Sends what is still written to stdout nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def outlived() -> Iterator[None]:
    """Within it, a write to a stdout that nobody reads any more is no error."""
    try:
        yield
    except BrokenPipeError:
        give_up_stdout()
