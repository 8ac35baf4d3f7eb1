"""The table files of a results directory: ``tables/NAME.{csv,md,tex,html}``, for each table that a task declares."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmbench.foundations.atomic import write_text
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.records.task import specs_of
from vlmbench.report.formats import to_csv, to_html, to_markdown
from vlmbench.report.latex import to_latex
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Table

if TYPE_CHECKING:
    from vlmbench.report.tables.per_class import OperatingPoint

FORMATS = {"csv": to_csv, "md": to_markdown, "tex": to_latex, "html": to_html}


def build_tables(
    runs: Sequence[StoredRun],
    *,
    tests: bool = True,
    every_pair: bool = False,
    foreign: Sequence[Foreign] = (),
    relative_to: str | None = None,
    point: "OperatingPoint | None" = None,
) -> list[Table]:
    """The tables that the runs give, in the order of the tasks; several tasks can share one.

    Args:
        runs: any runs.
        tests: read per-sample files for paired tests.
        every_pair: add the tables of pairwise comparisons, of each class, and of two-class sets at a threshold.
        foreign: results of another program, shown alongside the runs in the tables of their tasks.
        relative_to: the model by whose errors on corrupted images those of all are divided.
        point: the positive class of two-class sets, and the threshold.

    Raises:
        InputError: there is no such model, no such class, or no validation images to choose a threshold on.
    """
    pairs = Pairs() if tests else None
    everything = runs
    shifts = relative_to is not None or any(run.record.spec.family == "classification" for run in runs)
    if shifts:
        from vlmbench.report.tables.corruptions import corruptions_table, without_sweeps
        from vlmbench.report.tables.robustness import robustness_table, without_shifted

        runs = without_shifted(without_sweeps(runs))
    theirs: list[Foreign] = []
    if foreign:
        from vlmbench.report.tables.foreign import usable

        theirs = usable(foreign)
    found: dict[str, Table | None] = {}
    for spec in specs_of({run.record.task for run in runs}, own=bool(foreign)):
        own = [run for run in runs if run.record.task == spec.name]
        if not spec.table:
            from vlmbench.report.tables.systems import Heading, systems_table

            heading = Heading(spec.name, spec.definition[:1].upper() + spec.definition[1:])
            found[spec.name] = systems_table(own, spec.family, heading, pairs)
        elif spec.table not in found:
            found[spec.table] = spec.load("table")(runs, pairs, theirs)
    if shifts:
        found["robustness"] = robustness_table(everything, pairs)
        found["corruptions"] = corruptions_table(everything, pairs, relative_to)
    if every_pair and pairs is not None:
        from vlmbench.report.tables.comparisons import comparisons_table

        if shifts or point is not None:
            from vlmbench.report.tables.per_class import PER_CLASS, TWO_CLASSES, per_class_table, two_class_table

            found[TWO_CLASSES] = two_class_table(runs, pairs, point)
            found[PER_CLASS] = per_class_table(runs, pairs)
        found["comparisons"] = comparisons_table(runs, pairs)
    return [table for table in found.values() if table is not None]


def write_tables(tables: Sequence[Table], out: Path, *, intervals: bool = True) -> list[Path]:
    """Writes each table in each format under `out`/tables and returns the files; only a CSV always has intervals.

    Raises:
        OutputError: a file cannot be written.
    """
    written = []
    for table in tables:
        for ending, render in FORMATS.items():
            path = out / "tables" / f"{table.name}.{ending}"
            write_text(path, render(table if intervals or ending == "csv" else table.without_intervals()))
            written.append(path)
    return written
