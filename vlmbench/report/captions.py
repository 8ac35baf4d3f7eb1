"""The captions table: systems by metrics, the best marked, and those not significantly worse."""

from collections.abc import Sequence
from dataclasses import replace

from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import Place, place_labels, refusals, unique, variants
from vlmbench.report.pairs import LEVEL, Pairs, untested
from vlmbench.report.table import Cell, Column, Table, metric_cell

TITLES = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider": "CIDEr",
    "cider_d": "CIDEr-D",
    "spice": "SPICE",
    "clipscore": "CLIPScore",
    "refclipscore": "RefCLIPScore",
}
HEAD = (Column("dataset", "dataset"), Column("system", "system"), Column("n", "n"))
TEXT = (
    Column("words", "words a caption", True),
    Column("vocabulary", "vocabulary", True),
    Column("distinct_1", "distinct-1 %", True),
    Column("distinct_2", "distinct-2 %", True),
    Column("different", "different %", True),
    Column("novel", "novel %", True),
)
"""What captions are like, beside how good they are; see `metrics.captions.profile`."""
TEXT_NOTE = (
    "Of the captions as tokens. Words a caption: their mean number. Vocabulary: different words. Distinct-n: different "
    "n-grams of all n-grams (Li et al. 2016), which falls as captions grow in number. Different: captions unlike all "
    "before. Novel: captions that are none of the training captions, where those are known."
)


def captions_table(runs: Sequence[StoredRun], pairs: Pairs | None = None) -> Table | None:
    """The table over the caption runs among `runs`; none where there are none.

    Args:
        runs: any runs.
        pairs: reads per-sample files for paired tests; none leaves tests and marks out.
    """
    chosen = unique(run for run in runs if run.record.task == "caption-eval")
    if not chosen:
        return None
    have = {name for run in chosen for name in run.record.metrics}
    names = [name for name in TITLES if name in have] + sorted(have - set(TITLES))
    places = named_captions(chosen)
    labels = place_labels(sorted(places))
    rows: list[list[Cell]] = []
    tests: list[tuple[int, int, float]] = []
    missing: list[str] = []
    for place in sorted(places):
        start = len(rows)
        there = places[place]
        rows += [_line(labels[place], label, run, names) for label, run in there]
        if pairs is not None and len(there) > 1:
            tests += _tests(rows, start, [run for _, run in there], names, pairs)
    if pairs is not None and len(rows) > 1:
        missing = untested(chosen)
    corrected: list[float] = []
    if tests:
        from vlmbench.metrics.paired import holm

        corrected = holm([p for _, _, p in tests])
    for (row, column, _), p in zip(tests, corrected, strict=True):
        if p >= LEVEL:
            rows[row][column] = replace(rows[row][column], mark="tied")
    notes = ["Figures are times 100, with 95 % intervals in brackets."]
    if tests:
        notes.append(
            "Bold or *: best of its column on the dataset; =: not significantly worse "
            "(paired bootstrap over images, Holm-corrected over the table)."
        )
    columns = HEAD + tuple(Column(name, TITLES.get(name, name), True) for name in names)
    refused = refusals(chosen)
    notes += [*missing, *refused]
    like = [_like(labels[place], label, run) for place in sorted(places) for label, run in places[place]]
    table = Table("captions", "Captions", columns, tuple(map(tuple, rows)), tuple(notes), about=refused)
    return replace(table, extra=_text_table(like))


def named_captions(runs: Sequence[StoredRun]) -> dict[Place, list[tuple[str, StoredRun]]]:
    """The caption runs among `runs` by place, each with its name."""
    places: dict[Place, list[StoredRun]] = {}
    for run in runs:
        if run.record.task == "caption-eval":
            places.setdefault(Place.of(run.record), []).append(run)
    return {place: _named(there) for place, there in sorted(places.items())}


def _named(runs: Sequence[StoredRun]) -> list[tuple[str, StoredRun]]:
    """Each run with its system's name, and what tells it from other runs of that system."""
    named = []
    for system in dict.fromkeys(run.record.system for run in runs):
        group = variants([run for run in runs if run.record.system == system], lambda run: 0)
        for label, members in group.items():
            named.append((system + (f" ({label})" if label else ""), members[0]))
    return named


def _line(dataset: str, label: str, run: StoredRun, names: Sequence[str]) -> list[Cell]:
    head = [Cell(text=dataset), Cell(text=label), Cell(text=str(run.record.n), runs=(run,))]
    return head + [metric_cell(run, name) for name in names]


def _text_table(rows: Sequence[tuple[Cell, ...]]) -> tuple[Table, ...]:
    """The table of what the captions are like, without what is known of none; nothing where nothing is known."""
    table = Table("captions-text", "What the captions are like", HEAD + TEXT, tuple(rows), (TEXT_NOTE,))
    table = table.without_empty_columns()
    return (table,) if len(table.columns) > len(HEAD) else ()


def _like(dataset: str, label: str, run: StoredRun) -> tuple[Cell, ...]:
    found = run.record.detail.get("text")
    known = found if isinstance(found, dict) else {}
    cells = []
    for column in TEXT:
        value = known.get(column.key)
        if not isinstance(value, int | float):
            cells.append(Cell())
            continue
        whole = f"{value:,.0f}" if column.key == "vocabulary" else ""
        scale = 1.0 if column.key in ("words", "vocabulary") else 100.0
        cells.append(Cell(whole, float(value), runs=(run,), scale=scale))
    return (Cell(text=dataset), Cell(text=label), Cell(text=str(run.record.n), runs=(run,)), *cells)


def _tests(
    rows: list[list[Cell]], start: int, runs: Sequence[StoredRun], names: Sequence[str], pairs: Pairs
) -> list[tuple[int, int, float]]:
    """Marks the best of each column; the row, column and p of every other row's test against it."""
    best: dict[int, list[str]] = {}
    for name in names:
        scored = [index for index, run in enumerate(runs) if name in run.record.metrics and pairs.has(run)]
        if len(scored) > 1:
            top = max(scored, key=lambda index: runs[index].record.metrics[name].value)
            best.setdefault(top, []).append(name)
    tests = []
    for top, wanted in best.items():
        for name in wanted:
            column = len(HEAD) + names.index(name)
            rows[start + top][column] = replace(rows[start + top][column], mark="best")
        for index, run in enumerate(runs):
            shared = [name for name in wanted if name in run.record.metrics]
            if index == top or not shared or not pairs.has(run):
                continue
            for name, found in pairs.captions(runs[top], run, shared).items():
                tests.append((start + index, len(HEAD) + names.index(name), found.p))
    return tests
