"""Every pair of systems on the same images: the difference in each metric, its interval, and a Holm-corrected p."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

from vlmbench.metrics.differences import Difference
from vlmbench.metrics.spec import better, caption_specs, of, title
from vlmbench.records.store import StoredRun
from vlmbench.records.task import specs_of
from vlmbench.report.grouping import Place, named_runs, place_labels, unique
from vlmbench.report.marks import Differences
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, Column, Table
from vlmbench.report.tables.caption_blocks import caption_blocks
from vlmbench.report.tables.classification import p_text
from vlmbench.report.tables.rows import classification_rows

COLUMNS = (
    Column("dataset", "dataset"),
    Column("task", "task"),
    Column("metric", "metric"),
    Column("first", "first"),
    Column("second", "second"),
    Column("n", "n"),
    Column("difference", "first − second", True),
    Column("p_holm", "p (Holm)", True),
    Column("p_swapped_holm", "p by swaps (Holm)", True),
)


@dataclass(frozen=True)
class Compared:
    """Two systems, one metric."""

    place: Place
    task: str
    metric: str
    first: str
    second: str
    runs: tuple[StoredRun, StoredRun]
    difference: Difference


def compared(runs: Sequence[StoredRun], pairs: Pairs) -> list[Compared]:
    """Every pair of systems of one task that can be compared; other prompts or class names make another system."""
    chosen = unique(runs)
    found: list[Compared] = []
    rows = classification_rows(chosen)
    for task, attribute in (("zero-shot", "zero"), ("probe", "full")):
        entries: dict[Place, dict[str, tuple[str, StoredRun]]] = {}
        for row in rows:
            run: StoredRun | None = getattr(row, attribute)
            if run is not None and pairs.has(run):
                entries.setdefault(row.place, {}).setdefault(str(run.path), (row.label, run))
        for place, there in sorted(entries.items()):
            for (one, first), (two, second) in combinations(there.values(), 2):
                for metric, difference in pairs.differences(first, second, [place.metric]).items():
                    found.append(Compared(place, task, metric, one, two, (first, second), difference))
    for block in caption_blocks(chosen, pairs):
        names = [spec.name for spec in of("captions") if spec.name not in block.apart]
        tests = partial(pairs.differences, images=block.images)
        found += _every_two(block.place, "captions", block.systems, names, pairs, tests)
    for spec in specs_of({run.record.task for run in chosen}):
        if spec.family not in ("classification", "captions"):
            names = [metric.name for metric in of(spec.family) if metric.test is not None]
            own = [run for run in chosen if run.record.task == spec.name]
            for place, systems in named_runs(own if names else []).items():
                found += _every_two(place, spec.name, systems, names, pairs, pairs.differences)
    return found


def _every_two(
    place: Place,
    task: str,
    systems: Sequence[tuple[str, StoredRun]],
    names: Sequence[str],
    pairs: Pairs,
    differences: Differences,
) -> list[Compared]:
    found = []
    for (one, first), (two, second) in combinations([item for item in systems if pairs.has(item[1])], 2):
        shared = [name for name in names if name in first.record.metrics and name in second.record.metrics]
        for name, difference in differences(first, second, shared).items() if shared else ():
            found.append(Compared(place, task, name, one, two, (first, second), difference))
    return found


def comparisons_table(runs: Sequence[StoredRun], pairs: Pairs) -> Table | None:
    """The comparisons as a table, Holm-corrected over all of it; None if no two systems can be compared."""
    found = compared(runs, pairs)
    if not found:
        return None
    from vlmbench.metrics.stats.paired import holm

    labels = place_labels(sorted({item.place for item in found}))
    rows = []
    corrected = holm([item.difference.p for item in found])
    swapped = iter(holm([item.difference.p_swapped for item in found if item.difference.p_swapped is not None]))
    for item, p in zip(found, corrected, strict=True):
        gap = item.difference
        again = next(swapped) if gap.p_swapped is not None else None
        metric = title(item.metric) if item.task == "captions" else item.metric
        texts = (labels[item.place], item.task, metric, item.first, item.second)
        difference = Cell(value=gap.value, low=gap.low, high=gap.high, runs=item.runs, signed=True, p=p)
        ps = [Cell() if q is None else Cell(p_text(q), runs=item.runs, p=q) for q in (p, again)]
        rows.append((*map(Cell, texts), Cell(str(item.place.n)), difference, *ps))
    swaps = any(item.difference.p_swapped is not None for item in found)
    both = "; by swaps: approximate randomization (captions). Both" if swaps else ","
    notes = (
        "Figures are times 100, with 95 % intervals in brackets, by paired bootstrap over the same images.",
        "p: McNemar's exact test (accuracy), DeLong's (ROC AUC) or the paired bootstrap"
        f"{both} Holm-corrected over this table.",
    )
    table = Table("comparisons", "Pairwise comparisons", COLUMNS, tuple(rows), notes).without_empty_columns()
    chosen = tuple(matrix.against_best(other) for matrix in matrices(table) for other in range(1, len(matrix.systems)))
    if len(chosen) == len(rows):
        return table
    words = "The best system against each other, by one metric; the other pairs and metrics are in comparisons.csv."
    brief = replace(table, title="Pairwise comparisons with the best", rows=chosen, notes=(words, *notes))
    return replace(table, brief=brief)


@dataclass(frozen=True)
class Matrix:
    """All systems on a dataset by one metric, the best first."""

    dataset: str
    task: str
    metric: str
    systems: tuple[str, ...]
    pairs: Mapping[tuple[int, int], tuple[Cell, ...]]
    """The table's row of two systems, by their places."""

    def cell(self, row: int, column: int) -> Cell:
        """How much better than the system of a column the one of a row is; empty if they are not compared."""
        if (row, column) in self.pairs:
            return _difference(self.pairs[row, column])
        if (column, row) not in self.pairs:
            return Cell()
        found = _difference(self.pairs[column, row])
        value, low, high = (None if one is None else -one for one in (found.value, found.high, found.low))
        return replace(found, value=value, low=low, high=high)

    def against_best(self, other: int) -> tuple[Cell, ...]:
        """The table's row of the best system and another, the best first."""
        if (0, other) in self.pairs:
            return self.pairs[0, other]
        row = self.pairs[other, 0]
        first, second = row[4], row[3]
        return (*row[:3], first, second, *(self.cell(0, other) if cell.signed else cell for cell in row[5:]))


def matrices(table: Table) -> list[Matrix]:
    """One for each dataset and task of the comparisons, by the metric that ranks systems: CIDEr, if it is there."""
    order = {title(spec.name): spec.prominence for spec in caption_specs() if spec.prominence}
    groups: dict[tuple[str, ...], dict[str, list[tuple[Cell, ...]]]] = {}
    for row in table.rows:
        groups.setdefault((row[0].text, row[1].text), {}).setdefault(row[2].text, []).append(row)
    found = []
    for (dataset, task), metrics in groups.items():
        metric = min(metrics, key=lambda name: order.get(name, len(order) + 1))
        ahead: dict[str, float] = {}
        labels: dict[str, str] = {}
        for row in metrics[metric]:
            gap = _difference(row)
            for label, run, sign in zip((row[3].text, row[4].text), gap.runs, (1, -1), strict=True):
                labels[str(run.path)] = label
                difference = better(metric.lower().replace("-", "_"), sign * (gap.value or 0.0))
                ahead[str(run.path)] = ahead.get(str(run.path), 0.0) + difference
        ranked = sorted(ahead, key=lambda path: -ahead[path])
        place = {path: number for number, path in enumerate(ranked)}
        pairs = {}
        for row in metrics[metric]:
            one, two = (place[str(run.path)] for run in _difference(row).runs)
            pairs[one, two] = row
        found.append(Matrix(dataset, task, metric, tuple(labels[path] for path in ranked), pairs))
    return found


def _difference(row: Sequence[Cell]) -> Cell:
    return next(cell for cell in row if cell.signed)
