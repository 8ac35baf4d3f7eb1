"""What a command is going to do, so that a plan can check all of it before any of it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        check: finds what can be wrong with names, values and files; gives the passes over images that `run` will take.
        run: does it, in a session that others share or, with none, in one of its own.
    """

    check: "Callable[[Session], Sequence[Pass]]"
    run: "Callable[[Context, Session | None], list[StoredRun]]"
