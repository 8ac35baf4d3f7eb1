"""How every command ends: the tables written anew, and its own results printed, as a table or as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmbench.records.store import StoredRun
    from vlmbench.report.table import Table


def finish(runs: "Sequence[StoredRun]", out: Path, *, as_json: bool, quiet: bool = False) -> list[Path]:
    """Rewrites the tables over everything in `out`, then prints these runs.

    Args:
        runs: the runs this command has written.
        out: the results directory.
        as_json: print the JSON document of the contract on stdout instead of tables.
        quiet: do not say where the tables are.

    Returns:
        The table files.

    Raises:
        InputError: a record in `out` cannot be read.
        OutputError: a table cannot be written.
    """
    from vlmbench.records.store import find_runs
    from vlmbench.report.tables import build_tables, write_tables

    present = {run.path.resolve() for run in runs}
    others = find_runs([out / "runs"]) if any((out / "runs").glob("*/result.json")) else []
    tables = build_tables([*runs, *(run for run in others if run.path.resolve() not in present)])
    written = write_tables(tables, out)
    if as_json:
        from vlmbench.cli.console import print_json

        print_json(document(runs, written))
        return written
    for table in tables:
        show_table(table.with_runs(runs))
    if not quiet:
        say_where(written)
    return written


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


def show_table(table: "Table") -> None:
    """A table and those that belong to it, on stdout: each interval below its figure, nothing cut off."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    from vlmbench.foundations.text import terminal

    for one in (table, *table.extra):
        shown = one.without_empty_columns()
        if not shown.rows:
            continue
        drawn = RichTable(title=terminal(shown.title), box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
        for column in shown.columns:
            drawn.add_column(terminal(column.title), justify="right" if column.figures else "left", overflow="fold")
        for row in shown.rows:
            drawn.add_row(*("\n".join(terminal(line) for line in cell.lines()) for cell in row))
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = max(console.width, 160)
        console.print(drawn)
        for note in shown.notes:
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
