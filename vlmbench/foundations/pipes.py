"""Where the reader of stdout has gone (``| head -1``).

A command still comes to its end, with the exit code it has otherwise.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
