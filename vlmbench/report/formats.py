"""A table as CSV, Markdown and HTML, written directly: fast, and every text escaped for its format."""

import csv
import io
from collections.abc import Iterable, Sequence

from vlmbench.foundations import text
from vlmbench.records.signature import shortened
from vlmbench.report.table import MARKS, Cell, Table

CSV_DIGITS = 4


def to_csv(table: Table) -> str:
    """One header and one line per row: each figure with its low and high (times 100), its runs and their signatures."""
    header: list[str] = []
    lines: list[list[str]] = [[] for _ in table.rows]
    for index, column in enumerate(table.columns):
        keys = [column.key]
        if column.figures and column.key != "p_holm":
            keys += [f"{column.key}_low", f"{column.key}_high"]
        header += keys
        for line, row in zip(lines, table.rows, strict=True):
            line += _csv_figures(row[index], len(keys))
    few = table.extra[0] if table.extra else None
    if few is not None:
        by_row = {tuple(cell.text for cell in row[:2]): row for row in few.rows}
        for index, column in enumerate(few.columns):
            if not column.figures:
                continue
            header += [column.key, f"{column.key}_low", f"{column.key}_high"]
            for line, row in zip(lines, table.rows, strict=True):
                other = by_row.get(tuple(cell.text for cell in row[:2]))
                line += _csv_figures(other[index] if other else Cell(), 3)
    marked = [
        column
        for column in table.columns
        if column.figures and any(_at(table, row, column.key).mark for row in table.rows)
    ]
    for column in marked:
        header.append(f"{column.key}_mark")
        for line, row in zip(lines, table.rows, strict=True):
            line.append(_at(table, row, column.key).mark)
    for column in [column for column in table.columns if any(_at(table, row, column.key).source for row in table.rows)]:
        header.append(f"{column.key}_source")
        for line, row in zip(lines, table.rows, strict=True):
            line.append(text.csv_cell(_at(table, row, column.key).source))
    header += ["runs", "signatures"]
    for line, row in zip(lines, table.rows, strict=True):
        runs = {str(run.path): run for cell in row for run in cell.runs}
        if few is not None:
            other = by_row.get(tuple(cell.text for cell in row[:2]))
            runs |= {str(run.path): run for cell in other or () for run in cell.runs}
        line.append(text.csv_cell(" ".join(run.path.name for run in runs.values())))
        line.append(text.csv_cell(" ".join(run.record.signature.replace(" ", "%20") for run in runs.values())))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return out.getvalue()


def _at(table: Table, row: Sequence[Cell], key: str) -> Cell:
    return row[[column.key for column in table.columns].index(key)]


def _csv_figures(cell: Cell, count: int) -> list[str]:
    if not cell.is_figure and count == 1:
        if cell.p is not None:
            return [f"{cell.p:.6g}"]
        return [text.csv_cell(cell.text)]
    if not cell.is_figure:
        return [text.csv_cell(cell.text), "", ""]
    values = (cell.value, cell.low, cell.high)
    return ["" if value is None else f"{value * cell.scale:.{CSV_DIGITS}f}" for value in values][:count]


def to_markdown(table: Table) -> str:
    """GitHub's tables; each row ends with the numbers of its signatures.

    They follow below, collapsed: the fields in which they differ, then those that all have in common.
    """
    numbers = table.signatures()
    parts = []
    for one in table.shown():
        titles = [column.title for column in one.columns] + ["signatures"] * bool(numbers)
        rules = ["---:" if column.figures else "---" for column in one.columns] + ["---"] * bool(numbers)
        parts += [f"**{text.markdown(one.title)}**\n", _line(map(text.markdown, titles)), _line(rules)]
        for row in one.rows:
            parts.append(_line([*map(_markdown_cell, row), *([_numbers(row, numbers)] if numbers else [])]))
        parts += ["", *(text.markdown(note) + "  " for note in one.notes), ""]
    if numbers:
        parts += ["<details><summary>Signatures</summary>", "", "```text"]
        lines, common = shortened(list(numbers))
        parts += [f"{number}. {text.visible(line)}" for number, line in enumerate(lines, 1)]
        parts += [f"all: {text.visible(common)}"] if common else []
        parts += ["```", "", "</details>"]
    return "\n".join(parts) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    if not cell.is_figure and not cell.open_interval:
        return text.markdown(cell.text)
    figure = text.markdown(cell.text) if cell.text else cell.figure()
    shown = f"**{figure}**" if cell.mark == "best" else figure + MARKS[cell.mark]
    interval = cell.interval()  # our own numbers: [89.2, 90.4] or [< 1 to 2.1], which mean nothing to Markdown
    return f"{shown} {interval}" if interval else shown


def _numbers(row: Sequence[Cell], numbers: dict[str, int]) -> str:
    found = dict.fromkeys(numbers[run.record.signature] for cell in row for run in cell.runs)
    return ", ".join(map(str, found))


def to_html(table: Table) -> str:
    """Plain tables without style or script; a figure's title holds its signatures."""
    return '<meta charset="utf-8">\n' + "\n".join(html_table(one) for one in table.shown()) + "\n"


def html_table(table: Table) -> str:
    """One table with caption, header scopes, and a sort value and the signatures on every figure."""
    parts = [
        f'<table class="vlmbench" id="{text.html(table.name)}">',
        f"<caption>{text.html(table.title)}</caption>",
        "<thead><tr>",
    ]
    parts += [
        f'<th scope="col"{" class=figure" if column.figures else ""}>{text.html(column.title)}</th>'
        for column in table.columns
    ]
    parts.append("</tr></thead>\n<tbody>")
    for row in table.rows:
        cells = [
            html_cell(cell, column.title, head=index == 0, figure=column.figures)
            for index, (cell, column) in enumerate(zip(row, table.columns, strict=True))
        ]
        parts.append("<tr>" + "".join(cells) + "</tr>")
    parts.append("</tbody></table>")
    parts += [f"<p>{text.html(note)}</p>" for note in table.notes]
    return "\n".join(parts)


def html_cell(cell: Cell, title: str, *, head: bool = False, figure: bool = False) -> str:
    """One cell of the column `title`; `head` makes it the header of its row, `figure` aligns it right."""
    if head:
        return f'<th scope="row">{text.html(cell.text)}</th>'
    label = f' data-label="{text.html(title)}"'
    if not cell.is_figure and not cell.open_interval:
        value = f' data-value="{cell.p:.6g}"' if cell.p is not None else ""
        kind = ' class="figure"' if figure else ""
        return f"<td{kind}{label}{value}>{text.html(cell.text)}</td>"
    lines = [f"{run.path.name}: {run.record.signature}" for run in cell.runs]
    lines += [line for line in (cell.source, cell.remark) if line]
    shown = text.html(cell.text if cell.text else cell.figure())
    if cell.mark == "best":
        shown = f"<strong>{shown}</strong>"
    elif cell.mark == "tied":
        shown += "<sup>=</sup>"
    interval = cell.interval()
    small = f" <small>{text.html(interval)}</small>" if interval else ""
    behind = "&#10;".join(text.html(line) for line in lines)
    value = "" if cell.value is None else f' data-value="{cell.value * cell.scale:.{CSV_DIGITS}f}"'
    return f'<td class="figure"{label}{value} title="{behind}"><span>{shown}</span>{small}</td>'
