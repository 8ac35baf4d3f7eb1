"""The classification table: for each dataset and model zero-shot, probe, their difference, and labels to match."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from vlmbench.metrics.differences import LEVEL, Difference
from vlmbench.metrics.spec import better
from vlmbench.records.classification import ClassificationDetail, ClassificationProtocol, ProbeProtocol
from vlmbench.records.foreign import Foreign
from vlmbench.records.result import ModelFacts
from vlmbench.records.store import StoredRun, natural
from vlmbench.records.task import EncodedProtocol
from vlmbench.report.grouping import Place, of_family, place_labels, refusals, unique, variants
from vlmbench.report.pairs import Pairs, untested
from vlmbench.report.table import MEANS, Cell, Column, Mark, Table, metric_cell
from vlmbench.report.tables.crossing import labels_to_match_cell
from vlmbench.report.tables.foreign import CLASSIFICATION as COLUMN_OF
from vlmbench.report.tables.foreign import with_classification
from vlmbench.report.tables.published import published_cell
from vlmbench.report.tables.references import Known, known_references, notes_of_datasets, with_references

DIFFERENCE = (
    "Difference: paired bootstrap over the same images. p: McNemar's exact test (accuracy), DeLong's (ROC AUC) or "
    "the bootstrap, Holm-corrected over the table."
)
TO_MATCH = "Labels to match: labelled images per class at which the probe's curve crosses zero-shot (log k)."
TO_MATCH_PROBE = (
    "Labels to match the probe: the same, for the logistic probe with the most labels instead of zero-shot."
)
REFERENCES = (
    "Reference rows are exact; they are not systems, and are never marked or tested. Majority class: every image gets "
    "the most frequent class of the training split if the row says train, else of the images scored. Chance: each "
    "class equally often; for ROC AUC, 50; for average precision, also over 11 points, the share of images with the "
    "class, which is what equal scores for all images get."
)
MEAN = "Mean: over datasets, equally weighted; its interval treats them as independent."
HEAD = (
    Column("dataset", "dataset"),
    Column("model", "model"),
    Column("n", "n"),
    Column("metric", "metric"),
)
FIGURES = (
    Column("zero_shot", "zero-shot", True),
    Column("probe", "probe, all labels", True),
    Column("difference", "zero-shot − probe", True),
    Column("p_holm", "p (Holm)", True),
    Column("labels_to_match", "labels per class to match", True),
    Column("labels_to_match_probe", "labels to match the probe", True),
    Column("published", "published", True),
)

LOGISTIC = "logistic"

MARKED = {"zero_shot": "zero", "probe": "full"}
"""Columns whose best is marked, each with the run of a `Row` that it shows."""


class Row:
    """One row: the runs of one model, with one variant of zero-shot and of probe, at one place."""

    def __init__(self, place: Place, label: str, zero: StoredRun | None, probes: Sequence[StoredRun]) -> None:
        self.place = place
        self.label = label
        self.zero = zero
        self.full = next((run for run in probes if run.record.shots is None), None)
        self.shots = {run.record.shots: run for run in probes if run.record.shots is not None}
        self.rival: StoredRun | None = None
        """The logistic probe with the most labels, in a row of another head."""
        self.difference: Difference | None = None
        self.p_holm: float | None = None

    @property
    def runs(self) -> list[StoredRun]:
        """The runs of the row."""
        return [run for run in (self.zero, self.full, *self.shots.values()) if run is not None]

    @property
    def most(self) -> StoredRun | None:
        """The probe with the most labels."""
        return self.full or (self.shots[max(self.shots)] if self.shots else None)

    @property
    def head(self) -> str | None:
        """The head of the row's probes."""
        protocol = self.most.record.protocol if self.most else None
        return protocol.probe if isinstance(protocol, ProbeProtocol) else None

    @property
    def any_run(self) -> StoredRun:
        """A run of the row."""
        return self.runs[0]

    def unbeaten(self, known: Known | None) -> tuple[str, float] | None:
        """The reference that the row's zero-shot figure does not exceed, with its value, if any."""
        from vlmbench.metrics.reference import unbeaten

        if self.zero is None or known is None:
            return None
        return unbeaten(self.zero.record.metrics[self.place.metric], known.values)


def classification_table(
    runs: Sequence[StoredRun], pairs: Pairs | None = None, foreign: Sequence[Foreign] = ()
) -> Table | None:
    """The table of the classification runs among `runs`; None if there are none.

    Args:
        runs: any runs.
        pairs: reads per-sample files for paired tests; none leaves tests and marks out.
        foreign: results of another program, shown alongside.
    """
    rows = classification_rows(unique(runs))
    if not rows and not any(result.task in COLUMN_OF for result in foreign):
        return None
    notes = []
    if pairs is not None:
        _differences(rows, pairs)
    labels = place_labels(sorted({row.place for row in rows}))
    known = known_references([(row.place, run) for row in rows for run in row.runs], pairs)
    cells = [_cells(row, labels[row.place], known.get(row.place)) for row in rows]
    if pairs is not None:
        _mark(rows, cells, pairs)
        notes += untested([run for row in rows for run in (row.zero, row.full) if run])
    means = _means(rows, cells)
    refused = refusals(row.place for row in rows)
    about = {**refused, **notes_of_datasets(rows, labels, known)}
    cells = with_references(rows, cells, known, HEAD + FIGURES)
    notes = [*_notes([*cells, *means]), *notes, *about]
    cells, theirs = with_classification(cells, foreign, HEAD + FIGURES, {labels[row.place]: row.place for row in rows})
    notes += theirs
    cells += means
    both = any(row.zero for row in rows) and any(row.full or row.shots for row in rows)
    title = "Zero-shot against linear probe" if both else "Classification"
    table = Table(
        "classification",
        title,
        HEAD + FIGURES,
        tuple(map(tuple, cells)),
        tuple(notes),
        about={**about, MEAN: MEANS},
        refused=tuple(refused),
        explains={DIFFERENCE: "difference", TO_MATCH: "labels_to_match", TO_MATCH_PROBE: "labels_to_match_probe"},
    )
    few = _few_shot(rows, labels)
    return replace(table.without_empty_columns(), extra=(few,) if few else ())


def classification_rows(runs: Sequence[StoredRun]) -> list[Row]:
    """The table's rows: by place, then model, then variant."""
    groups: dict[tuple[Place, str], list[StoredRun]] = {}
    for run in of_family(runs, "classification"):
        groups.setdefault((Place.of(run.record), _model_key(run)), []).append(run)
    rows = []
    for (place, _), group in sorted(groups.items(), key=lambda item: (item[0][0], natural(item[0][1]))):
        zeros = variants([run for run in group if run.record.spec.role == "zero-shot"], lambda run: 0)
        by_head: dict[str, list[StoredRun]] = {}
        for run in group:
            if run.record.spec.role == "probe":
                by_head.setdefault(run.record.system, []).append(run)
        own = min((run.record.system for run in group), key=lambda text: (len(text), text))
        found = []
        for name, runs_of_head in sorted(by_head.items(), key=lambda item: natural(item[0])) or [(own, [])]:
            probes = variants(runs_of_head, lambda run: run.record.shots) or {"": []}
            for (zero_label, zero), (probe_label, probe) in product(zeros.items() or [("", [])], probes.items()):
                both = (_viewed(zero, zero_label), _viewed(probe, probe_label))
                words = "; ".join(part for part in dict.fromkeys(both) if part)
                found.append(Row(place, name + (f" ({words})" if words else ""), zero[0] if zero else None, probe))
        plain = [row for row in found if row.head == LOGISTIC]
        for row in found:
            row.rival = plain[0].most if len(plain) == 1 and row.head != LOGISTIC else None
        rows += found
    return rows


def _viewed(runs: Sequence[StoredRun], label: str) -> str:
    """A variant's label; crops and tiles are always named, even if all runs have them."""
    protocols = [run.record.protocol for run in runs]
    views = next((f"views {one.views}" for one in protocols if isinstance(one, EncodedProtocol) and one.views), "")
    return label if views in label else ", ".join(part for part in (label, views) if part)


def _model_key(run: StoredRun) -> str:
    model: ModelFacts | None = run.record.model
    name = f"{model.id}\x1f{model.weights_sha256}" if model else run.record.system
    protocol = run.record.protocol
    classes = protocol.classes_from if isinstance(protocol, ClassificationProtocol) else None
    return f"{name}\x1f{classes or ''}"  # a probe that was trained elsewhere is not beside zero-shot or probes here


def _differences(rows: Sequence[Row], pairs: Pairs) -> None:
    from vlmbench.metrics.stats.paired import holm

    tested = []
    for row in rows:
        if row.zero and row.full and pairs.has(row.zero, row.full):
            row.difference = pairs.differences(row.zero, row.full, [row.place.metric]).get(row.place.metric)
            tested += [(row, row.difference.p)] if row.difference is not None else []
    for (row, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
        row.p_holm = p


def _cells(row: Row, dataset: str, known: Known | None) -> list[Cell]:
    zero = metric_cell(row.zero, row.place.metric) if row.zero else Cell()
    full = metric_cell(row.full, row.place.metric) if row.full else Cell()
    difference, p = Cell(), Cell()
    if row.difference and row.zero and row.full:
        found = row.difference
        difference = Cell(
            value=found.value, low=found.low, high=found.high, runs=(row.zero, row.full), p=row.p_holm, signed=True
        )
        if row.p_holm is not None:
            p = Cell(text=p_text(row.p_holm), runs=(row.zero, row.full), p=row.p_holm)
    return [
        Cell(text=dataset),
        Cell(text=row.label),
        Cell(text=str(row.place.n), runs=(row.any_run,)),
        Cell(text=row.place.metric),
        zero,
        full,
        difference,
        p,
        Cell() if row.unbeaten(known) else labels_to_match_cell(row, row.zero),
        labels_to_match_cell(row, row.rival),
        published_cell(row.zero) if row.zero else Cell(),
    ]


def p_text(p: float) -> str:
    """A p-value as shown: three digits, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _mark(rows: Sequence[Row], cells: list[list[Cell]], pairs: Pairs) -> None:
    """Marks the best of a column among comparable rows, and those not significantly worse.

    Holm's correction is over the tests of both columns.
    """
    from vlmbench.metrics.stats.paired import holm

    columns = [column.key for column in HEAD + FIGURES]
    marks: dict[Path, Mark] = {}
    tests: list[tuple[Path, float]] = []
    for attribute in MARKED.values():
        for place in sorted({row.place for row in rows}):
            shown = [getattr(row, attribute) for row in rows if row.place == place]
            there = list({run.path: run for run in shown if run is not None and pairs.has(run)}.values())
            if len(there) < 2:
                continue
            best = max(there, key=lambda run: better(place.metric, run.record.metrics[place.metric].value))
            marks[best.path] = "best"
            tests += [
                (other.path, difference.p)
                for other in there
                if other is not best
                for difference in pairs.differences(best, other, [place.metric]).values()
            ]
    for (path, _), p in zip(tests, holm([p for _, p in tests]), strict=True):
        if p >= LEVEL:
            marks[path] = "tied"
    for key, attribute in MARKED.items():
        at = columns.index(key)
        for row, line in zip(rows, cells, strict=True):
            run = getattr(row, attribute)
            if run is not None and run.path in marks:
                line[at] = replace(line[at], mark=marks[run.path])


def _means(rows: Sequence[Row], cells: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """One row per model and group of datasets: the mean over its datasets, if every model has all of them."""
    places = {row.place for row in rows}
    if len({place.dataset for place in places}) < len(places):
        return []
    columns = [column.key for column in HEAD + FIGURES]
    wanted = [columns.index("zero_shot"), columns.index("probe"), columns.index("difference")]
    groups: dict[str, dict[str, list[Sequence[Cell]]]] = {}
    for row, line in zip(rows, cells, strict=True):
        detail = row.any_run.record.detail
        group = detail.group if isinstance(detail, ClassificationDetail) else None
        for name in ("all", *([group] if group else [])):
            groups.setdefault(name, {}).setdefault(row.label, []).append(line)
    found = []
    for name, models in groups.items():
        datasets = {tuple(line[0].text for line in lines) for lines in models.values()}
        members = {dataset for names in datasets for dataset in names}
        if name != "all" and len(members) == len({row.place for row in rows}):
            continue
        for model, lines in models.items():
            if len({line[0].text for line in lines}) != len(members) or len(lines) != len(members) or len(members) < 2:
                continue
            mean = [
                Cell(text=f"mean of {len(members)} {'datasets' if name == 'all' else name}"),
                Cell(text=model),
                Cell(),
                Cell(text="mean"),
            ]
            mean += [
                _mean([line[at] for line in lines]) if at in wanted else Cell() for at in range(len(HEAD), len(columns))
            ]
            if any(cell.is_figure for cell in mean):
                found.append(mean)
    return found


def _mean(cells: Sequence[Cell]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        return Cell()
    runs = tuple(run for cell in cells for run in cell.runs)
    value = math.fsum(values) / len(values)
    if any(cell.low is None or cell.high is None for cell in cells):
        return Cell(value=value, runs=runs, signed=cells[0].signed, mean=True)
    down = math.sqrt(
        math.fsum((cell.value - cell.low) ** 2 for cell in cells if cell.value is not None and cell.low is not None)
    )
    up = math.sqrt(
        math.fsum((cell.high - cell.value) ** 2 for cell in cells if cell.value is not None and cell.high is not None)
    )
    return Cell(
        value=value,
        low=value - down / len(cells),
        high=value + up / len(cells),
        runs=runs,
        signed=cells[0].signed,
        mean=True,
    )


def _few_shot(rows: Sequence[Row], labels: dict[Place, str]) -> Table | None:
    shots = sorted({k for row in rows for k in row.shots})
    if not shots:
        return None
    columns = HEAD + tuple(Column(f"shots_{k}", f"{k}-shot", True) for k in shots)
    lines = []
    for row in rows:
        if row.shots:
            head = [
                Cell(text=labels[row.place]),
                Cell(text=row.label),
                Cell(text=str(row.place.n), runs=(row.any_run,)),
                Cell(text=row.place.metric),
            ]
            figures = [metric_cell(row.shots[k], row.place.metric) if k in row.shots else Cell() for k in shots]
            lines.append(tuple(head + figures))
    notes = ("k-shot: k labelled images per class. Figures are means over seeds, and so are their intervals.",)
    return Table("few_shot", "Linear probe by labels per class", columns, tuple(lines), notes)


def _notes(cells: Sequence[Sequence[Cell]]) -> list[str]:
    notes = ["Figures are times 100, with 95 % intervals in brackets."]
    columns = [column.key for column in HEAD + FIGURES]
    if any(row[columns.index("difference")].is_figure for row in cells):
        notes.append(DIFFERENCE)
    if any(row[columns.index("labels_to_match")].text for row in cells):
        notes.append(TO_MATCH)
    if any(row[columns.index("labels_to_match_probe")].text for row in cells):
        notes.append(TO_MATCH_PROBE)
    if any(cell.reference for row in cells for cell in row):
        notes.append(REFERENCES)
    for source in sorted({cell.source for row in cells for cell in row if cell.source}):
        notes.append(f"{source[:1].upper()}{source[1:]}.")
    if any(cell.mean for row in cells for cell in row):
        notes.append(MEAN)
    if any(cell.mark for row in cells for cell in row):
        notes.append(
            "Bold or *: best of its column on the dataset; =: not significantly worse (paired test, Holm-corrected)."
        )
    return notes
