"""What a caller passes, as messages name it: an argument in Python (``shots="1,2"``), an option on the command line
(``--shots 1,2``). The command line says so once, while a command runs; nothing else differs between the two.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Spelling = Callable[[str, object], str]


def _python(name: str, value: object) -> str:
    return f"{name}=" if value is None else f"{name}={value!r}"


_spelling: Spelling = _python


def argument(name: str, value: object = None) -> str:
    """An argument of the API, as the caller spells it.

    Args:
        name: its name in the API.
        value: with a value; none: the name alone.
    """
    return _spelling(name, value)


@contextmanager
def spelled(spelling: Spelling) -> Iterator[None]:
    """Spells arguments this way until the end of the block, in every thread."""
    global _spelling
    before, _spelling = _spelling, spelling
    try:
        yield
    finally:
        _spelling = before
