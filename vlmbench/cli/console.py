"""The terminal: progress bars, notes and errors on stderr; tables or one JSON document on stdout."""

import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import VlmbenchError
from vlmbench.foundations.progress import Advance
from vlmbench.foundations.streams import give_up_stdout, outlived, writable
from vlmbench.foundations.text import terminal

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress

WIDE = 120
"""Width of a terminal with room for everything."""
_WORD = 14
"""Letters of a word that are kept together in a narrow column."""


EVERY = 60.0
"""Seconds between two lines on progress, where stderr is no terminal."""


def time_left(done: int, total: int | None, seconds: float) -> str:
    """``3 min left`` of work of which `done` of `total` units took `seconds`; ``12 s`` so far if that is unknown."""
    left = seconds * (total - done) / done if total and done else None
    shown = round(seconds if left is None else max(0.0, left))
    hours, minutes = divmod(round(shown / 60), 60)
    text = f"{shown} s" if shown < 90 else f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
    return text if left is None else f"{text} left"


class Console:
    """A `Reporter` that draws on stderr; with `quiet`, only warnings are shown."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._progress: Progress | None = None

    @cached_property
    def _rich(self) -> "RichConsole":
        """Created on first use: rich takes a tenth of a second to import."""
        return _rich()

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """A progress bar with the time left; where stderr is no terminal, a line a minute instead. Tasks may nest."""
        if self.quiet:
            yield lambda units=1: None
            return
        if not self._rich.is_terminal:
            yield self._lines(label, total)
            return
        outermost = self._progress is None
        if self._progress is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self._progress = Progress(*columns, console=self._rich, transient=True)
            self._progress.start()
        progress = self._progress
        handle = progress.add_task(terminal(label), total=total, left="")
        started, done = monotonic(), 0

        def advance(units: int = 1) -> None:
            nonlocal done
            done += units
            progress.update(handle, advance=units, left=time_left(done, total, monotonic() - started))

        try:
            yield advance
        finally:
            progress.remove_task(handle)
            if outermost:
                progress.stop()
                self._progress = None

    def _lines(self, label: str, total: int | None) -> Advance:
        started = told = monotonic()
        done = 0

        def advance(units: int = 1) -> None:
            nonlocal done, told
            done += units
            now = monotonic()
            if now - told >= EVERY:
                told = now
                of = f" of {total:,}" if total else ""
                self.note(f"{label}: {done:,}{of}, {time_left(done, total, now - started)}")

        return advance

    def note(self, message: str) -> None:
        """A dim line on stderr."""
        if not self.quiet:
            self._rich.print(terminal(message), style="dim", soft_wrap=True)

    def warn(self, message: str) -> None:
        """A yellow line on stderr, `quiet` or not."""
        self._rich.print(f"[yellow]warning:[/yellow] {terminal(message)}", soft_wrap=True)


def show_error(error: VlmbenchError) -> None:
    """The one clear error: what is wrong, where, how to fix it."""
    console = _rich()
    console.print(f"[bold red]error:[/bold red] {terminal(error.what)}", soft_wrap=True)
    if error.where:
        console.print(f"  where: {terminal(error.where)}", soft_wrap=True)
    if error.fix:
        console.print(f"  fix: {terminal(error.fix)}", soft_wrap=True)


def _rich(*, stderr: bool = True) -> "RichConsole":
    from rich.console import Console as RichConsole

    class Lasting(RichConsole):
        """A console that survives the end of its reader (rich's own would end the process with 1), with columns as wide
        as its encoding needs."""

        def on_broken_pipe(self) -> None:
            self.quiet = True
            give_up_stdout()

        def render_str(self, text: str, **more: Any) -> Any:
            return super().render_str(writable(text, self.encoding), **more)

    return Lasting(stderr=stderr, highlight=False, emoji=False)


def stdout_console() -> "RichConsole":
    """The console that tables are printed with."""
    return _rich(stderr=False)


def print_json(document: Any) -> None:
    """The JSON document on stdout; nothing else ever goes there with ``--json``."""
    with outlived():
        json.dump(document, sys.stdout, indent=2, ensure_ascii=True, allow_nan=False)
        sys.stdout.write("\n")
        sys.stdout.flush()


def print_paragraph(text: str) -> None:
    """A paragraph on stdout, wrapped to the terminal."""
    stdout_console().print("\n" + terminal(text))


@dataclass(frozen=True)
class Layout:
    """How columns are shown.

    Attributes:
        left: how many columns are aligned left, the others right.
        figures: those of them that are aligned right all the same.
        whole: columns that are never broken into lines.
        wide: columns that are shown only if the terminal has room for them.
    """

    left: int = 1
    figures: Collection[str] = ()
    whole: Collection[str] = ()
    wide: Collection[str] = ()


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    layout: Layout = Layout(),
    *,
    caption: str | None = None,
) -> None:
    """Prints a rich table to stdout; cells are escaped here.

    Args:
        title: above the table.
        header: names of the columns.
        rows: cells of each row.
        layout: how columns are shown.
        caption: below the table.
    """
    from rich import box
    from rich.table import Table

    note = terminal(caption) if caption else None
    table = Table(
        title=terminal(title),
        caption=note,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )
    out = stdout_console()
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = 160  # a file or a pipe, which has no width of its own
    shown = [index for index, name in enumerate(header) if name not in layout.wide or out.width >= WIDE]
    for index in shown:
        text = index < layout.left and header[index] not in layout.figures
        keep = not text or header[index] in layout.whole
        words = [len(word) for row in rows for word in row[index].split()]
        table.add_column(
            terminal(header[index]),
            justify="left" if text else "right",
            no_wrap=keep,
            overflow="fold",
            min_width=min(max(words, default=0), _WORD),
        )
    for row in rows:
        table.add_row(*(terminal(row[index]) for index in shown))
    out.print(table)
