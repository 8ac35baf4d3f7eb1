"""What a command will do, so that a plan can check everything before anything runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vlmbench.records.task import task_spec

if TYPE_CHECKING:
    from vlmbench.records.store import StoredRun
    from vlmbench.session.context import Context
    from vlmbench.session.images import Selection
    from vlmbench.session.session import Session


@dataclass(frozen=True)
class Pass:
    """A pass over images, for the models that encode them.

    Attributes:
        selection: the images.
        models: as the user names them.
    """

    selection: "Selection"
    models: tuple[str, ...]


@dataclass(frozen=True)
class TaskJob:
    """A command with its options.

    Attributes:
        check: checks names, values and files; returns the passes over images that `run` will make.
        run: runs it, in a shared session or, with None, in one of its own.
    """

    check: "Callable[[Session], Sequence[Pass]]"
    run: "Callable[[Context, Session | None], list[StoredRun]]"

    @staticmethod
    def of(task: str, request: object) -> "TaskJob":
        """A task with a request.

        Args:
            task: its name.
            request: an instance of the task's request class.

        Raises:
            TypeError: the request is of another class.
        """
        spec = task_spec(task)
        if not isinstance(request, spec.load("request")):
            raise TypeError(f"{task} takes a {spec.request}, not a {type(request).__name__}")
        return TaskJob(partial(spec.load("check"), request), partial(spec.load("run"), request))
