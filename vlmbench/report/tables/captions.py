"""The captions table: systems by metrics, with the best and those not significantly worse marked."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from vlmbench.metrics.spec import of, title
from vlmbench.records.captions import CaptionDetail
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import place_labels, refusals
from vlmbench.report.marks import NOTE, Marks
from vlmbench.report.pairs import Pairs, untested
from vlmbench.report.table import Cell, Column, Table
from vlmbench.report.tables.caption_blocks import Block, caption_blocks

HEAD = (Column("dataset", "dataset"), Column("system", "system"), Column("n", "n"))
OF = Column("n_own", "of")
"""How many images a system has, if it is compared on fewer."""
TEXT = (
    Column("words", "words per caption", True),
    Column("vocabulary", "vocabulary", True),
    Column("distinct_1", "distinct-1 %", True),
    Column("distinct_2", "distinct-2 %", True),
    Column("different", "different %", True),
    Column("novel", "novel %", True),
)
"""What captions are like, apart from how good they are; see `metrics.captions.diversity`."""
TEXT_NOTE = (
    "Computed on tokens. Words per caption: the mean. Vocabulary: number of distinct words. Distinct-n: "
    "distinct n-grams divided by all n-grams (Li et al. 2016); it falls as captions grow in number. Different: share "
    "of distinct captions. Novel: share of captions that are not among the training captions, where those are known."
)


def captions_table(
    runs: Sequence[StoredRun], pairs: Pairs | None = None, foreign: Sequence[Foreign] = ()
) -> Table | None:
    """The table of the caption runs among `runs`; None if there are none.

    Args:
        runs: any runs.
        pairs: reads per-sample files for paired tests; none leaves tests and marks out.
        foreign: unused: other programs have no caption results.
    """
    blocks = caption_blocks(runs, pairs)
    if not blocks:
        return None
    chosen = [run for block in blocks for _, run in block.systems]
    have = {name for run in chosen for name in run.record.metrics}
    known = [spec.name for spec in of("captions") if spec.name in have]
    names = known + sorted(have - set(known))
    labels = place_labels([block.place for block in blocks])
    head = HEAD if all(block.images is None for block in blocks) else (*HEAD, OF)
    rows: list[list[Cell]] = []
    marks = Marks(rows, names, len(head))
    for block in blocks:
        start = len(rows)
        for label, run in block.systems:
            n = block.place.n if Pairs.has(run) else run.record.n
            line = [Cell(labels[block.place]), Cell(label), Cell(str(n), runs=(run,)), Cell(str(run.record.n))]
            rows.append(line[: len(head)] + block.cells(run, names, pairs))
        if pairs is not None:
            tests = partial(pairs.differences, images=block.images)
            marks.best(start, [run for _, run in block.systems], tests, block.apart)
    missing = untested(chosen) if pairs is not None and len(rows) > 1 else []
    notes = ["Figures are times 100, with 95 % intervals in brackets."]
    if marks.tied():
        notes.append(NOTE.format(test="paired bootstrap over images"))
    columns = head + tuple(Column(name, title(name), True) for name in names)
    refused = refusals(block.place for block in blocks)
    notes += [*missing, *(note for block in blocks for note in block.notes()), *refused, *_not_english(blocks)]
    about = {note: block.place.dataset for block in blocks if len(block.datasets) == 1 for note in block.notes()}
    table = Table(
        "captions",
        "Captions",
        columns,
        tuple(map(tuple, rows)),
        tuple(notes),
        about={**about, **refused},
        refused=tuple(refused),
    )
    like = [_like(labels[block.place], label, run) for block in blocks for label, run in block.systems]
    return replace(table, extra=_text_table(like))


def _not_english(blocks: Sequence[Block]) -> list[str]:
    """A note that names the systems whose captions or references are not English."""
    records = [run.record for block in blocks for _, run in block.systems]
    details = [(record.system, record.detail) for record in records]
    found = list(dict.fromkeys(name for name, of in details if isinstance(of, CaptionDetail) and of.not_english))
    if not found:
        return []
    return [f"Captions that do not look English: {', '.join(found)}; the tokenizer and METEOR are made for English."]


def _text_table(rows: Sequence[tuple[Cell, ...]]) -> tuple[Table, ...]:
    """The table of what the captions are like, without columns known for no system; nothing if nothing is known."""
    table = Table("captions-text", "What the captions are like", HEAD + TEXT, tuple(rows), (TEXT_NOTE,))
    table = table.without_empty_columns()
    return (table,) if len(table.columns) > len(HEAD) else ()


def _like(dataset: str, label: str, run: StoredRun) -> tuple[Cell, ...]:
    text = run.record.detail.text if isinstance(run.record.detail, CaptionDetail) else None
    known: dict[str, float] = {} if text is None else text.given()
    cells = []
    for column in TEXT:
        value = known.get(column.key)
        if value is None:
            cells.append(Cell())
            continue
        whole = f"{value:,.0f}" if column.key == "vocabulary" else ""
        scale = 1.0 if column.key in ("words", "vocabulary") else 100.0
        cells.append(Cell(whole, value, runs=(run,), scale=scale))
    return (Cell(text=dataset), Cell(text=label), Cell(text=str(run.record.n), runs=(run,)), *cells)
