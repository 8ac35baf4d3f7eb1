"""The table of metric-eval: metrics by their agreement with people."""

from collections.abc import Sequence

from vlmbench.metrics.spec import of, title
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import unique, variants
from vlmbench.report.table import Cell, Column, Table, metric_cell

HEAD = (
    Column("judgements", "judgements"),
    Column("metric", "metric"),
    Column("n", "images"),
    Column("ratings", "ratings"),
)
_USUAL = {"b": "τ-b", "c": "τ-c"}


def agreement_table(runs: Sequence[StoredRun]) -> Table | None:
    """The table over the metric-eval runs among `runs`; none where there are none."""
    chosen = unique(run for run in runs if run.record.task == "metric-eval")
    if not chosen:
        return None
    order = {spec.name: place for place, spec in enumerate(of("captions"))}
    columns = [Column(spec.name, spec.title, True) for spec in of("metric-eval")]
    rows = []
    notes = [
        "Figures are times 100, with 95 % intervals in brackets: bootstrap over images, with all their judgements."
    ]
    sets = dict.fromkeys((run.record.dataset.id, run.record.dataset.fingerprint) for run in chosen)
    names = [name for name, _ in sets]
    for name, content in sets:
        there = [run for run in chosen if (run.record.dataset.id, run.record.dataset.fingerprint) == (name, content)]
        shown = name if names.count(name) == 1 else f"{name} (content {content[:8]})"
        for system in sorted(dict.fromkeys(run.record.system for run in there), key=lambda one: order.get(one, 99)):
            groups = variants([run for run in there if run.record.system == system], lambda run: 0)
            for label, (run, *_) in groups.items():
                record = run.record
                called = title(system) + (f" ({label})" if label else "")
                count = Cell(text=str(record.protocol.get("judgements", "")))
                head = (Cell(text=shown), Cell(text=called), Cell(text=str(record.n), runs=(run,)), count)
                rows.append((*head, *(_tau(run, column.key) for column in columns)))
        usual = there[0].record.protocol.get("tau")
        if isinstance(usual, str) and usual in _USUAL:
            notes.append(f"{shown}: papers report {_USUAL[usual]}.")
    return Table("metric_eval", "Agreement of metrics with people", (*HEAD, *columns), tuple(rows), tuple(notes))


def _tau(run: StoredRun, name: str) -> Cell:
    cell = metric_cell(run, name)
    return cell if cell.is_figure else Cell(text="not defined")
