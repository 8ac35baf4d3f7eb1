"""Help pages as plain text: no markup that could swallow brackets, and words that stay whole on a narrow terminal.

The examples of a command are what stands between ``[bold]`` and ``[/bold]`` in its docstring.
"""

import inspect
import os
import re
import shutil
import sys
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from vlmbench.foundations.streams import outlived

WIDEST = 100
"""Longer lines are hard to read."""
_BESIDE = 60
"""From this width on, what an option does stands beside it; below, under it."""
_NAMES = 30
"""The widest column of names."""
_BOLD = re.compile(r"\[bold\](.*?)\[/bold\]", re.DOTALL)
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")


def examples(docstring: str | None) -> list[str]:
    """The command lines in the docstring of a command."""
    return [" ".join(found.split()) for found in _BOLD.findall(docstring or "")]


def paragraphs(docstring: str | None) -> list[str]:
    """What else it says, a paragraph a line."""
    parts = (" ".join(_BOLD.sub("", part).split()) for part in inspect.cleandoc(docstring or "").split("\n\n"))
    without = (
        re.sub(r"( ?(Examples?|Or|and|Or, [^:]*):?)+$", "", part) if "[bold]" in (docstring or "") else part
        for part in parts
    )
    return [part for part in without if part]


class Helped:
    """Writes the help page of a command or a group of them."""

    docstring: str | None = None
    """The command's; None: its help line is all there is."""
    annotations: Mapping[str, Any]
    """The types of the parameters, by name."""

    def get_help_option(self, ctx: Any) -> Any:
        """``--help``, whose reader may leave (``| head -1``)."""
        option = super().get_help_option(ctx)  # type: ignore[misc]

        def show(ctx: Any, param: Any, value: bool) -> None:
            if value and not ctx.resilient_parsing:
                with outlived():
                    print(ctx.get_help())  # click would write UTF-8 where stdout is ASCII
                    sys.stdout.flush()
                ctx.exit()

        if option is not None:
            option.callback = show
        return option

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What can be typed after the command's name."""
        command: Any = self
        arguments = [self._entry(param)[0] for param in command.get_params(ctx) if param.param_type_name == "argument"]
        return ["[OPTIONS]", *(["COMMAND ..."] if hasattr(command, "list_commands") else arguments)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the page."""
        width = max(20, min(WIDEST, shutil.get_terminal_size().columns - 1))
        formatter.write("\n".join(self._page(ctx, width)) + "\n")

    def _page(self, ctx: Any, width: int) -> Iterator[str]:
        command: Any = self
        shown = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
        yield from _wrapped(f"Usage: {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}", width, hanging=7)
        for part in paragraphs(self.docstring) or [command.help or ""]:
            yield ""
            yield from _wrapped(part, width)
        lines = examples(self.docstring)
        if lines:
            yield from _heading("Example" if len(lines) == 1 else "Examples")
            for one in lines:
                yield from _command_line(one, width)
        if hasattr(command, "list_commands"):
            yield from _heading("Commands")
            commands = [(name, command.get_command(ctx, name).help or "") for name in command.list_commands(ctx)]
            yield from _columns(commands, width)
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in shown:
            default = "Arguments" if param.param_type_name == "argument" else "Options"
            groups.setdefault(getattr(param, "rich_help_panel", None) or default, []).append(self._entry(param))
        for title in sorted(groups, key=lambda title: title != "Arguments"):
            yield from _heading(title)
            yield from _columns(groups[title], width)

    def _entry(self, param: Any) -> tuple[str, str]:
        """What is typed for a parameter, and what it does."""
        kind = kind_of(self.annotations.get(param.name, bool))
        text = " ".join((getattr(param, "help", None) or "").split())
        value = param.metavar or _values(kind)
        if param.param_type_name == "argument":
            named = param.metavar or (value if issubclass(kind, Enum) else param.name.upper())
            named += "..." if param.nargs != 1 and not named.endswith("...") else ""
        elif kind is bool:
            named = ", ".join(sorted(param.opts, key=len))
            named = f"{named} / {param.secondary_opts[0]}" if param.secondary_opts else named
        else:
            named = ", ".join(sorted(param.opts, key=len)) + f" {value}"
        return named, " ".join([text, *(f"({note})" for note in [_note(param, kind, text)] if note)])


def _note(param: Any, kind: type, text: str) -> str:
    """What else is to know: the default and the range."""
    notes = []
    value = getattr(param.default, "value", param.default)
    if param.required:
        notes.append("required")
    elif "(default" not in text and kind is bool and param.param_type_name == "option" and param.secondary_opts:
        notes.append(f"default: {'on' if value else 'off'}")
    elif "(default" not in text and kind is not bool and isinstance(value, str | int | float | Path) and value != "":
        notes.append(f"default: {value}")
    least, most = getattr(param, "min", None), getattr(param, "max", None)
    notes += [f"at least {least:g}"] if least not in (None, 0, 1) else []
    return "; ".join([*notes, f"at most {most:g}"] if most is not None else notes)


def kind_of(annotation: Any) -> type:
    """The type of one value: of ``Annotated[list[Path] | None, …]``, `Path`."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return kind_of(next(part for part in get_args(annotation) if part is not type(None)))
    if origin in (Annotated, list, tuple):
        return kind_of(get_args(annotation)[0])
    return annotation if isinstance(annotation, type) else str


def _values(kind: type) -> str:
    """What stands for a value of a type."""
    if issubclass(kind, Enum):
        return "|".join(str(one.value) for one in kind)
    return {int: "N", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def _heading(title: str) -> tuple[str, str]:
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return "", typer.style(f"{title}:", bold=True) if bold else f"{title}:"


def _wrapped(text: str, width: int, hanging: int = 0, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns(entries: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Names and what they mean: in two columns if there is room, else one below the other."""
    entries = list(entries)
    short = [len(name) for name, _ in entries if len(name) <= _NAMES]
    column = 2 + max(short, default=0) + 2 if width >= _BESIDE else 6
    for name, text in entries:
        lines = _wrapped(text, width, indent=column)
        beside = bool(lines) and len(name) + 4 <= column
        yield f"  {name.ljust(column - 2)}{lines[0].lstrip()}" if beside else f"  {name}"
        yield from lines[1:] if beside else lines


def _command_line(line: str, width: int) -> Iterator[str]:
    """A command as it can be copied, continued with backslashes."""
    words: list[str] = []
    for word in _WORD.findall(line):
        if words and words[-1].startswith("-") and " " not in words[-1] and not word.startswith("-"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    row = ""
    for word in words:
        if row and len(row) + len(word) + 5 > width:
            yield f"  {row} \\"
            row = "  " + word
        else:
            row = f"{row} {word}" if row else word
    yield f"  {row}"
