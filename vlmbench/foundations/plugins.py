"""What other installed packages add, by entry points."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import InputError

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
        """The object.

        Raises:
            InputError: it cannot be imported; the package is named.
        """
        try:
            return self.entry.load()
        except Exception as error:
            raise self.broken(f"it cannot be loaded: {type(error).__name__}: {error}") from error

    def broken(self, why: str) -> InputError:
        """The error for a package that does not keep to what its group asks for."""
        return InputError(
            f"{self.name} of {self.source}: {why}", where=self.entry.group, fix="update or uninstall that package"
        )


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """The entry points of a group, by name."""
    from importlib.metadata import entry_points  # here, because it is slow to load

    return tuple(Plugin(entry) for entry in sorted(entry_points(group=group), key=lambda entry: entry.name))
