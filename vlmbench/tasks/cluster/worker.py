"""A worker of a pool: a session in a process of its own, on whatever machine that is."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import VlmbenchError
from vlmbench.foundations.progress import Advance, Silent
from vlmbench.foundations.spelling import as_options

if TYPE_CHECKING:
    from vlmbench.session.context import Context
    from vlmbench.session.pool import Job


@dataclass(frozen=True)
class Answer:
    """What a worker gives back.

    Attributes:
        value: what the job gave.
        warnings: what it warned of.
        error: why it failed, with options as the command line spells them.
    """

    value: Any
    warnings: tuple[str, ...]
    error: VlmbenchError | None = None


class Worker:
    """Runs the jobs that it is given, one after the other, in one session: a model is loaded once.

    Args:
        context: the options, as the process has them that sent it here.
        directory: that process's working directory, which relative names of models and datasets start from.
    """

    def __init__(self, context: "Context", directory: str) -> None:
        from vlmbench.session.context import go_offline
        from vlmbench.session.session import Session

        with suppress(OSError):  # on another machine it may not be there; then a relative name is reported as missing
            os.chdir(directory)
        if context.offline:
            go_offline()
        self._reporter = _Stoppable()
        self._session = Session(replace(context, reporter=self._reporter))

    def ready(self) -> str:
        """Answers once it can work: the machine's name."""
        return platform.node()

    def run(self, job: "Job", pieces: Sequence[Any]) -> Answer:
        """Runs a job; a `VlmbenchError` of it is part of the answer."""
        reporter, error, value = self._reporter, None, None
        reporter.warnings = []
        try:
            with as_options():
                value = job.run(self._session, pieces)
        except VlmbenchError as failed:
            error = failed
        except _Stopped:
            pass
        return Answer(value, tuple(reporter.warnings), error)

    def stop(self) -> None:
        """Ends what `run` does in another thread; the batches that are done are stored."""
        self._reporter.stopped = True


class _Stopped(BaseException):
    """A worker is to stop; nothing that handles errors takes it for one."""


class _Stoppable(Silent):
    """Raises `_Stopped` at the next step of a task, once that is wanted."""

    stopped = False

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """Yields what raises it."""

        def advance(units: int = 1) -> None:
            if self.stopped:
                raise _Stopped

        yield advance
