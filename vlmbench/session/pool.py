"""Workers that do a session's encoding elsewhere: what they are given, and what is asked of them.

A worker encodes pieces of a split into the store that it shares with this process; which, when and how often decides no
byte of it (`features.units`). So whoever runs a command has its pool fill the store, then goes on as always.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vlmbench.encoders.names import ModelRef
from vlmbench.features.store import FeatureKey
from vlmbench.foundations.errors import InputError
from vlmbench.session.images import Selection

if TYPE_CHECKING:
    from vlmbench.session.context import Context
    from vlmbench.session.session import Session


class Job(Protocol):
    """What a worker can do in its own session; it is sent there, so it is small and can be pickled."""

    def run(self, session: "Session", pieces: Sequence[Any]) -> Any:
        """Does some pieces of the work; doing one again is harmless."""
        ...

    @property
    def name(self) -> str:
        """What messages call it."""
        ...


@dataclass(frozen=True)
class Work:
    """A job and its pieces: ranges or rows of images, in order."""

    job: Job
    pieces: Sequence[Sequence[int]]


class Pool(Protocol):
    """Workers that run jobs, each in a session of its own with the same options."""

    def device(self, requested: str) -> str:
        """What ``--device`` means to the workers: cpu, cuda or mps.

        Raises:
            AbsentError: they do not have it.
        """
        ...

    def run(self, context: "Context", work: Sequence[Work]) -> Iterator[Any]:
        """What `Job.run` gave, in any order; workers take pieces as they become free.

        Args:
            context: the options.
            work: what is to be done, roughly in this order.

        Raises:
            VlmbenchError: a job failed, or there is nobody left to do it.
        """
        ...

    def close(self) -> None:
        """Lets the workers go."""
        ...


@dataclass(frozen=True)
class Encoding:
    """Encodes ranges of a split, whole units, for the models that lack them.

    Attributes:
        selection: the images.
        models: the models.
        keys: those of their features, which a worker must find too.
    """

    selection: Selection
    models: tuple[ModelRef, ...]
    keys: tuple[FeatureKey, ...]

    @property
    def name(self) -> str:
        """The dataset, its split and the models."""
        return f"{self.selection.dataset}, {self.selection.split}, with {', '.join(map(str, self.models))}"

    def run(self, session: "Session", pieces: Sequence[range]) -> dict[tuple[ModelRef, str], int]:
        """Encodes and stores what the store lacks of them.

        Returns:
            How many images each model encoded, by its name and that of its entry.

        Raises:
            InputError: the worker finds other weights, images or packages than the process that sent it.
        """
        for model, key, found in zip(self.models, self.keys, session.keys(self.models, self.selection), strict=True):
            others = [name for name, value in key.facts.items() if found.facts.get(name) != value]
            if others:
                raise InputError(
                    f"a worker has other {' and '.join(others)} for {model} on {self.selection.dataset}",
                    where=", ".join(f"{name}: {found.facts.get(name)} and not {key.facts[name]}" for name in others),
                    fix="the same files and packages on every machine of the cluster",
                )
        return session.encode_part(self.models, self.selection, pieces)
