"""A table as plain data: what the four file formats and the terminal are written from.

Every figure keeps the run it came from, so that a reader, and a test, can trace it. Values are held as in the records
(fractions 0 to 1, CIDEr 0 to 10); they are multiplied by 100 where they are shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from vlmbench.records.result import Metric
from vlmbench.records.store import StoredRun

Mark = Literal["", "best", "tied"]

MARKS = {"": "", "best": "*", "tied": "="}
"""Best in its column among comparable rows; not significantly worse than the best."""
MEANS = "means"


@dataclass(frozen=True)
class Cell:
    """One cell: text, or a figure with its interval and the runs behind it."""

    text: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    runs: tuple[StoredRun, ...] = ()
    """The runs the figure is read from: one; or two for a difference; or several for a mean."""
    p: float | None = None
    """Of a difference: its p-value, Holm-corrected over the table's tests."""
    mark: Mark = ""
    signed: bool = False
    scale: float = 100.0
    mean: bool = False
    """Whether the figure is a mean over datasets."""
    reference: str = ""
    """Of a figure that no system has made: ``majority`` or ``chance``."""
    open_interval: str = ""
    """The interval in words, where an end of it lies outside what was measured (``< 1 to 2.1``)."""
    source: str = ""
    """Of a figure that no run of ours gave: where it comes from."""
    remark: str = ""
    """What has to be known of this one figure."""

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
        """``[89.2, 90.4]``, or nothing where there is no interval."""
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


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of equal length, and the notes that stand below."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    """Of a note that speaks of one dataset only, that dataset; ``MEANS`` for a note on the means."""
    explains: Mapping[str, str] = field(default_factory=dict)
    """Of a note that explains one column, the column's key."""
    refused: tuple[str, ...] = ()
    """Those of the notes that say which runs are not put side by side, and why."""
    extra: tuple["Table", ...] = field(default=())
    """Further tables of the same file (few-shot curves); a CSV joins their columns to this one's rows."""

    def without_empty_columns(self) -> "Table":
        """The same without the figure columns in which no row has anything."""
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

    def with_runs(self, runs: Sequence[StoredRun]) -> "Table":
        """The same with only the rows, other than means, that show one of `runs`, the references of their datasets, and
        the notes that speak of them."""
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
    """The cell of one metric of one run; empty where the run has no such metric."""
    metric: Metric | None = run.record.metrics.get(name)
    if metric is None:
        return Cell()
    return Cell(value=metric.value, low=metric.low, high=metric.high, runs=(run,))
