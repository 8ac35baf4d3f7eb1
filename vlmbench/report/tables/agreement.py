"""The table of agreement between metrics and people."""

from collections.abc import Sequence

from vlmbench.metrics.spec import of, title
from vlmbench.records.agreement import AgreementProtocol
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import of_family, unique, variants
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, Column, Table, metric_cell

HEAD = (
    Column("judgements", "judgements"),
    Column("metric", "metric"),
    Column("n", "images"),
    Column("ratings", "ratings"),
)
_USUAL = {"b": "τ-b", "c": "τ-c"}


def agreement_table(
    runs: Sequence[StoredRun], pairs: Pairs | None = None, foreign: Sequence[Foreign] = ()
) -> Table | None:
    """The table of the agreement runs among `runs`; None if there are none.

    Args:
        runs: any runs.
        pairs: unused: metrics are not tested against each other.
        foreign: unused: other programs have no results on agreement.
    """
    chosen = unique(of_family(runs, "agreement"))
    if not chosen:
        return None
    order = {spec.name: place for place, spec in enumerate(of("captions"))}
    columns = [Column(spec.name, spec.title, True) for spec in of("agreement")]
    rows = []
    notes = [
        "Figures are times 100, with 95 % intervals in brackets: bootstrap over images, each with all its judgements."
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
                count = Cell(text=str(_protocol(run).judgements or ""))
                head = (Cell(text=shown), Cell(text=called), Cell(text=str(record.n), runs=(run,)), count)
                rows.append((*head, *(_tau(run, column.key) for column in columns)))
        usual = _protocol(there[0]).tau
        if usual in _USUAL:
            notes.append(f"{shown}: papers report {_USUAL[usual]}.")
    return Table("metric_eval", "Agreement of metrics with people", (*HEAD, *columns), tuple(rows), tuple(notes))


def _protocol(run: StoredRun) -> AgreementProtocol:
    protocol = run.record.protocol
    return protocol if isinstance(protocol, AgreementProtocol) else AgreementProtocol()


def _tau(run: StoredRun, name: str) -> Cell:
    cell = metric_cell(run, name)
    return cell if cell.is_figure else Cell(text="not defined")
