"""What other installed packages add, by entry points; nothing of theirs is imported before it is asked for."""

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

from vlmbench.foundations.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def installed(group: str, taken: Collection[str] = ()) -> "dict[str, EntryPoint]":
    """The entry points of a group by name, in the order of their names.

    Args:
        group: as packages declare it.
        taken: names that are vlmbench's own.

    Raises:
        InputError: two packages declare the same name, or one declares a name of vlmbench's own.
    """
    from importlib.metadata import entry_points  # here, because it is slow to load

    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        if entry.name in taken or entry.name in found:
            other = source(found[entry.name]) if entry.name in found else "vlmbench"
            raise InputError(f"{entry.name} is declared by {other} and by {source(entry)}", where=group)
        found[entry.name] = entry
    return found


def load(entry: "EntryPoint", kind: type[T]) -> T:
    """The object of an entry point.

    Raises:
        InputError: it cannot be loaded, or is no `kind`.
    """
    try:
        found = entry.load()
    except Exception as error:
        raise broken(entry, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, kind):
        raise broken(entry, f"cannot be loaded: it is no {kind.__name__}")
    return found


def broken(entry: "EntryPoint", why: str) -> InputError:
    """The error for a fault of another package, which it names."""
    return InputError(
        f"{entry.name} of {source(entry)} {why}", where=entry.group, fix="update or uninstall that package"
    )


def source(entry: "EntryPoint") -> str:
    """The package that declares an entry point, and where the object is."""
    return f"{entry.dist.name if entry.dist else '?'} ({entry.value})"
