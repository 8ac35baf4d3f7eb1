"""How every command ends: the tables written anew, and its own results printed, as a table or as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from vlmbench.report.tables.write import build_tables, write_tables

    present = {run.path.resolve() for run in runs}
    others = find_runs([out / "runs"]) if any((out / "runs").glob("*/result.json")) else []
    everything = [*runs, *(run for run in others if run.path.resolve() not in present)]
    tables = build_tables(everything)
    written = write_tables(tables, out)
    if pictures_from is not None:
        from vlmbench.cli.pictures import Thumbnails
        from vlmbench.report.page.write import write_report

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
    from vlmbench.api.results import Result

    return {"results": [Result.of(run).to_dict() for run in runs], "tables": [str(path) for path in tables]}


def foreign_results(results: "Sequence[Foreign]") -> list[dict[str, Any]]:
    """The results of another program that tables show, by our names of datasets and metrics."""
    from vlmbench.records.foreign import PROGRAM
    from vlmbench.report.tables.foreign import dataset_of, metrics_of, usable

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
    from vlmbench.cli.console import stdout_console
    from vlmbench.report.terminal import Drawn

    console = stdout_console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(Drawn(table, most))


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
