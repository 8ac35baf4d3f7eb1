"""What is named and imported only when it is asked for: this package's, and what other installed packages add."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import AbsentError, InputError, VlmbenchError, out_of_memory, too_little_memory
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Plugin:
    """One entry point of another package."""

    entry: "EntryPoint"

    @property
    def name(self) -> str:
        """What it adds, by name."""
        return self.entry.name

    @property
    def source(self) -> str:
        """The package and the object, for messages."""
        return f"{self.entry.dist.name if self.entry.dist else '?'} ({self.entry.value})"

    def load(self) -> Any:
        """The object; `InputError`, which names the package, where it cannot be imported."""
        with self.blamed("it cannot be loaded"):
            return self.entry.load()

    @contextmanager
    def blamed(self, what: str = "it failed") -> Iterator[None]:
        """Turns what the package's code raises into an `InputError` that names it, or an `AbsentError` where there is
        too little memory; errors of vlmbench pass as they are."""
        try:
            yield
        except VlmbenchError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise too_little_memory(f"{visible(self.name)} of {self.source}") from error
            raise self.broken(f"{what}: {type(error).__name__}: {error}") from error

    def broken(self, why: str) -> InputError:
        """The error for a package that does not keep to what its group asks for."""
        return InputError(
            f"{visible(self.name)} of {self.source}: {visible(why)}",
            where=self.entry.group,
            fix="update or uninstall that package",
        )


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """The entry points of a group, by name."""
    from importlib.metadata import entry_points  # here, because it is slow to load

    return tuple(Plugin(entry) for entry in sorted(entry_points(group=group), key=lambda entry: entry.name))


class Registry(Mapping[str, str]):
    """Names to lazy ``"module:attr"`` targets; `load` imports the one that is asked for.

    Attributes:
        kind: what is registered, for messages.
        added: what other packages add, by name; see `with_installed`.
    """

    def __init__(self, kind: str, targets: Mapping[str, str], added: Mapping[str, Plugin] | None = None) -> None:
        self.kind = kind
        self.added = dict(added or {})
        self._targets = {**targets, **{name: plugin.entry.value for name, plugin in self.added.items()}}

    def __getitem__(self, name: str) -> str:
        return self._targets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def with_installed(self, group: str, reserved: Iterable[str] = ()) -> "Registry":
        """The same with the entry points of a group, which other installed packages declare; none is imported. Raises
        `InputError` where a package declares a name that is there already, or is `reserved`."""
        added: dict[str, Plugin] = {}
        for plugin in plugins(group):
            if plugin.name in {*self, *reserved}:
                raise plugin.broken(f"vlmbench has a {self.kind} of this name")
            if plugin.name in added:
                raise plugin.broken(f"{added[plugin.name].source} adds a {self.kind} of this name too")
            added[plugin.name] = plugin
        return Registry(self.kind, self._targets, added)

    def load(self, name: str, expected: type | None = None) -> Any:
        """The object a name stands for; another package's has to be an `expected` and carry its name.

        Raises `AbsentError`, with the nearest names, where there is no such name, `InputError` where another package's
        cannot be imported, or is something else.
        """
        if name not in self:
            raise unknown(self.kind, name, self)
        if name not in self.added:
            module, _, attribute = self[name].partition(":")
            return getattr(import_module(module), attribute)
        found = self.added[name].load()
        if expected is not None and not (isinstance(found, expected) and getattr(found, "name", None) == name):
            raise self.added[name].broken(f"it is not a {expected.__name__} of that name")
        return found


def unknown(kind: str, name: str, names: Iterable[str], fix: str | None = None) -> AbsentError:
    """The error for a name that is not there, with the nearest names, or `fix` where none is near."""
    return AbsentError(f"no such {kind}: {name}", fix=nearest(name, names, fix or f"vlmbench list {kind}s"))


def nearest(name: str, names: Iterable[str], otherwise: str, *, most: int = 3) -> str:
    """How to fix a mistyped name: the nearest of `names`, those it is a part of, or `otherwise` if none is near."""
    names = dict.fromkeys(names)
    parts = [one for one in names if name.lower() in re.split(r"[-_./ ]", one.lower()) or one.startswith(name)]
    alike = {one: SequenceMatcher(None, name.lower(), one.lower()).ratio() for one in names}
    least = max(0.6, max(alike.values(), default=0) - 0.1)
    near = parts or sorted((one for one in alike if alike[one] >= least), key=lambda one: -alike[one])
    return f"did you mean {' or '.join(near[:most])}?" if near and name else otherwise
