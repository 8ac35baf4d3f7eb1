"""Figures of each class of a run; of two-class sets sensitivity, specificity and predictive values at a threshold.

Everything is computed from the per-sample files, so it stands for runs that were made before there were such tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible
from vlmbench.metrics.classification import MOST
from vlmbench.metrics.one_vs_rest import (
    AREA,
    RULES,
    areas,
    by_class,
    chosen_threshold,
    class_scores,
    counts_of,
    positive_scores,
)
from vlmbench.records.classification import ClassificationProtocol, ProbeDetail
from vlmbench.records.result import Metric
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import place_labels, unique
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, Column, Table
from vlmbench.report.tables.rows import Row, classification_rows

T = TypeVar("T")
PER_CLASS, TWO_CLASSES = "per_class", "two_classes"
THRESHOLD = 0.5
_HEAD = (Column("dataset", "dataset"), Column("model", "model"), Column("classifier", "classifier"))
_OF_CLASS = ("recall", "precision", "specificity", "f1")
_AT_POINT = ("recall", "specificity", "precision", "negative_predictive_value")
_TITLES = {"f1": "F1", "recall": "recall", "precision": "precision", "specificity": "specificity"}
_CLINICAL = {
    "recall": "sensitivity",
    "specificity": "specificity",
    "precision": "positive predictive value",
    "negative_predictive_value": "negative predictive value",
}
MEAN = "mean over classes"
INTERVALS = (
    "Each class against the rest: recall (sensitivity), precision, specificity and F1, with Wilson's score intervals; "
    "that of F1 is the one for true positives among all images with the class or predicted to have it, transformed. "
    "Empty: a share of no images."
)
AREAS = (
    "ROC AUC: of each class against the rest, by its probability, and the mean over classes; Newcombe's intervals "
    "(2006), of the mean never narrower than DeLong's. Of two classes: as in the record, by the bootstrap."
)


@dataclass(frozen=True)
class OperatingPoint:
    """Which class of two is positive (None: the second), and from which probability on (None: one half).

    With a `rule` of `one_vs_rest.RULES`, `threshold` is what it asks for, and each probe has a threshold of its own,
    chosen on its validation images.
    """

    positive: str | None = None
    threshold: float | None = None
    rule: str = ""

    @classmethod
    def parse(cls, positive: str | None, threshold: float | str | None) -> Self:
        """From ``0.3``, ``sensitivity=0.95``, ``specificity=0.9`` or ``youden``.

        Raises:
            UsageError: it is none of these, or no number from 0 to 1.
        """
        text = "" if threshold is None else str(threshold).strip()
        rule, equals, number = text.partition("=")
        if not text or text == RULES[-1]:
            return cls(positive, None, text)
        try:
            value = float(number if equals else text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1 or (equals and rule not in RULES[:-1]):
            raise UsageError(
                f"a threshold of {visible(text)}",
                where="--threshold",
                fix="a number from 0 to 1; or chosen on validation images: "
                f"{RULES[0]}=0.95, {RULES[1]}=0.9 or {RULES[2]}",
            )
        return cls(positive, value, rule if equals else "")

    def of(self, run: StoredRun, positive: int) -> tuple[float, str]:
        """The threshold for a run, and how it was chosen; that of one half where the rule has no validation images."""
        detail = run.record.detail
        scores = detail.validation_scores if isinstance(detail, ProbeDetail) else None
        if not self.rule:
            return THRESHOLD if self.threshold is None else self.threshold, ""
        if scores is None:
            return THRESHOLD, "not chosen: no validation images"
        least = self.threshold or 0.0
        chosen = chosen_threshold(scores.starts, scores.images, positive, self.rule, least)
        found, sensitivity, specificity = chosen
        asked = "Youden's index" if self.rule == RULES[-1] else f"{self.rule} of at least {100 * least:g}"
        where = f"{sum(map(sum, scores.images))} validation images ({scores.source})"
        return found, f"{asked} on {where}: sensitivity {100 * sensitivity:.1f}, specificity {100 * specificity:.1f}"


def per_class_table(runs: Sequence[StoredRun], pairs: Pairs) -> Table | None:
    """Recall, precision, specificity, F1 and ROC AUC by class, for zero-shot and probes on all labels, of runs of up to
    `MOST` classes; None: no such run."""
    rows = []
    for dataset, row, kind, run, columns in _single_runs(runs, pairs):
        names = class_names(run)
        if not 2 <= len(names) <= MOST:
            continue
        each, mean = class_areas(run, columns)
        for name, counts, area in zip(names, by_class(columns, len(names)), each, strict=True):
            found = counts.figures()
            head = [dataset, row.label, kind, name, str(counts.n)]
            figures = [_cell(found.get(key), run) for key in _OF_CLASS]
            rows.append((*(Cell(text=text, runs=(run,)) for text in head), *figures, _cell(area, run)))
        if mean is not None and len(names) > 2:
            head = [dataset, row.label, kind, MEAN, str(run.record.n)]
            blank = [Cell()] * len(_OF_CLASS)
            rows.append((*(Cell(text=text, runs=(run,)) for text in head), *blank, _cell(mean, run)))
    if not rows:
        return None
    shown = (*(Column(key, _TITLES[key], True) for key in _OF_CLASS), Column(AREA, "ROC AUC", True))
    titles = (*_HEAD, Column("class", "class"), Column("n", "n"), *shown)
    notes = (INTERVALS, *([AREAS] if any(row[-1].is_figure for row in rows) else []))
    return Table(PER_CLASS, "Per class", titles, tuple(rows), notes).without_empty_columns()


def class_areas(run: StoredRun, columns: Mapping[str, Any]) -> tuple[list[Metric | None], Metric | None]:
    """The area under the ROC curve of each class against the rest, and their mean; of two classes that of the record.

    None where a run does not have every class's probability (many classes, or an earlier version), or a class is in no
    image or in all.
    """
    count = len(class_names(run))
    scores = class_scores(columns)
    if count == 2 or scores is None or len({*columns["label"].tolist()}) < 2:
        own = run.record.metrics.get(AREA)
        return [own] * count, own
    return areas(columns["label"], scores)


def two_class_table(runs: Sequence[StoredRun], pairs: Pairs, point: OperatingPoint | None = None) -> Table | None:
    """Sensitivity, specificity and predictive values of two-class runs at a threshold, with ROC AUC; None: no such run.

    Args:
        runs: any runs.
        pairs: reads the per-sample files.
        point: the positive class and the threshold.

    Raises:
        InputError: there is no two-class run, no class of that name, or no validation images for the rule, and it was
            asked for.
    """
    at_point = point or OperatingPoint()
    rows, known = [], dict[str, None]()
    for dataset, row, kind, run, columns in _single_runs(runs, pairs):
        names = class_names(run)
        if len(names) != 2 or "score" not in columns:
            continue
        known |= dict.fromkeys(names)
        index = positive_class(names, at_point.positive)
        if index is None:
            continue
        truth, scores = positive_scores(columns, index)
        at, how = at_point.of(run, index)
        found = counts_of(truth, scores >= at).figures()
        head = [dataset, row.label, kind, names[index], f"{int(truth.sum())} of {len(truth)}", f"{at:.4g}", how]
        figures = [_cell(found.get(key), run) for key in _AT_POINT]
        figures.append(_cell(run.record.metrics.get(AREA), run))
        rows.append((*(Cell(text=text, runs=(run,)) for text in head), *figures))
    if not rows:
        if point is not None:
            what = (
                f"no two-class run has the class {visible(str(point.positive))}" if known else "no run has two classes"
            )
            raise InputError(
                what, where="--positive" if known else "--threshold", fix=", ".join(known) or "leave it out"
            )
        return None
    if at_point.rule and all(row[6].text.startswith("not") for row in rows):
        raise InputError(
            "no run has validation images to choose a threshold on",
            where="--threshold",
            fix="vlmbench linear-probe --shots all, without --c and --refit; or give a number",
        )
    titles = (
        *_HEAD,
        Column("positive", "positive class"),
        Column("n", "positive images"),
        Column("threshold", "threshold"),
        Column("chosen_on", "chosen on"),
        *(Column(key, _CLINICAL[key], True) for key in _AT_POINT),
        Column(AREA, "ROC AUC", True),
    )
    note = (
        "An image is positive if the probability of the positive class is at least the threshold. Wilson's score "
        "intervals; ROC AUC: bootstrap. Predictive values are for the share of positive images in this test set. "
        "A threshold that was chosen by looking at these images makes them too good: choose it on other images."
    )
    if at_point.rule:
        note += " One that was chosen on few validation images can have another sensitivity and specificity here."
    else:
        titles, rows = _without(titles, 6), [_without(row, 6) for row in rows]
    return Table(TWO_CLASSES, "Two classes at a threshold", titles, tuple(rows), (note,))


def _without(row: tuple[T, ...], place: int) -> tuple[T, ...]:
    return row[:place] + row[place + 1 :]


def positive_class(names: Sequence[str], positive: str | None) -> int | None:
    """The index of the positive class; None: there is no class of that name."""
    if positive is None:
        return 1
    spelled = [name.casefold().replace("_", " ") for name in names]
    wanted = positive.casefold().replace("_", " ")
    return spelled.index(wanted) if wanted in spelled else None


def class_names(run: StoredRun) -> list[str]:
    """The class names that a run's record gives."""
    protocol = run.record.protocol
    return list(protocol.classnames or ()) if isinstance(protocol, ClassificationProtocol) else []


def _single_runs(runs: Sequence[StoredRun], pairs: Pairs) -> Iterator[tuple[str, Row, str, StoredRun, dict[str, Any]]]:
    """Every zero-shot run and probe on all labels that predicts one label per image, once, with its columns."""
    rows = classification_rows(unique(runs))
    labels = place_labels(sorted({row.place for row in rows}))
    seen = set()
    for row in rows:
        for kind, run in (("zero-shot", row.zero), ("probe, all labels", row.full)):
            if run is None or run.path in seen or not pairs.has(run):
                continue
            seen.add(run.path)
            columns = pairs.columns(run)
            if "prediction" in columns:
                yield labels[row.place], row, kind, run, columns


def _cell(metric: Metric | None, run: StoredRun) -> Cell:
    return Cell() if metric is None else Cell(value=metric.value, low=metric.low, high=metric.high, runs=(run,))
