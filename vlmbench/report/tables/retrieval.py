"""The retrieval table: models by recall in both directions, the best marked, and those not significantly worse."""

from collections.abc import Sequence
from dataclasses import replace

from vlmbench.metrics.spec import of
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import named_runs, place_labels, refusals, unique
from vlmbench.report.marks import NOTE, Marks
from vlmbench.report.pairs import Pairs, untested
from vlmbench.report.table import Cell, Column, Table, metric_cell
from vlmbench.report.tables.foreign import RETRIEVAL, with_retrieval

HEAD = (Column("dataset", "dataset"), Column("model", "model"), Column("n", "n"))


def retrieval_table(
    runs: Sequence[StoredRun], pairs: Pairs | None = None, foreign: Sequence[Foreign] = ()
) -> Table | None:
    """The table over the retrieval runs among `runs`; none where there are none.

    Args:
        runs: any runs.
        pairs: reads per-sample files for paired tests; none leaves tests and marks out.
        foreign: results of another program, shown beside.
    """
    chosen = unique(run for run in runs if run.record.task == "retrieval")
    if not chosen and not any(result.task == RETRIEVAL for result in foreign):
        return None
    metrics = [Column(spec.name, spec.title, True) for spec in of("retrieval")]
    places = named_runs(chosen, "retrieval")
    labels = place_labels(sorted(places))
    rows: list[list[Cell]] = []
    marks = Marks(rows, [column.key for column in metrics], len(HEAD))
    for place, there in places.items():
        start = len(rows)
        for label, run in there:
            head = [Cell(text=labels[place]), Cell(text=label), Cell(text=str(place.n), runs=(run,))]
            rows.append(head + [metric_cell(run, column.key) for column in metrics])
        if pairs is not None:
            marks.best(start, [run for _, run in there], pairs.differences)
    notes = [
        "Figures are times 100, with 95 % intervals in brackets; R@k: the share of queries whose answer is among the k "
        "nearest."
    ]
    if marks.tied():
        notes.append(NOTE.format(test="McNemar's exact test, or paired bootstrap over images for text to image"))
    refused = refusals(places)
    notes += [*(untested(chosen) if pairs is not None and len(rows) > 1 else []), *refused]
    columns = (*HEAD, *metrics)
    rows, theirs = with_retrieval(rows, foreign, columns, {labels[place]: place for place in places})
    table = Table("retrieval", "Image-text retrieval", columns, tuple(map(tuple, rows)), (*notes, *theirs))
    table = table.without_empty_columns() if theirs else table
    return replace(table, about=refused, refused=tuple(refused))
