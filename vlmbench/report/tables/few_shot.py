"""The table of few-shot probes by labels per class, with zero-shot beside them."""

from collections.abc import Sequence

from vlmbench.records.classification import ProbeDetail
from vlmbench.report.grouping import Place
from vlmbench.report.table import HEAD, Cell, Column, Table, metric_cell
from vlmbench.report.tables.rows import Row


def few_shot_table(rows: Sequence[Row], labels: dict[Place, str]) -> Table | None:
    """The table of the rows with few-shot runs; None: there are none."""
    shots = sorted({k for row in rows for k in row.shots})
    if not shots:
        return None
    zero = Column("few_shot_zero_shot", "zero-shot", True)
    every = Column("few_shot_all_labels", "all labels", True)
    columns = (*HEAD, zero, *(Column(f"shots_{k}", f"{k}-shot", True) for k in shots), every)
    lines = []
    for row in rows:
        if row.shots:
            head = [
                Cell(text=labels[row.place]),
                Cell(text=row.label),
                Cell(text=str(row.place.n), runs=(row.any_run,)),
                Cell(text=row.place.metric),
            ]
            figures = [metric_cell(row.shots[k], row.place.metric) if k in row.shots else Cell() for k in shots]
            full = metric_cell(row.full, row.place.metric) if row.full else Cell()
            lines.append((*head, _zero_shot(row), *figures, full))
    notes = ("k-shot: k labelled images per class. Figures are means over seeds, and so are their intervals.",)
    return Table("few_shot", "Linear probe by labels per class", columns, tuple(lines), notes).without_empty_columns()


def _zero_shot(row: Row) -> Cell:
    """The zero-shot figure that the curve is compared with: of its own run, else as the probe's run recorded it."""
    if row.zero is not None:
        return metric_cell(row.zero, row.place.metric)
    detail = row.any_run.record.detail
    curve = detail.curve if isinstance(detail, ProbeDetail) else None
    if curve is None or curve.zero_shot is None or curve.metric != row.place.metric:
        return Cell()
    return Cell(value=curve.zero_shot, runs=(row.any_run,))
