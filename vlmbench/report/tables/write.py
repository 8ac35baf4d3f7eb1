"""The table files of a results directory.

``tables/{classification,captions,retrieval,metric_eval}.{csv,md,tex,html}``.
"""

from collections.abc import Sequence
from pathlib import Path

from vlmbench.foundations.atomic import write_text
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.report.formats import to_csv, to_html, to_latex, to_markdown
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Table
from vlmbench.report.tables.agreement import agreement_table
from vlmbench.report.tables.captions import captions_table
from vlmbench.report.tables.classification import classification_table
from vlmbench.report.tables.foreign import usable
from vlmbench.report.tables.retrieval import retrieval_table

FORMATS = {"csv": to_csv, "md": to_markdown, "tex": to_latex, "html": to_html}


def build_tables(
    runs: Sequence[StoredRun], *, tests: bool = True, every_pair: bool = False, foreign: Sequence[Foreign] = ()
) -> list[Table]:
    """The tables that the runs give, classification first.

    Args:
        runs: any runs.
        tests: read per-sample files for paired tests.
        every_pair: add the table of every two systems.
        foreign: results of another program, which stand beside the runs' in the tables of their tasks.
    """
    pairs = Pairs() if tests else None
    theirs = usable(foreign)
    found = [classification_table(runs, pairs, theirs), captions_table(runs, pairs)]
    found += [retrieval_table(runs, pairs, theirs), agreement_table(runs)]
    if every_pair and pairs is not None:
        from vlmbench.report.tables.comparisons import comparisons_table

        found.append(comparisons_table(runs, pairs))
    return [table for table in found if table is not None]


def write_tables(tables: Sequence[Table], out: Path) -> list[Path]:
    """Writes each table in each format under `out`/tables and returns the files.

    Raises:
        OutputError: a file cannot be written.
    """
    written = []
    for table in tables:
        for ending, render in FORMATS.items():
            path = out / "tables" / f"{table.name}.{ending}"
            write_text(path, render(table))
            written.append(path)
    return written
