"""A table as plain data: the source of the four file formats and of the terminal's tables.

Every figure refers to the run it came from, so that a reader or a test can trace it. Values are as in the records
(fractions 0 to 1, CIDEr 0 to 10); they are multiplied by 100 when shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from vlmbench.records.result import Metric
from vlmbench.records.store import StoredRun

Mark = Literal["", "best", "tied"]

MARKS = {"": "", "best": "*", "tied": "="}
"""Best among comparable figures; not significantly worse than the best."""
MEANS = "means"


@dataclass(frozen=True)
class Cell:
    """One cell: text, or a figure with its interval and the runs behind it."""

    text: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    runs: tuple[StoredRun, ...] = ()
    """The runs that the figure comes from: one, two for a difference, several for a mean."""
    p: float | None = None
    """The p-value of a difference, Holm-corrected over the table's tests."""
    mark: Mark = ""
    signed: bool = False
    scale: float = 100.0
    mean: bool = False
    """Whether the figure is a mean over datasets."""
    reference: str = ""
    """For a reference figure, which comes from no system: ``majority`` or ``chance``."""
    open_interval: str = ""
    """The interval in words, if an end lies outside what was measured (``< 1 to 2.1``)."""
    source: str = ""
    """The source of a figure that comes from no run of ours."""
    remark: str = ""
    """A remark on this figure."""

    @property
    def is_figure(self) -> bool:
        """Whether the cell holds a number."""
        return self.value is not None

    def figure(self, digits: int = 1) -> str:
        """The number as shown: times `scale`, rounded; a difference has its sign."""
        if self.value is None:
            return ""
        return f"{self.value * self.scale:{'+' if self.signed else ''}.{digits}f}"

    def interval(self, digits: int = 1) -> str:
        """``[89.2, 90.4]``, or nothing if there is no interval."""
        if self.low is None or self.high is None:
            return f"[{self.open_interval}]" if self.open_interval else ""
        sign = "+" if self.signed else ""
        return f"[{self.low * self.scale:{sign}.{digits}f}, {self.high * self.scale:{sign}.{digits}f}]"

    def lines(self) -> list[str]:
        """The cell for a terminal: the figure with its mark, and its interval below."""
        if not self.is_figure and not self.open_interval:
            return [self.text]
        figure = (self.text or self.figure()) + MARKS[self.mark]
        return [figure, interval] if (interval := self.interval()) else [figure]


@dataclass(frozen=True)
class Column:
    """A column's key (as in the CSV's header), its title, and whether it holds figures."""

    key: str
    title: str
    figures: bool = False


HEAD = (
    Column("dataset", "dataset"),
    Column("model", "model"),
    Column("n", "n"),
    Column("metric", "metric"),
)
"""The first columns of every table of classification."""


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of equal length, and the notes below."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    """The dataset of each note about a single dataset; ``MEANS`` for a note on the means."""
    explains: Mapping[str, str] = field(default_factory=dict)
    """The column key of each note that explains one column."""
    refused: tuple[str, ...] = ()
    """The notes that say which runs are not shown side by side, and why."""
    extra: tuple["Table", ...] = field(default=())
    """Further tables of the same file (few-shot curves); a CSV joins their columns to this one's rows."""
    brief: "Table | None" = None
    """The rows that matter most: what a terminal and LaTeX show of a long table."""

    def without_empty_columns(self) -> "Table":
        """The same without empty figure columns."""
        keep = [
            index
            for index, column in enumerate(self.columns)
            if not column.figures or any(row[index].is_figure or row[index].text for row in self.rows)
        ]
        return replace(
            self,
            columns=tuple(self.columns[index] for index in keep),
            rows=tuple(tuple(row[index] for index in keep) for row in self.rows),
        )

    def with_figures(self) -> "Table":
        """The same without rows that have no figure: those of models with nothing but few-shot probes, which the
        table of these shows, and the references of datasets with no other row."""
        at = [index for index, column in enumerate(self.columns) if column.figures]
        if not self.extra:
            return self
        full = [any(row[index].is_figure for index in at) for row in self.rows]
        own = {
            row[0].text
            for row, shown in zip(self.rows, full, strict=True)
            if shown and not any(cell.reference for cell in row)
        }
        rows = tuple(row for row, shown in zip(self.rows, full, strict=True) if shown and row[0].text in own)
        return replace(self, rows=rows) if len(rows) < len(self.rows) else self

    def shown(self) -> "tuple[Table, ...]":
        """The table, unless no row has a figure, and its further tables."""
        own = self.with_figures()
        return (own, *self.extra) if own.rows or not self.extra else self.extra

    def only(self, keys: Sequence[str]) -> "Table":
        """The same with only the figures of these columns, in this order; of a table with a row per metric, its rows.

        A table without any of them stays whole; of its further tables those that have one stay.
        """
        places = {column.key: place for place, column in enumerate(self.columns)}
        extra = tuple(one for one in self.extra if {column.key for column in one.columns} & set(keys))
        if "metric" in places and "difference" in places:
            at = places["metric"]
            rows = tuple(row for row in self.rows if row[at].text.lower().replace("-", "_") in keys)
            return replace(self, rows=rows or self.rows, brief=self.brief and self.brief.only(keys))
        chosen = [places[key] for key in keys if key in places and self.columns[places[key]].figures]
        if not chosen:
            return self
        chosen = [place for place, column in enumerate(self.columns) if not column.figures] + chosen
        rows = tuple(tuple(row[place] for place in chosen) for row in self.rows)
        columns = tuple(self.columns[place] for place in chosen)
        return replace(self, columns=columns, rows=rows, extra=tuple(one.only(keys) for one in extra))

    def without_intervals(self) -> "Table":
        """The same with figures alone."""
        rows = tuple(tuple(replace(cell, low=None, high=None, open_interval="") for cell in row) for row in self.rows)
        notes = tuple(note.replace(", with 95 % intervals in brackets", "") for note in self.notes)
        extra = tuple(one.without_intervals() for one in self.extra)
        return replace(self, rows=rows, notes=notes, extra=extra, brief=self.brief and self.brief.without_intervals())

    def with_runs(self, runs: Sequence[StoredRun]) -> "Table":
        """The same with only the rows (no means) that show one of `runs`, the references of their datasets, and
        the notes about them."""
        datasets = {run.record.dataset.id for run in runs}
        wanted = {str(run.path) for run in runs}
        shows = [
            any(str(run.path) in wanted for cell in row if not (cell.mean or cell.reference) for run in cell.runs)
            for row in self.rows
        ]
        names = {row[0].text for row, shown in zip(self.rows, shows, strict=True) if shown}
        rows = tuple(
            row
            for row, shown in zip(self.rows, shows, strict=True)
            if shown or (row[0].text in names and any(cell.reference for cell in row))
        )
        filled = {
            column.key
            for index, column in enumerate(self.columns)
            if any(row[index].is_figure or row[index].text for row in rows)
        }
        notes = tuple(
            note
            for note in self.notes
            if self.about.get(note) in {None, *datasets} and self.explains.get(note) in {None, *filled}
        )
        return replace(self, rows=rows, notes=notes, extra=tuple(table.with_runs(runs) for table in self.extra))

    def signatures(self) -> dict[str, int]:
        """Every signature behind a figure of the table and its tables of the same file, numbered from 1."""
        numbers: dict[str, int] = {}
        for table in (self, *self.extra):
            for row in table.rows:
                for cell in row:
                    for run in cell.runs:
                        numbers.setdefault(run.record.signature, len(numbers) + 1)
        return numbers


def metric_cell(run: StoredRun, name: str) -> Cell:
    """The cell of one metric of one run; empty if the run has no such metric."""
    metric: Metric | None = run.record.metrics.get(name)
    if metric is None:
        return Cell()
    return Cell(value=metric.value, low=metric.low, high=metric.high, runs=(run,))
