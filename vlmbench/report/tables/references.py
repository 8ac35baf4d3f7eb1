"""The reference rows of a classification table: what the most frequent class and chance score.

They are computed from the number of images of each class in the runs' records or per-sample files; they are not
systems, so they are never marked, tested or gated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlmbench.metrics.choice import deciding, multilabel_only
from vlmbench.metrics.spec import classification_specs
from vlmbench.records.classification import ClassificationDetail, ClassificationProtocol, ProbeDetail
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import Place
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vlmbench.report.tables.rows import Row


@dataclass(frozen=True)
class Known:
    """The references of one place."""

    values: dict[str, float]
    """By `metrics.reference.MAJORITY` and `CHANCE`; references that make no sense are left out."""
    source: StoredRun
    """The run whose labels were counted."""
    trained: bool
    """Whether the most frequent class is that of the training split, not of the images scored."""
    unbalanced: str
    """In words, how much larger the largest class is; empty if the classes are balanced."""

    def label(self, name: str) -> str:
        """The text in the column of models."""
        from vlmbench.metrics.reference import MAJORITY

        majority = "majority class of train" if self.trained else "majority class"
        return f"reference: {majority if name == MAJORITY else name}"


def known_references(runs: Iterable[tuple[Place, StoredRun]], pairs: Pairs | None) -> dict[Place, Known]:
    """The references of each place; a place without a run that knows its classes has none.

    Args:
        runs: places with their runs.
        pairs: reads per-sample files if a record lacks the counts; None: they are not read.

    Raises:
        InputError: a per-sample file cannot be read.
    """
    places: dict[Place, list[StoredRun]] = {}
    for place, run in runs:
        places.setdefault(place, []).append(run)
    found = {}
    for place, there in places.items():
        known = _known(place, there, pairs)
        if known is not None:
            found[place] = known
    return found


def with_references(
    rows: "Sequence[Row]", cells: list[list[Cell]], known: Mapping[Place, Known], columns: Sequence[Column]
) -> list[list[Cell]]:
    """The table's lines, with the references of each place after its lines, in the columns that have figures there.

    Args:
        rows: the table's rows, sorted by place.
        cells: the cells of each row.
        known: the references by place.
        columns: the columns; the first ones, without figures, identify the line.
    """
    found = []
    head = next(index for index, column in enumerate(columns) if column.figures)
    figures = [index for index, column in enumerate(columns) if column.key in {"zero_shot", "probe"}]
    for index, (row, line) in enumerate(zip(rows, cells, strict=True)):
        found.append(line)
        if row.place not in known or (index + 1 < len(rows) and rows[index + 1].place == row.place):
            continue
        there = [line for other, line in zip(rows, cells, strict=True) if other.place == row.place]
        references = known[row.place]
        for name, value in references.values.items():
            shown = Cell(value=value, runs=(references.source,), reference=name)
            blank = [*line[:head], *(Cell() for _ in columns[head:])]
            blank[1] = Cell(text=references.label(name))
            blank[2] = replace(blank[2], runs=())
            for at in figures:
                if any(other[at].is_figure for other in there):
                    blank[at] = shown
            if any(cell.is_figure for cell in blank):
                found.append(blank)
    return found


def notes_of_datasets(
    rows: "Sequence[Row]", labels: Mapping[Place, str], known: Mapping[Place, Known]
) -> dict[str, str]:
    """Notes on single datasets, each with the dataset's id: unbalanced classes, figures no better than a reference."""
    from vlmbench.metrics.reference import not_better

    found = {}
    for row in rows:
        references = known.get(row.place)
        if references is not None and references.unbalanced:
            found[f"{labels[row.place]}: {references.unbalanced}."] = row.place.dataset
        below = row.unbeaten(references)
        if below is not None:
            lost = "; labels per class to match it are not given" if row.shots else ""
            found[f"{labels[row.place]}: zero-shot of {row.label} is {not_better(*below)}{lost}."] = row.place.dataset
        for run in (row.full, *row.shots.values()):
            by = run.record.detail.search_metric if run and isinstance(run.record.detail, ProbeDetail) else None
            if by not in {None, row.place.metric}:
                sentence = f"{labels[row.place]}: the strength of {row.label}'s probe was chosen by {by}"
                found[f"{sentence}; linear-probe --metric {row.place.metric} chooses it by that metric."] = (
                    row.place.dataset
                )
    return found


def _known(place: Place, runs: Sequence[StoredRun], pairs: Pairs | None) -> Known | None:
    from vlmbench.metrics.reference import references

    for run in runs:
        counts = _test_counts(run, pairs)
        if counts is None:
            continue
        trained = (_train_counts(other, len(counts)) for other in runs)
        train = next((found for found in trained if found is not None), None)
        several = any(multilabel_only(name) for name in run.record.metrics)
        values = references(place.metric, counts, run.record.n, train=train, multilabel=several)
        words = "" if several else _unbalanced(counts, place.metric)
        return Known(values, run, train is not None, words)
    return None


def _test_counts(run: StoredRun, pairs: Pairs | None) -> "NDArray[Any] | None":
    """Test images with each class `[C]`: from the record's per-class figures, else from the per-sample file."""
    import numpy as np

    from vlmbench.metrics.reference import class_counts

    detail, protocol = run.record.detail, run.record.protocol
    if isinstance(detail, ClassificationDetail) and detail.per_class:
        shown = np.array([row.n for row in detail.per_class], dtype=np.int64)
        return shown // max(1, int(shown.sum()) // max(1, run.record.n))  # a few-shot run sums over seeds
    if pairs is None or not pairs.has(run):
        return None
    columns = pairs.columns(run)
    if "labels" in columns:
        return class_counts(np.stack(list(columns["labels"])), 0)
    labels = columns["label"]
    if "seed" in columns:
        labels = labels[columns["seed"] == columns["seed"][0]]
    names = protocol.classnames if isinstance(protocol, ClassificationProtocol) else None
    return class_counts(labels, len(names or ()))


def _train_counts(run: StoredRun, classes: int) -> "NDArray[Any] | None":
    import numpy as np

    counts = run.record.detail.train_class_counts if isinstance(run.record.detail, ProbeDetail) else None
    return np.array(counts, dtype=np.int64) if counts is not None and len(counts) == classes else None


def _unbalanced(counts: "NDArray[Any]", metric: str) -> str:
    """Unbalanced: `metrics.reference.imbalance` above `UNBALANCED`, for metrics that the largest class decides."""
    from vlmbench.metrics.reference import UNBALANCED, imbalance

    times = imbalance(counts)
    fit = [
        spec for spec in classification_specs() if spec.fits(len(counts), multilabel=False) and spec.name in deciding()
    ]
    if times <= UNBALANCED or metric not in {spec.name for spec in fit if spec.largest_class_decides}:
        return ""
    other = " or ".join(spec.name for spec in fit if spec.name in deciding() and not spec.largest_class_decides)
    return (
        f"the largest class has {100 * int(counts.max()) / int(counts.sum()):.0f} % of the images, {times:.1f} times "
        f"the mean of the others (unbalanced above {UNBALANCED:g}), so accuracy mostly reflects that class; "
        f"--metric {other} weights the classes equally; vlmbench compare takes it too, for existing runs"
    )
