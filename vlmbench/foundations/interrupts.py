"""Ctrl-C and SIGTERM: one line that says how to go on, whenever they come.

Until a command works and once it is done, a signal ends the process at once: nothing is lost. While it works, the
signal is raised in it as `Interrupted`, so that what is computed can be stored; a second one ends it at once.

Nothing is imported here that the interpreter has not loaded anyway, `signal` itself neither: until `handle` is called,
a signal is the interpreter's, which prints a traceback.
"""

import _signal as signal  # type: ignore[import-not-found, unused-ignore]
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

SAID = "interrupted; the same command resumes from what was stored"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """A signal came while a command worked; the exit code is 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


came = 0
"""The exit code of the signal that came: a library may raise a plain `KeyboardInterrupt` in its place."""
_home: int | None = None
"""The process whose signals are handled; a process forked from it ends without a word."""


def handle() -> None:
    """From now on a signal ends the process with its line. One that is ignored (``nohup``) stays so."""
    global _home
    _home = os.getpid()
    _set(_end)


class raised:
    """Within it, a signal that is handled is raised as `Interrupted`; what comes after it is as before."""

    def __enter__(self) -> None:
        if _home is not None:
            _set(_raise)

    def __exit__(self, *_: object) -> None:
        if _home is not None:
            _set(_end)


def _set(handler: "Any") -> None:
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, handler)


def _raise(number: int, frame: "FrameType | None") -> None:
    if os.getpid() != _home:
        os._exit(128 + number)
    global came
    came = 128 + number
    _set(_end)
    raise Interrupted(number)


def _end(number: int, frame: "FrameType | None") -> None:
    if os.getpid() == _home and sys.stderr is not None:
        clean = _SHOW_CURSOR if os.isatty(2) else ""  # a progress bar hides it
        os.write(2, f"{clean}\n{SAID}\n".encode("ascii"))
    os._exit(128 + number)
