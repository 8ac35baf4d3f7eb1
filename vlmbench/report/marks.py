"""The best of each column among comparable rows, and those that are not significantly worse."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from vlmbench.metrics.differences import LEVEL, Difference
from vlmbench.metrics.spec import better, find
from vlmbench.records.store import StoredRun
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, Mark

Differences = Callable[[StoredRun, StoredRun, Sequence[str]], Mapping[str, Difference]]
"""The paired differences of metrics, first run minus second."""

NOTE = (
    "Bold or *: best of its column on the dataset; =: not significantly worse ({test}, Holm-corrected over the table)."
)


class Marks:
    """Marks the cells of a table with one row per run, whose last columns are metrics.

    Holm's correction is over all tests of the table: call `best` for every group of comparable rows, then `tied`.

    Args:
        rows: the table's rows, changed in place.
        names: the metrics, in the order of their columns.
        first: the column of the first of them.
    """

    def __init__(self, rows: list[list[Cell]], names: Sequence[str], first: int) -> None:
        self._rows = rows
        self._columns = {name: first + index for index, name in enumerate(names)}
        self._tests: list[tuple[int, int, float]] = []

    def best(
        self,
        start: int,
        runs: Sequence[StoredRun],
        differences: Differences,
        apart: Collection[str] = (),
    ) -> None:
        """Marks the best of each metric among `runs`, whose rows begin at `start`, and tests the others against it.

        Metrics in `apart` are not comparable between these runs and get no marks.
        """
        top: dict[int, list[str]] = {}
        for name, column in self._columns.items():
            values = {
                index: better(name, value)
                for index, run in enumerate(runs)
                if (value := self._rows[start + index][column].value) is not None and Pairs.has(run)
            }
            if len(values) > 1 and name not in apart and find(name) is not None:
                top.setdefault(max(values, key=values.__getitem__), []).append(name)
        for place, wanted in top.items():
            for name in wanted:
                self._mark(start + place, self._columns[name], "best")
            for index, run in enumerate(runs):
                shared = [name for name in wanted if name in run.record.metrics]
                if index == place or not shared or not Pairs.has(run):
                    continue
                for name, found in differences(runs[place], run, shared).items():
                    self._tests.append((start + index, self._columns[name], found.p))

    def tied(self) -> bool:
        """Marks what is not significantly worse than the best; returns whether there was anything to test."""
        if not self._tests:
            return False
        from vlmbench.metrics.stats.paired import holm

        for (row, column, _), p in zip(self._tests, holm([p for _, _, p in self._tests]), strict=True):
            if p >= LEVEL:
                self._mark(row, column, "tied")
        return True

    def _mark(self, row: int, column: int, mark: Mark) -> None:
        self._rows[row][column] = replace(self._rows[row][column], mark=mark)
