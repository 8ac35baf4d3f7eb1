"""Tables of a plan as command lines: keys and types are read from the commands themselves."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import typer

from vlmbench.cli import commands
from vlmbench.cli.options.common import TERMINAL, Common, lines, own_options, with_common, with_given
from vlmbench.foundations.errors import InputError, VlmbenchError
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    from vlmbench.api.jobs import Writes
    from vlmbench.api.plans import Table, TaskJob

ALONE = (*TERMINAL, "trust-remote-code")
"""Common options only for the command line: a file from elsewhere must not set them."""


@dataclass(frozen=True)
class Key:
    """An option as a plan spells it.

    Attributes:
        name: the long option's name, without dashes.
        kind: bool, int, float or str.
        several: whether it can be given several times.
        off: the option that switches it off, if there is one.
        lines: whether its environment variable has a value per line.
    """

    name: str
    kind: type
    several: bool
    off: str | None
    lines: bool = False

    def arguments(self, value: Any, table: "Table") -> list[str]:
        """A value of TOML as words of a command line.

        Raises:
            InputError: it is of another type than the option.
        """
        items = value if isinstance(value, list) and self.several else [value]
        if not all(self._fits(item) for item in items):
            raise InputError(
                f"{self.name} is {self._words()}, not {_kind_of(value)}",
                where=table.at(self.name),
                fix=self._mend(value),
            )
        if self.kind is bool:
            return [f"--{self.name}"] if value else [f"--{self.off}"] if self.off else []
        words: list[str] = []
        for item in items:
            word = str(item)
            words += [f"--{self.name}={word}"] if word.startswith("-") else [f"--{self.name}", word]
        return words

    def _fits(self, value: Any) -> bool:
        if isinstance(value, bool) or self.kind is bool:
            return isinstance(value, bool) and self.kind is bool
        if self.kind is str:  # as on a command line, where a number is a word
            return isinstance(value, str | int | float)
        return isinstance(value, int) or (self.kind is float and isinstance(value, float))

    def _words(self) -> str:
        one = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.kind]
        return f"{one} or a list of such" if self.several else one

    def _mend(self, value: Any) -> str | None:
        if self.kind is str and isinstance(value, list):
            return f'{self.name} = "{",".join(map(str, value))}"'
        return None


def command_of(task: str) -> Callable[..., Any]:
    """A command as it was written, with `common` as a parameter."""
    found: Callable[..., Any] = inspect.unwrap(commands.command_of(task))
    return found


def keys_of(command: Callable[..., Any]) -> dict[str, Key]:
    """The options of a command by their long names."""
    found = {}
    for parameter in own_options(command).values():
        if get_origin(parameter.annotation) is not Annotated:
            continue
        base, info = get_args(parameter.annotation)[:2]
        names = (getattr(info, "default", None), *(getattr(info, "param_decls", None) or ()))
        declared = next((name for name in names if isinstance(name, str) and name.startswith("--")), None)
        if declared is None:
            continue
        on, _, off = declared.partition("/")
        name = on.removeprefix("--")
        found[name] = Key(name, _base(base), _is_list(base), off.removeprefix("--") or None, info.callback is lines)
    return found


def common_keys() -> dict[str, Key]:
    """The common options that can stand at the top of a plan."""
    return {name: key for name, key in keys_of(with_common(lambda common: None)).items() if name not in ALONE}


def arguments(table: "Table", keys: Mapping[str, Key]) -> list[str]:
    """A table as the words of a command line.

    Raises:
        InputError: a key is unknown, or its value is of another type.
    """
    from vlmbench.api.plans import unknown_key

    words: list[str] = []
    for key, value in table.options.items():
        if table.task and key not in keys and key in common_keys():
            raise InputError(
                f"{key} is a common option", where=table.at(key), fix="put it at the top of the plan, for all tables"
            )
        if key in ALONE and key not in keys:
            raise InputError(
                f"{key} is for the command line", where=table.at(key), fix=f"if you want it: vlmbench run --{key}"
            )
        if key not in keys:
            raise unknown_key(table, key, keys)
        words += keys[key].arguments(value, table)
    return words


def parse_common(table: "Table", words: Sequence[str], given: Sequence[str]) -> Common:
    """The common options of a plan and of the command line.

    Args:
        table: the top of the plan.
        words: its options as words, without those that are given.
        given: the options that stand on the command line, as words.

    Raises:
        InputError: a value is out of range or not one of the choices.
    """
    found: list[Common] = []

    @with_common
    def command(common: Common) -> None:
        found.append(common)

    _parse(command, "run", [*words, *given], table)
    return found[-1]


def parse_job(table: "Table", words: Sequence[str], common: Common) -> "TaskJob":
    """The request of a table.

    Raises:
        InputError: an option is missing, out of range or not one of the choices, or the command rejects the
            combination.
    """
    from vlmbench.api.plans import placed

    jobs: list[TaskJob] = []
    collecting = Collecting(**vars(common), jobs=jobs)
    try:
        _parse(with_given(command_of(table.task), collecting), table.task, words, table)
    except VlmbenchError as error:
        raise placed(error, table) from error
    return jobs[0]


@dataclass(frozen=True)
class Collecting(Common):
    """Common options under which a command's job is kept for later."""

    jobs: "list[TaskJob] | None" = None

    def run(self, function: "Writes[...]", *arguments: Any, **options: Any) -> None:
        """Stores the job of the call."""
        if self.jobs is not None:
            self.jobs.append(function.job(*arguments, **options))


def _parse(command: Callable[..., Any], name: str, words: Sequence[str], table: "Table") -> None:
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(command)
    try:
        typer.main.get_command(single).main(list(words), prog_name=name, standalone_mode=False)
    except typer.BadParameter as error:
        key = max(getattr(error.param, "opts", None) or [""], key=len).removeprefix("--")
        if key in table.options:
            said = visible(f"{key} = {table.options[key]}: {error.message.removeprefix('Value error, ')}")
            raise InputError(said, where=table.at(key)) from error
        raise InputError(f"{key} is missing" if key else visible(error.message), where=table.place) from error


def _base(annotation: Any) -> type:
    """bool, int, float, or str for everything else, of an annotation such as ``list[str] | None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return _base(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) in (list, tuple):
        return _base(get_args(annotation)[0])
    return annotation if annotation in (bool, int, float) else str


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is_list(part) for part in get_args(annotation))
    return get_origin(annotation) in (list, tuple)


def _kind_of(value: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "a table" if isinstance(value, dict) else "a date")
