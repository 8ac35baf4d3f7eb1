"""Registries of lazy ``"module:attr"`` targets, so that listing or naming a thing never imports it."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from vlmbench.foundations.errors import AbsentError, InputError

_UNINSTALL = "update or uninstall that package"


class Registry(Mapping[str, str]):
    """Names to ``"module:attr"`` targets; `load` imports the one that is asked for."""

    def __init__(self, kind: str, targets: Mapping[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def __getitem__(self, name: str) -> str:
        return self._targets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def with_installed(self, group: str) -> "Registry":
        """The same with the entry points of a group, which other installed packages declare; none is imported.

        Raises:
            InputError: a package declares a name that is there already.
        """
        from importlib.metadata import entry_points  # here, because it is slow to load

        targets = dict(self._targets)
        for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
            if entry.name in targets:
                raise InputError(
                    f"the {self.kind} {entry.name} is declared by {targets[entry.name]} and by {entry.value}",
                    where=group,
                    fix=_UNINSTALL,
                )
            targets[entry.name] = entry.value
        return Registry(self.kind, targets)

    def load(self, name: str) -> Any:
        """The object a name stands for.

        Raises:
            AbsentError: no such name; the nearest ones are named.
            InputError: what another package declares cannot be imported.
        """
        if name not in self._targets:
            raise unknown(self.kind, name, self._targets)
        module, _, attribute = self._targets[name].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:
            if module.startswith("vlmbench."):
                raise
            raise InputError(
                f"the {self.kind} {name} ({self._targets[name]}) cannot be loaded: {type(error).__name__}: {error}",
                fix=_UNINSTALL,
            ) from error


def unknown(kind: str, name: str, names: Mapping[str, Any] | list[str], fix: str | None = None) -> AbsentError:
    """The error for a name that is not there, with the nearest names."""
    return AbsentError(f"no such {kind}: {name}", fix=fix or nearest(name, names, f"vlmbench list {kind}s"))


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """How to fix a mistyped name: the nearest of `names`, or `otherwise` where none is near."""
    near = get_close_matches(name, list(names), n=3)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
