"""The classification table: for each dataset and model zero-shot, probe, their difference, and labels to match."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vlmbench.metrics.differences import LEVEL
from vlmbench.metrics.spec import better
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import place_labels, refusals, unique
from vlmbench.report.pairs import Pairs, untested
from vlmbench.report.table import HEAD, MEANS, Cell, Column, Mark, Table, metric_cell
from vlmbench.report.tables.crossing import labels_to_match_cell
from vlmbench.report.tables.few_shot import few_shot_table
from vlmbench.report.tables.foreign import CLASSIFICATION as COLUMN_OF
from vlmbench.report.tables.foreign import with_classification
from vlmbench.report.tables.means import mean_rows
from vlmbench.report.tables.published import published_cell
from vlmbench.report.tables.references import Known, known_references, notes_of_datasets, with_references
from vlmbench.report.tables.rows import Row, classification_rows

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
FIGURES = (
    Column("zero_shot", "zero-shot", True),
    Column("probe", "probe, all labels", True),
    Column("difference", "zero-shot − probe", True),
    Column("p_holm", "p (Holm)", True),
    Column("labels_to_match", "labels per class to match", True),
    Column("labels_to_match_probe", "labels to match the probe", True),
    Column("published", "published", True),
)

MARKED = {"zero_shot": "zero", "probe": "full"}
"""Columns whose best is marked, each with the run of a `Row` that it shows."""


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
    means = mean_rows(rows, cells, [column.key for column in HEAD + FIGURES])
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
    few = few_shot_table(rows, labels)
    return replace(table.without_empty_columns(), extra=(few,) if few else ())


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
    """Marks the best of a dataset, zero-shot and probes alike, and those not significantly worse.

    Holm's correction is over the tests of all datasets.
    """
    from vlmbench.metrics.stats.paired import holm

    columns = [column.key for column in HEAD + FIGURES]
    marks: dict[Path, Mark] = {}
    tests: list[tuple[Path, float]] = []
    for place in sorted({row.place for row in rows}):
        shown = [getattr(row, attribute) for row in rows if row.place == place for attribute in MARKED.values()]
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
            "Bold or *: best on the dataset, zero-shot and probes alike; =: not significantly worse (paired test, "
            "Holm-corrected)."
        )
    return notes
