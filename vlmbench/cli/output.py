"""How every command ends: the tables written anew, and its own results printed, as a table or as JSON."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vlmbench.records.foreign import Foreign
    from vlmbench.records.store import StoredRun
    from vlmbench.report.table import Table


def finish(
    runs: "Sequence[StoredRun]", out: Path, *, as_json: bool, quiet: bool = False, pictures_from: Path | None = None
) -> "list[Table]":
    """Rewrites the tables over everything in `out`, then prints these runs.

    Args:
        runs: the runs this command has written.
        out: the results directory.
        as_json: print the JSON document of the contract on stdout instead of tables.
        quiet: do not say where the tables are.
        pictures_from: also write ``report.html``, with pictures read through this cache directory.

    Returns:
        The tables over everything in `out`.

    Raises:
        InputError: a record in `out` cannot be read.
        OutputError: a table cannot be written.
    """
    from vlmbench.records.store import find_runs
    from vlmbench.report.tables import build_tables, write_tables

    present = {run.path.resolve() for run in runs}
    others = find_runs([out / "runs"]) if any((out / "runs").glob("*/result.json")) else []
    everything = [*runs, *(run for run in others if run.path.resolve() not in present)]
    tables = build_tables(everything)
    written = write_tables(tables, out)
    if pictures_from is not None:
        from vlmbench.cli.pictures import Thumbnails
        from vlmbench.report.page import write_report

        written.append(write_report(everything, tables, out / "report.html", pictures=Thumbnails(pictures_from)))
    if as_json:
        from vlmbench.cli.console import print_json

        print_json(document(runs, written))
        return tables
    for table in tables:
        show_table(table.with_runs(runs))
    if not quiet:
        say_where(written)
    return tables


def document(runs: "Sequence[StoredRun]", tables: Sequence[Path]) -> dict[str, Any]:
    """The JSON document of the contract: fractions 0 to 1, CIDEr 0 to 10."""
    return {"results": [result(run) for run in runs], "tables": [str(path) for path in tables]}


def result(run: "StoredRun") -> dict[str, Any]:
    """One record as it stands in the JSON document."""
    record = run.record
    return {
        "task": record.task,
        "system": record.system,
        "model": record.model.id if record.model else None,
        "dataset": record.dataset.id,
        "n": record.n,
        "shots": record.shots,
        "seed": record.seed,
        "signature": record.signature,
        "path": str(run.path),
        "metrics": {
            name: {"value": metric.value, "low": metric.low, "high": metric.high}
            for name, metric in record.metrics.items()
        },
    }


def comparisons(tables: "Sequence[Table]") -> list[dict[str, Any]]:
    """The rows of the table of every two systems, in the records' own scale; empty where there is none."""
    found = []
    for table in tables:
        for row in table.rows if table.name == "comparisons" else ():
            cells = dict(zip((column.key for column in table.columns), row, strict=True))
            gap = cells["difference"]
            found.append(
                {
                    **{key: cells[key].text for key in ("dataset", "task", "metric", "first", "second")},
                    "n": int(cells["n"].text),
                    "difference": gap.value,
                    "low": gap.low,
                    "high": gap.high,
                    "p_holm": gap.p,
                    "p_swapped_holm": cells["p_swapped_holm"].p if "p_swapped_holm" in cells else None,
                    "paths": [str(run.path) for run in gap.runs],
                }
            )
    return found


def foreign_results(results: "Sequence[Foreign]") -> list[dict[str, Any]]:
    """The results of another program that tables show, by our names of datasets and metrics."""
    from vlmbench.records.foreign import PROGRAM
    from vlmbench.report.foreign import dataset_of, metrics_of, usable

    return [
        {
            "program": PROGRAM,
            "task": result.task,
            "system": result.system,
            "dataset": dataset_of(result.dataset),
            "language": result.language or None,
            "metrics": {
                name: {"value": value, "low": None, "high": None} for name, value in metrics_of(result).items()
            },
            "path": str(result.path),
        }
        for result in usable(results)
    ]


def show_table(table: "Table", *, most: int | None = None) -> None:
    """A table and those that belong to it, on stdout: each interval below its figure, nothing cut off.

    One that is wider than the terminal is shown in blocks of figures, each beside the columns that say of what.

    Args:
        table: the table.
        most: so many rows are shown, and said how many more there are; none: all.
    """
    from rich import box
    from rich.table import Table as RichTable

    from vlmbench.cli.blocks import blocks, figure_width, fits
    from vlmbench.cli.console import stdout_console
    from vlmbench.foundations.text import terminal

    console = stdout_console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    for one in (table, *table.extra):
        shown = replace(one, rows=one.rows[:most]).without_empty_columns()
        for block in blocks(shown, console.width) if shown.rows else ():
            title = terminal(block.title) or None
            drawn = RichTable(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
            whole = fits(block, console.width)
            for place, column in enumerate(block.columns):
                least = figure_width(block, place) if column.figures and whole else None
                side: Literal["left", "right"] = "right" if column.figures else "left"
                drawn.add_column(terminal(column.title), justify=side, overflow="fold", min_width=least)
            for row in block.rows:
                drawn.add_row(*("\n".join(terminal(line) for line in cell.lines()) for cell in row))
            console.print(drawn)
        if len(shown.rows) < len(one.rows):
            more = len(one.rows) - len(shown.rows)
            console.print(f"… and {more:,} more rows, which the table's files have.", style="dim")
        for note in shown.notes if shown.rows else ():
            console.print(terminal(note), style="dim")


def say_where(written: Sequence[Path]) -> None:
    """A note on stderr of where the tables are."""
    from vlmbench.cli.console import Console

    pages = [path for path in written if path.name == "report.html"]
    written = [path for path in written if path.parent.name == "tables"]
    if written:
        names = sorted({path.stem for path in written})
        endings = ",".join(path.suffix[1:] for path in written if path.stem == names[0])
        stem = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        Console().note(f"tables, with the signature of every figure: {written[0].parent}/{stem}.{{{endings}}}")
    for page in pages:
        Console().note(f"report: {page}")
