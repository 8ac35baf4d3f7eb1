"""A table wider than the terminal, split into narrower ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vlmbench.foundations.text import terminal
from vlmbench.report.table import Table

_FOLDED = (30, 20, 12, 8)
"""Widths at which a text column may wrap: the widest that leaves room for the figures is used."""
_TOGETHER = 2
"""Figures that belong side by side."""
BETWEEN = 3
"""Characters between two columns: a space on each side, and one for the rule."""
Measure = Callable[[str], float]
"""The width of a text, in characters."""


def columns_wide(text: str) -> float:
    """The characters that a text takes in a terminal."""
    return len(terminal(text))


def blocks(table: Table, width: int, measure: Measure = columns_wide) -> list[Table]:
    """The table itself if it fits into `width` characters, else several tables that do, each with some of its figures.

    Text columns with the same value in every row then move to the title; the others are in every block. A row
    without a figure in a block is left out there.
    """
    if _needs(table, range(len(table.columns)), _FOLDED[0], measure) <= width:
        return [table]
    heads, said = [], []
    for place, column in enumerate(table.columns):
        if not column.figures:
            texts = {row[place].text for row in table.rows}
            if len(table.rows) > 1 and len(texts) == 1:
                said.append(" ".join(filter(None, (column.title, *texts))))
            else:
                heads.append(place)
    title = f"{table.title} ({', '.join(said)})" if said else table.title
    parts = _parts(table, heads, width, measure)
    return [_only(table, title if not at else "", heads, part) for at, part in enumerate(parts)]


def figure_width(table: Table, place: int, measure: Measure = columns_wide) -> float:
    """Characters that a column of figures needs: its longest line, and the longest word of its title."""
    lines = [line for row in table.rows for line in row[place].lines()]
    return max(measure(text) for text in (*lines, *table.columns[place].title.split(), ""))


def fits(table: Table, width: int) -> bool:
    """Whether all figures fit without wrapping."""
    return _needs(table, range(len(table.columns)), _FOLDED[-1], columns_wide) <= width


def _parts(table: Table, heads: Sequence[int], width: int, measure: Measure) -> list[list[int]]:
    """The figures of each block: all together if wrapping the text makes them fit, else at least two if possible."""
    figures = [place for place, column in enumerate(table.columns) if column.figures]
    for folded in _FOLDED:
        if _needs(table, [*heads, *figures], folded, measure) <= width:
            return [figures]
    for folded in _FOLDED:
        parts: list[list[int]] = [[]]
        for place in figures:
            if parts[-1] and _needs(table, [*heads, *parts[-1], place], folded, measure) > width:
                parts.append([])
            parts[-1].append(place)
        if all(len(part) >= _TOGETHER for part in parts[:-1]):
            break
    return parts


def _needs(table: Table, places: Sequence[int], folded: int, measure: Measure) -> float:
    widths = [(figure_width(table, place, measure), table.columns[place]) for place in places]
    return 1 + sum(BETWEEN + (width if column.figures else min(width, folded)) for width, column in widths)


def _only(table: Table, title: str, heads: Sequence[int], figures: Sequence[int]) -> Table:
    places = [*heads, *figures]
    rows = [row for row in table.rows if any(row[place].lines() != [""] for place in figures)] or table.rows
    return replace(
        table,
        title=title,
        columns=tuple(table.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in rows),
    )
