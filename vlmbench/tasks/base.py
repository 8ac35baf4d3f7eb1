"""What a command is going to do, so that a plan can check all of it before any of it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmbench.data.names import DatasetName
    from vlmbench.records.store import StoredRun
    from vlmbench.session.context import Context
    from vlmbench.session.session import Session


@dataclass(frozen=True)
class Pass:
    """A pass over the images of a split, for the models that encode them.

    Attributes:
        dataset: the dataset, or a view of it.
        split: one of its splits.
        limit: so many images; none: all.
        models: as the user names them.
    """

    dataset: "DatasetName"
    split: str
    limit: int | None
    models: tuple[str, ...]

    def encode(self, session: "Session") -> None:
        """Encodes what the store lacks, for all models in one pass."""
        session.prepare(self.models, self.dataset, self.split, limit=self.limit)


@dataclass(frozen=True)
class TaskJob:
    """A command with its options.

    Attributes:
        check: finds what can be wrong with names, values and files; gives the passes over images that `run` will take.
        run: does it, in a session that others share or, with none, in one of its own.
    """

    check: "Callable[[Session], Sequence[Pass]]"
    run: "Callable[[Context, Session | None], list[StoredRun]]"
