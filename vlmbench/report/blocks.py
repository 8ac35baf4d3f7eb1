"""A table wider than the terminal, split into narrower ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vlmbench.foundations.text import terminal
from vlmbench.report.table import Table

_FOLDED = (30, 20, 12, 8)
"""Widths at which a text column may wrap: the widest that leaves room for the figures is used."""
_WHOLE = 20
"""From this width on, no word up to `_WORD` characters is broken."""
_WORD = 24
_NAMES = ("model", "system")
"""Columns that name what a row is of."""
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
    title, heads = varying_texts(table)
    parts = _parts(table, heads, width, measure)
    return [_only(table, title if not at else "", heads, part) for at, part in enumerate(parts)]


def figure_width(table: Table, place: int, measure: Measure = columns_wide) -> float:
    """Characters that a column of figures needs: its longest line, and the longest word of its title."""
    lines = [line for row in table.rows for line in row[place].lines()]
    return max(measure(text) for text in (*lines, *table.columns[place].title.split(), ""))


def varying_texts(table: Table) -> tuple[str, list[int]]:
    """The title with what is the same in all rows, and the places of the columns of texts that are not.

    Of a table of one row the model's or system's name stays.
    """
    texts = [place for place, column in enumerate(table.columns) if not column.figures]
    same = [place for place in texts if len({row[place].text for row in table.rows}) == 1]
    if len(table.rows) == 1:
        named = [place for place in same if table.columns[place].key in _NAMES]
        same = [place for place in same if place not in (named or same)[:1]]
    said = [" ".join(filter(None, (table.columns[place].title, table.rows[0][place].text))) for place in same]
    heads = [place for place in texts if place not in same]
    return (f"{table.title} ({', '.join(said)})" if said else table.title), heads


def without_constants(table: Table) -> Table:
    """The same with what is the same in several rows in the title."""
    if len(table.rows) < 2:
        return table
    title, heads = varying_texts(table)
    return _only(table, title, heads, [place for place, column in enumerate(table.columns) if column.figures])


def fits(table: Table, width: int) -> bool:
    """Whether all figures fit without wrapping."""
    return _needs(table, range(len(table.columns)), _FOLDED[-1], columns_wide) <= width


def column_widths(table: Table, width: int) -> list[int] | None:
    """The columns' widths where the table must wrap: no figure and, if possible, no word is broken.

    None where all fits without wrapping, or not even all figures do.
    """
    places = range(len(table.columns))
    whole = [int(max(figure_width(table, at), columns_wide(table.columns[at].title))) for at in places]
    if not fits(table, width) or 1 + sum(BETWEEN + one for one in whole) <= width:
        return None
    fold = _WHOLE if _needs(table, places, _WHOLE, columns_wide) <= width else _FOLDED[-1]
    found = [int(_needs(table, [at], fold, columns_wide)) - BETWEEN - 1 for at in places]
    spare = width - int(_needs(table, places, fold, columns_wide))
    for lines in (2, 1):
        for at in sorted(places, key=lambda at: table.columns[at].figures):
            more = max(0, min(spare, -(-whole[at] // lines) - found[at]))
            found[at] += more
            spare -= more
    return found


def word_width(table: Table, place: int, measure: Measure = columns_wide) -> float:
    """Characters of the longest word in a column of texts, up to `_WORD`."""
    texts = (table.columns[place].title, *(row[place].text for row in table.rows))
    return min(_WORD, max(measure(word) for text in texts for word in [*text.split(), ""]))


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
    widths = []
    for place in places:
        width = figure_width(table, place, measure)
        if not table.columns[place].figures:
            width = max(min(width, folded), word_width(table, place, measure) if folded >= _WHOLE else 0)
        widths.append(BETWEEN + width)
    return 1 + sum(widths)


def _only(table: Table, title: str, heads: Sequence[int], figures: Sequence[int]) -> Table:
    places = [*heads, *figures]
    rows = [row for row in table.rows if any(row[place].lines() != [""] for place in figures)] or table.rows
    return replace(
        table,
        title=title,
        columns=tuple(table.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in rows),
    )
