"""A table as rich draws it, in a terminal or in a notebook: each interval below its figure, nothing truncated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vlmbench.foundations.text import terminal
from vlmbench.report.blocks import blocks, column_widths
from vlmbench.report.table import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType


@dataclass(frozen=True)
class Drawn:
    """A table and its further tables.

    A table wider than the console is drawn in blocks of figures, each with the columns that identify its rows.
    """

    table: Table

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        for one in (self.table.brief,) if self.table.brief else self.table.shown():
            shown = one.without_empty_columns()
            for block in blocks(shown, options.max_width) if shown.rows else ():
                title = terminal(block.title) or None
                drawn = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
                widths = column_widths(block, options.max_width)
                for place, column in enumerate(block.columns):
                    width = widths[place] if widths else None
                    side: Literal["left", "right"] = "right" if column.figures else "left"
                    drawn.add_column(terminal(column.title), justify=side, overflow="fold", width=width)
                for row in block.rows:
                    drawn.add_row(*("\n".join(terminal(line) for line in cell.lines()) for cell in row))
                yield drawn
            for note in shown.notes if shown.rows else ():
                yield Text.from_markup(terminal(note), style="dim", emoji=False)
