"""Opens a captioner by name; faults of another package's captioner become errors that name the package."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from vlmbench.captioners.base import Captioner, Done, Item, Setup, one_line
from vlmbench.captioners.names import CaptionerRef, kind_of, kinds
from vlmbench.foundations.plugins import Plugin
from vlmbench.records.result import ModelFacts


def open_captioner(ref: CaptionerRef, setup: Setup) -> Captioner:
    """The captioner called `ref`; no weights are loaded. Raises `AbsentError` where there is no such captioner,
    `UsageError` for unsupported options, `InputError` where another package's is not valid."""
    kind, plugin = kind_of(ref.kind), kinds().added.get(ref.kind)
    if plugin is None:
        return kind.open(ref.rest, setup)
    with plugin.blamed(f"it cannot open {ref}"):
        captioner = kind.open(ref.rest, setup)
        whole = isinstance(captioner, Captioner) and isinstance(captioner.facts, ModelFacts)
        found = whole and captioner.facts.kind
        json.dumps(captioner.decoding if whole else None)
    if found != ref.kind:
        why = f"whose facts.kind is {found}" if whole else "that is no Captioner"
        raise plugin.broken(f"it opens a {type(captioner).__name__} {why}")
    return _Guarded(plugin, captioner)


class _Guarded:
    """A captioner of another package."""

    def __init__(self, plugin: Plugin, captioner: Captioner) -> None:
        self._plugin, self._captioner = plugin, captioner
        self.system: str = captioner.system
        self.facts: ModelFacts = captioner.facts
        self.decoding: dict[str, Any] = captioner.decoding

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Its captions, each a single line for an image that it was given. Raises `InputError` where it fails, or
        returns something else."""
        given: set[str] = set()

        def noted() -> Iterator[Item]:
            for item in items:
                given.add(item.digest)
                yield item

        with self._plugin.blamed():
            for batch in self._captioner.stream(noted()):
                yield [self._checked(done, given) for done in batch]

    def _checked(self, done: Any, given: set[str]) -> Done:
        if not isinstance(done, Done) or not isinstance(done.caption, str | None) or done.item.digest not in given:
            raise self._plugin.broken(f"it returned {done!r:.80} instead of a Done for an image it was given")
        return done if done.caption is None else Done(done.item, one_line(done.caption))
