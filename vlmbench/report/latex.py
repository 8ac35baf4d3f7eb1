"""A table as LaTeX that fits the page of ``article``: booktabs' rules, each interval below its figure, a label.

A table too wide or too long for a page is written as several tabulars, each with the columns that identify its rows.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from vlmbench.foundations import text
from vlmbench.foundations.paths import slug
from vlmbench.report.blocks import BETWEEN, blocks, figure_width
from vlmbench.report.table import Cell, Column, Table

CHARACTER = 4.4
"""Points of an average character of Computer Modern at ``\\footnotesize`` (8 pt)."""
WIDTH = int(345 / CHARACTER)
"""Average characters in a line of ``article``: 345 pt."""
LINES = 44
"""Lines of a page that a table's rows can fill, next to its caption and notes."""
SMALLEST = 9
"""Characters at which a column of text is not made narrower."""
_HEADER = (
    "% \\usepackage[T1]{fontenc} \\usepackage{booktabs}",
    "% A figure with its interval; \\newcommand{\\figci}[2]{#1} before this file hides all intervals.",
    "\\providecommand{\\figci}[2]{\\vtop{\\halign{\\hfil##\\cr\\strut#1\\cr\\scriptsize\\strut#2\\cr}}}",
)
_WIDTHS = {**dict.fromkeys("ijlft.,:;'|!()[]- ", 0.65), **dict.fromkeys("mwMW@%+<>=−", 1.75)}


def to_latex(table: Table) -> str:
    """The table's floats, ``\\label{tab:NAME}`` each; the signatures behind its figures follow as comments.

    The preamble needs ``\\usepackage{booktabs}`` and ``\\usepackage[T1]{fontenc}``.
    """
    parts = [*_HEADER]
    for one in (table.brief,) if table.brief else table.shown():
        parts += _floats(one.without_empty_columns())
    parts += [f"% {number}. {text.visible(line)}" for line, number in table.signatures().items()]
    return "\n".join(parts) + "\n"


def _floats(table: Table) -> Iterator[str]:
    """The floats of a table: the first has the label, the last the notes."""
    pieces = [piece for block in blocks(table, WIDTH, _measure) for piece in _pages(block)]
    caption, label, left = "", f"\\label{{tab:{slug(table.name)}}}", 0
    for place, (piece, lines) in enumerate(pieces):
        caption = piece.title or caption
        if lines > left:
            if place:
                yield "\\end{table}\n"
            shown = _tex(caption) + (" (continued)" if place else "")
            yield f"\\begin{{table}}\n\\centering\\footnotesize\n\\caption{{{shown}}}{'' if place else label}"
            left = LINES
        else:
            yield "\n\\medskip"
        left -= lines
        yield from _tabular(piece)
    if table.notes:
        yield "\n\\smallskip"
        yield "\\parbox{\\linewidth}{\\scriptsize " + " ".join(map(_tex, table.notes)) + "}"
    yield "\\end{table}\n"


def _pages(block: Table) -> Iterator[tuple[Table, int]]:
    """The block in parts of at most a page, with their lines."""
    widths = _text_widths(block)
    head = max((len(_words(block, place)) for place in range(len(block.columns))), default=1) + 1
    rows, lines, title = list[tuple[Cell, ...]](), head, block.title
    for row in block.rows:
        high = max(
            len(cell.lines()) if place not in widths else ceil(_measure(cell.text) / widths[place] * 1.2)
            for place, cell in enumerate(row)
        )
        if rows and lines + high > LINES:
            yield replace(block, rows=tuple(rows), title=title), lines
            rows, lines, title = [], head, ""
        rows, lines = [*rows, row], lines + high
    yield replace(block, rows=tuple(rows), title=title), lines


def _tabular(table: Table) -> Iterator[str]:
    widths = _text_widths(table)
    kinds = [
        "r" if column.figures else f"p{{{widths[place] * CHARACTER:.0f}pt}}" if place in widths else "l"
        for place, column in enumerate(table.columns)
    ]
    yield "\\begin{tabular}{@{}" + "".join(kinds) + "@{}}\n\\toprule"
    yield " & ".join(_head(table, place, column) for place, column in enumerate(table.columns)) + " \\\\"
    yield "\\midrule"
    for row in table.rows:
        cells = [
            f"\\raggedright {_foldable(cell.text)}" if place in widths else _cell(cell)
            for place, cell in enumerate(row)
        ]
        yield " & ".join(cells) + " \\\\"
    yield "\\bottomrule\n\\end{tabular}"


def _text_widths(table: Table) -> dict[int, float]:
    """The columns of text that must be folded for the table to fit, and their widths in characters."""
    widths = {place: figure_width(table, place, _measure) for place in range(len(table.columns))}
    folded: dict[int, float] = {}
    texts = [place for place, column in enumerate(table.columns) if not column.figures]
    while texts and (over := sum(widths.values()) + BETWEEN * len(widths) - WIDTH) > 0:
        widest = max(texts, key=widths.__getitem__)
        if widths[widest] <= SMALLEST:
            break
        narrower = max(SMALLEST, widths[widest] - over, widths[widest] / 2)
        widths[widest] = folded[widest] = narrower
    return folded


def _words(table: Table, place: int) -> list[str]:
    """The lines of a heading: of figures as wide as the column, so that words do not widen it."""
    column = table.columns[place]
    if not column.figures:
        return [column.title]
    width, lines = figure_width(table, place, _measure), list[str]()
    for word in column.title.split():
        if lines and _measure(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _head(table: Table, place: int, column: Column) -> str:
    lines = [*map(_tex, _words(table, place))]
    return lines[0] if len(lines) == 1 else "\\shortstack[r]{" + "\\\\".join(lines) + "}"


def _measure(words: str) -> float:
    """The width of a text in average characters; capitals are wide, some letters are narrow."""
    return sum(_WIDTHS.get(char, 1.45 if char.isupper() else 1.0) for char in text.visible(words))


def _tex(words: str) -> str:
    """Escaped: no bracket starts an optional argument, and characters missing in T1 fonts appear as codes."""
    shown = text.latex(words).replace("−", "$-$").replace("…", "\\ldots{}").replace("[", "{[}")
    return "".join(char if ord(char) < 0x180 else f"U+{ord(char):04X}" for char in shown)


def _foldable(words: str) -> str:
    """Escaped, and may break after punctuation, and anywhere in a long word."""
    parts = []
    for start, char in enumerate(words):
        parts.append(_tex(char))
        if char in ":,/_.=" or (start and start % (SMALLEST - 1) == 0 and " " not in words[start - SMALLEST : start]):
            parts.append("\\allowbreak{}")
    return "".join(parts)


def _minus(figure: str) -> str:
    return _tex(figure).replace("-", "$-$")


def _cell(cell: Cell) -> str:
    if not cell.is_figure and not cell.open_interval:
        return _tex(cell.text)
    figure = _minus(cell.text if cell.text else cell.figure())
    if cell.mark == "best":
        figure = f"\\textbf{{{figure}}}"
    elif cell.mark == "tied":
        figure += "$^{=}$"
    interval = cell.interval()
    return f"\\figci{{{figure}}}{{{_minus(interval)}}}" if interval else figure
