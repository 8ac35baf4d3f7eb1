"""Which systems differ: a chart of all against all on a dataset, the best first."""

from vlmbench.foundations.text import html, visible
from vlmbench.metrics.differences import LEVEL
from vlmbench.report.page.charts import framed
from vlmbench.report.tables.comparisons import Matrix

MOST = 20
"""Systems in a chart: the best ones of more."""
_ROW, _WIDE = 24, 46


def title_of(matrix: Matrix) -> str:
    """Dataset and metric of a chart."""
    more = f", the best {MOST} of {len(matrix.systems)}" if len(matrix.systems) > MOST else ""
    return f"{matrix.dataset}: differences in {matrix.metric.replace('_', ' ')}{more}"


def significance_svg(identity: str, matrix: Matrix) -> str:
    """Row minus column, times 100; filled where it is significant (Holm-corrected), with ``=`` where it is not."""
    names = [f"{number}  {visible(name)}" for number, name in enumerate(matrix.systems[:MOST], 1)]
    names = [name if len(name) <= 34 else name[:33] + "…" for name in names]
    left = 12 + 6.2 * max(map(len, names))
    parts, words = [], []
    for row, name in enumerate(names):
        y = 22 + row * _ROW
        parts.append(f'<text class="tick" x="{left - 6:.1f}" y="{y + 16}" text-anchor="end">{html(name)}</text>')
        parts.append(
            f'<text class="tick" x="{left + (row + 0.5) * _WIDE:.1f}" y="15" text-anchor="middle">{row + 1}</text>'
        )
        for column in range(len(names)):
            cell = matrix.cell(row, column)
            if cell.value is None or cell.p is None:
                continue
            kind = "same" if cell.p >= LEVEL else "better" if cell.value > 0 else "worse"
            x = left + column * _WIDE
            parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{_WIDE}" height="{_ROW}"/>')
            shown = cell.figure() + "=" * (kind == "same")
            at = f'x="{x + _WIDE / 2:.1f}" y="{y + 16}" text-anchor="middle"'
            parts.append(f'<text class="cell" {at}>{shown}</text>')
            if row < column:
                words.append(f"{names[row]} minus {names[column]}: {shown}")
    width, height = left + _WIDE * len(names) + 8, 30 + _ROW * len(names)
    chart = framed(identity, title_of(matrix), "; ".join(words), parts, width, height)
    return chart.replace("<svg ", f'<svg width="{width:.0f}" ', 1)
