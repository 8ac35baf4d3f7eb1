"""The retrieval table: models by recall in both directions."""

from collections.abc import Sequence

from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import unique, variants
from vlmbench.report.table import Cell, Column, Table, metric_cell

HEAD = (Column("dataset", "dataset"), Column("model", "model"), Column("n", "n"))
COLUMNS = tuple(
    Column(f"{direction}_recall_{k}", f"{title} R@{k}", True)
    for direction, title in (("image_to_text", "image to text"), ("text_to_image", "text to image"))
    for k in (1, 5, 10)
)


def retrieval_table(runs: Sequence[StoredRun]) -> Table | None:
    """The table over the retrieval runs among `runs`; none where there are none."""
    chosen = unique(run for run in runs if run.record.task == "retrieval")
    if not chosen:
        return None
    rows = []
    places = [(run.record.dataset.id, run.record.dataset.split, run.record.n) for run in chosen]
    for place in sorted(set(places)):
        there = [run for run, own in zip(chosen, places, strict=True) if own == place]
        for system in dict.fromkeys(run.record.system for run in there):
            groups = variants([run for run in there if run.record.system == system], lambda run: 0)
            for label, members in groups.items():
                run = members[0]
                name = system + (f" ({label})" if label else "")
                head = (Cell(text=place[0]), Cell(text=name), Cell(text=str(place[2]), runs=(run,)))
                rows.append((*head, *(metric_cell(run, column.key) for column in COLUMNS)))
    notes = (
        "Figures are times 100, with 95 % intervals in brackets; R@k: the share of queries whose answer is among the k "
        "nearest.",
    )
    return Table("retrieval", "Image-text retrieval", (*HEAD, *COLUMNS), tuple(rows), notes)
