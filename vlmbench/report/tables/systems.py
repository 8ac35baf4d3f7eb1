"""A table of systems by metrics, with the best and those not significantly worse marked, for tasks without one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vlmbench.metrics.spec import of, title
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import Place, named_runs, place_labels, refusals, unique
from vlmbench.report.marks import NOTE, Marks
from vlmbench.report.pairs import Pairs, untested
from vlmbench.report.table import Cell, Column, Table, metric_cell

Rows = list[list[Cell]]


@dataclass(frozen=True)
class Heading:
    """Name, title and notes of a table of systems."""

    name: str
    title: str
    system: str = "system"
    note: str = "Figures are times 100, with 95 % intervals in brackets."
    test: str = "the paired test of each metric"


def systems_table(
    runs: Sequence[StoredRun],
    family: str,
    heading: Heading,
    pairs: Pairs | None = None,
    more: Callable[[Rows, Sequence[Column], dict[str, Place]], tuple[Rows, list[str]]] | None = None,
) -> Table | None:
    """The table; None if there is nothing to show.

    Args:
        runs: the runs of one task.
        family: the family of its metrics.
        heading: the table's heading.
        pairs: reads per-sample files for paired tests; none leaves tests and marks out.
        more: adds rows and notes, given our columns and the places of our rows by the text of their first cells.
    """
    chosen = unique(runs)
    have = {name for run in chosen for name in run.record.metrics}
    known = [spec.name for spec in of(family) if spec.name in have or not have]
    metrics = [Column(name, title(name), True) for name in (*known, *sorted(have - set(known)))]
    head = (Column("dataset", "dataset"), Column(heading.system, heading.system), Column("n", "n"))
    columns = (*head, *metrics)
    places = named_runs(chosen)
    labels = place_labels(sorted(places))
    rows: Rows = []
    marks = Marks(rows, [column.key for column in metrics], len(head))
    for place, there in places.items():
        start = len(rows)
        for label, run in there:
            first = [Cell(text=labels[place]), Cell(text=label), Cell(text=str(place.n), runs=(run,))]
            rows.append(first + [metric_cell(run, column.key) for column in metrics])
        if pairs is not None:
            marks.best(start, [run for _, run in there], pairs.differences)
    notes = [heading.note]
    if marks.tied():
        notes.append(NOTE.format(test=heading.test))
    refused = refusals(places)
    notes += [*(untested(chosen) if pairs is not None and len(rows) > 1 else []), *refused]
    rows, theirs = more(rows, columns, {labels[place]: place for place in places}) if more else (rows, [])
    if not rows:
        return None
    table = Table(heading.name, heading.title, columns, tuple(map(tuple, rows)), (*notes, *theirs))
    table = table.without_empty_columns() if theirs else table
    return replace(table, about=refused, refused=tuple(refused))
