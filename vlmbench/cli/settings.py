"""``vlmbench.toml``: a team's settings, which take the same way as ``VLMBENCH_<OPTION>`` of the environment.

Common options stand at the top, a command's own in a table named after it, each by its long name:

    device = "cpu"
    cache-dir = "/data/vlmbench"

    [linear-probe]
    shots = "1,4,16,all"

The command line comes before the environment, and the environment before the file. Relative paths are relative to the
current directory.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmbench.cli.plan_options import Key

NAME = "vlmbench.toml"
_set: dict[str, Path] = {}
"""The variables that were set from a file."""


def find() -> Path | None:
    """The file in the current directory, or above it up to the root of its Git repository; None if there is none."""
    try:
        inside = [Path.cwd(), *Path.cwd().parents]
    except FileNotFoundError:  # the directory was removed
        return None
    root = next((place for place, directory in enumerate(inside) if (directory / ".git").exists()), 0)
    return next((directory / NAME for directory in inside[: root + 1] if (directory / NAME).is_file()), None)


def read(path: Path) -> dict[str, dict[str, str]]:
    """The variables that a file sets, by command; under an empty name those for every command.

    Raises:
        InputError: it is not TOML, a key or a table is unknown, or a value is of another type than its option.
    """
    from vlmbench.api.plans import Table, read_toml
    from vlmbench.cli import plan_options as p
    from vlmbench.cli.commands import COMMANDS
    from vlmbench.foundations.errors import InputError
    from vlmbench.foundations.plugins import nearest
    from vlmbench.foundations.text import visible

    shown = visible(str(path))
    found, _ = read_toml(path, "settings file")
    common = {key: value for key, value in found.items() if not isinstance(value, dict)}
    variables = {"": _variables(Table("", shown, common), p.common_keys())}
    for name, options in found.items():
        if not isinstance(options, dict):
            continue
        if name not in COMMANDS:
            fix = nearest(name, [*COMMANDS, *p.common_keys()], "vlmbench --help")
            raise InputError(f"no such command: {visible(name)}", where=f"{shown}, [{visible(name)}]", fix=fix)
        table = Table(name, f"{shown}, [{name}]", options)
        variables[name] = _variables(table, p.keys_of(p.command_of(name)))
    return variables


def _variables(table: Any, keys: "dict[str, Key]") -> dict[str, str]:
    from vlmbench.cli.plan_options import arguments

    arguments(table, keys)  # for its errors
    return {_variable(name): _text(table, keys[name], value) for name, value in table.options.items()}


def _variable(option: str) -> str:
    return f"VLMBENCH_{option.upper().replace('-', '_')}"


def _text(table: Any, key: "Key", value: Any) -> str:
    if key.kind is bool:
        return "1" if value else "0"
    items = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    wrong, fix = "", ""
    if key.several and not key.lines and any(item.split() != [item] for item in items):
        wrong, fix = "a space", f"give it as --{key.name} on the command line, or take a name without spaces"
    elif any("\0" in item for item in items):
        wrong, fix = "a NUL character", "leave it out"
    if wrong:
        from vlmbench.foundations.errors import InputError

        raise InputError(f"{key.name}: a value with {wrong}", where=table.at(key.name), fix=fix)
    return ("\n" if key.lines else " ").join(items)


def apply(command: str) -> None:
    """Sets the variables of the file in use for a command, as far as they are not set.

    Raises:
        InputError: see `read`.
    """
    path = find()
    if path is None:
        return
    variables = read(path)
    for name, value in {**variables[""], **variables.get(command, {})}.items():
        if name not in os.environ:
            os.environ[name], _set[name] = value, path


def origin(variable: str | None) -> str:
    """Where the value of an environment variable comes from, for a message; empty if not from a file."""
    return f" (set in {_set[variable]})" if variable in _set else ""


def described() -> tuple[Path, str] | None:
    """The file in use and the options that it sets; None if there is none."""
    path = find()
    if path is None:
        return None
    names = [name for group in read(path).values() for name in group]
    return path, ", ".join(name.removeprefix("VLMBENCH_").lower().replace("_", "-") for name in names) or "nothing"
