"""Under shift: what probes and zero-shot lose from the training set's own test split to another, and effective
robustness (Taori et al. 2020)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vlmbench.data.names import same_images
from vlmbench.foundations.errors import InputError
from vlmbench.metrics.choice import DEFAULT
from vlmbench.metrics.spec import find
from vlmbench.records.classification import TRAINED_ON, WITH_CLASSES_OF, ClassificationProtocol
from vlmbench.records.result import Record
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import Place, of_family, place_labels, unique, variants
from vlmbench.report.pairs import Pairs, same_order
from vlmbench.report.table import Cell, Column, Table, metric_cell
from vlmbench.report.tables.crossing import labels_to_match_cell
from vlmbench.report.tables.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vlmbench.metrics.shift import Robustness

PerImage = Callable[[Mapping[str, Any]], "NDArray[np.float64]"]

NAME, ZERO_SHOT, ALL_LABELS = "robustness", "zero-shot", "probe, all labels"
COLUMNS = (
    Column("dataset", "tested on"),
    Column("trained_on", "trained on"),
    Column("model", "model"),
    Column("classifier", "classifier"),
    Column("n", "n"),
    Column("metric", "metric"),
    Column("in_distribution", "in distribution", True),
    Column("shifted", "shifted", True),
    Column("loss", "loss", True),
    Column("extra_loss", "loss − zero-shot's loss", True),
    Column("effective_robustness", "effective robustness", True),
    Column("labels_to_match", "labels per class to match zero-shot, shifted", True),
)
NOTES = (
    "Figures are times 100, with 95 % intervals in brackets.",
    "In distribution: on the test split of the training set. Loss: in distribution minus shifted; its interval treats "
    "the two test sets as independent samples, unless they show the same images.",
    "Loss − zero-shot's loss: paired on the images of each test set.",
)
RESTRICTED = "Where a test set lacks classes, all figures of its rows are of the classes it has, in distribution too."
ROBUST = (
    "Effective robustness (Taori et al. 2020): shifted accuracy above the line fitted over the probes on logit axes; "
    "intervals by a bootstrap over images that fits the line again."
)
_OF_TEST_SET = {"classes_from", "class_map", "metric", "holdout"}
"""Fields of a protocol that may differ between the run in distribution and the shifted one."""


@dataclass(frozen=True)
class Point:
    """One classifier on both test sets.

    Attributes:
        model: the model, as in the column of that name.
        classifier: ``zero-shot``, ``probe, 4 labels per class``.
        run: its shifted run.
        own: its run in distribution.
        figures: its figures per image in distribution `[N]` and shifted `[M]`, by sorted image ids; a mean over seeds.
    """

    model: str
    classifier: str
    run: StoredRun
    own: StoredRun
    figures: "tuple[NDArray[np.float64], NDArray[np.float64]] | None" = None

    @property
    def zero_shot(self) -> bool:
        """Whether it needs no labels."""
        return self.classifier == ZERO_SHOT


@dataclass
class Shift:
    """All classifiers of one training set on one test set, on the same images of both.

    Attributes:
        place: where the shifted runs were scored.
        trained_on: the training set.
        metric: what is shown: the main metric, or accuracy where that is no mean over images.
        same: whether both test sets show the same images.
        points: in the order of the table.
        robustness: the line over the probes, and each point's distance above it; None: too few probes, or no per-sample
            files.
    """

    place: Place
    trained_on: str
    metric: str
    same: bool = False
    points: list[Point] = field(default_factory=list)
    robustness: "Robustness | None" = None

    def zero_shot_of(self, point: Point) -> Point | None:
        """The zero-shot classifier of a probe's model."""
        model = point.run.record.model
        return next((one for one in self.points if one.zero_shot and one.run.record.model == model), None)


def shifts(runs: Sequence[StoredRun], pairs: Pairs | None) -> list[Shift]:
    """The training and test sets of the shifted runs that have a run in distribution.

    Args:
        runs: any runs.
        pairs: reads per-sample files, for intervals and the line; None: there are none.

    Raises:
        InputError: a per-sample file cannot be read.
    """
    groups: dict[tuple[str, Place, Place], list[tuple[StoredRun, StoredRun]]] = {}
    for trained_on, run, own in _matched(runs):
        groups.setdefault((trained_on, Place.of(run.record), Place.of(own.record)), []).append((run, own))
    found = []
    for (trained_on, place, home), both in sorted(groups.items()):
        found.append(_shift(trained_on, place, home, both, pairs))
    return found


def without_shifted(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """The runs but those on other test sets, and by fewer classes in distribution, which this table shows."""
    both = _matched(runs)
    fewer = (own for _, _, own in both if _protocol(own.record).left_out_classes)
    shown = {run.path for run in (*(run for _, run, _ in both), *fewer)}
    return [run for run in runs if run.path not in shown]


def robustness_table(runs: Sequence[StoredRun], pairs: Pairs | None) -> Table | None:
    """The table of the shifted runs among `runs`; None if there are none with a run in distribution."""
    if not any(_protocol(run.record).classes_from for run in runs):
        return None
    found = shifts(runs, pairs)
    labels = place_labels(sorted({shift.place for shift in found}))
    rows = [tuple(cells) for shift in found for cells in _rows(shift, labels[shift.place])]
    restricted = any(_protocol(point.run.record).left_out_classes for shift in found for point in shift.points)
    explains = {NOTES[-1]: "extra_loss", ROBUST: "effective_robustness"}
    table = Table(NAME, "Under shift", COLUMNS, tuple(rows), explains=explains).without_empty_columns()
    there = {None, *(column.key for column in table.columns)}
    notes = [*NOTES, *([RESTRICTED] if restricted else []), ROBUST]
    return replace(table, notes=tuple(note for note in notes if explains.get(note) in there)) if rows else None


def classifier(record: Record) -> str:
    """``zero-shot``; ``probe, all labels``; ``probe, 4 labels per class``."""
    if record.spec.role == ZERO_SHOT:
        return ZERO_SHOT
    return ALL_LABELS if record.shots is None else f"probe, {record.shots} label{'s' * (record.shots > 1)} per class"


def bare_system(record: Record) -> str:
    """The system without the words that say which other dataset it was trained on, or has the classes of."""
    name, other = record.system, classes_from(record)
    for words in (TRAINED_ON, WITH_CLASSES_OF) if other else ():
        name = name.removesuffix(words.format(other))
    return name


def classes_from(record: Record) -> str | None:
    """The dataset whose classes are told apart, where it is not the one tested on."""
    return _protocol(record).classes_from


def _matched(runs: Sequence[StoredRun]) -> list[tuple[str, StoredRun, StoredRun]]:
    """The shifted runs that have a run in distribution, with it, each with the training set."""
    chosen = unique(of_family(runs, "classification"))
    at_home: dict[str, StoredRun] = {}
    for run in chosen:
        if not _protocol(run.record).classes_from:
            at_home.setdefault(_key(run.record, run.record.dataset.id), run)
    found = []
    for run in chosen:
        trained_on = _protocol(run.record).classes_from
        own = at_home.get(_key(run.record, trained_on)) if trained_on else None
        if trained_on and own is not None:
            found.append((trained_on, run, own))
    return found


def _shift(
    trained_on: str, place: Place, home: Place, both: Sequence[tuple[StoredRun, StoredRun]], pairs: Pairs | None
) -> Shift:
    metric, per_image = _averaged(place.metric)
    shift = Shift(place, trained_on, metric)
    own_of = {str(run.path): own for run, own in both}
    named: list[tuple[str, str, StoredRun]] = []
    models: dict[str, list[StoredRun]] = {}
    for run, _ in both:
        models.setdefault(bare_system(run.record), []).append(run)
    for model, group in models.items():
        for label, members in variants(group, lambda run: (run.record.task, run.record.shots)).items():
            named += [(model + (f" ({label})" if label else ""), classifier(run.record), run) for run in members]
    named.sort(
        key=lambda item: (item[0], item[1] != ZERO_SHOT, item[2].record.shots is None, item[2].record.shots or 0)
    )
    there = pairs if pairs is not None and all(pairs.has(run, own) for run, own in both) else None
    for model, words, run in named:
        own = own_of[str(run.path)]
        figures = None if there is None else (_figures(own, per_image, there), _figures(run, per_image, there))
        shift.points.append(Point(model, words, run, own, figures))
    if there is not None:
        _measure(shift, home, there)
    return shift


def _averaged(metric: str) -> tuple[str, PerImage]:
    """A metric that is a mean over images, with the function that gives each image's figure: this one if it is."""
    for name in (metric, DEFAULT):
        spec = find(name)
        if spec is not None and spec.per_image is not None:
            return name, spec.per_image
    raise InputError(f"no metric is a mean over images: {metric}")


def _measure(shift: Shift, home: Place, pairs: Pairs) -> None:
    import numpy as np

    from vlmbench.metrics.shift import effective_robustness

    first = shift.points[0]
    if same_images(shift.trained_on, shift.place.dataset):
        ids = [np.unique(pairs.columns(run)["id"].astype(str)) for run in (first.own, first.run)]
        shift.same = home.split == shift.place.split and same_order(*ids) is not None
    own, shifted = (np.stack([point.figures[side] for point in shift.points if point.figures], 1) for side in (0, 1))
    shift.robustness = effective_robustness(own, shifted, np.array([not point.zero_shot for point in shift.points]))


def _figures(run: StoredRun, per_image: PerImage, pairs: Pairs) -> "NDArray[np.float64]":
    """A figure for each image, by sorted ids; the mean over the seeds of a few-shot run."""
    from vlmbench.metrics.differences import mean_by_image

    columns = pairs.columns(run)
    return mean_by_image(columns["id"], per_image(columns))


def _rows(shift: Shift, label: str) -> list[list[Cell]]:
    from vlmbench.metrics.shift import Change, extra_loss, loss

    rows = []
    above: Sequence[Change | None] = shift.robustness.above if shift.robustness else [None] * len(shift.points)
    for point, robust in zip(shift.points, above, strict=True):
        both, zero = (point.run, point.own), shift.zero_shot_of(point)
        lost, more = Cell(), Cell()
        if point.figures is not None:
            lost = _changed(loss(*point.figures, same_images=shift.same), both)
            if zero is not None and zero.figures is not None and not point.zero_shot:
                own, shifted = zip(point.figures, zero.figures, strict=True)
                more = _changed(extra_loss(own, shifted, same_images=shift.same), (*both, zero.run, zero.own))
        rows.append(
            [
                Cell(text=label),
                Cell(text=shift.trained_on),
                Cell(text=point.model),
                Cell(text=point.classifier),
                Cell(text=str(shift.place.n), runs=both),
                Cell(text=shift.metric),
                metric_cell(point.own, shift.metric),
                metric_cell(point.run, shift.metric),
                lost,
                more,
                Cell() if robust is None else _changed(robust, both),
                _labels_to_match(shift, point, zero),
            ]
        )
    return rows


def _labels_to_match(shift: Shift, point: Point, zero: Point | None) -> Cell:
    """On the row of the probe on all labels: the labels at which the shifted curve reaches shifted zero-shot."""
    if zero is None or point.classifier != ALL_LABELS:
        return Cell()
    probes = [one.run for one in shift.points if one.model == point.model and not one.zero_shot]
    row = Row(shift.place, point.model, zero.run, probes)
    return labels_to_match_cell(row, row.zero)


def _changed(change: Any, runs: tuple[StoredRun, ...]) -> Cell:
    return Cell(value=change.value, low=change.low, high=change.high, runs=runs, signed=True)


def _protocol(record: Record) -> ClassificationProtocol:
    protocol = record.protocol
    return protocol if isinstance(protocol, ClassificationProtocol) else ClassificationProtocol()


def _key(record: Record, trained_on: str | None) -> str:
    """What a run in distribution and a shifted run of one classifier have in common."""
    protocol = {name: value for name, value in record.protocol.values().items() if name not in _OF_TEST_SET}
    model = record.model.model_dump(mode="json") if record.model else None
    return json.dumps([record.task, model, trained_on, record.shots, record.seed, protocol], sort_keys=True)
