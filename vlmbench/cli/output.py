"""The end of every command: rewrites the tables and prints its own results, as a table or as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmbench.api.results import Comparison, Results, Table


def finish(
    results: "Results", out: Path, *, as_json: bool, quiet: bool = False, pictures_from: Path | None = None
) -> "Comparison":
    """Rewrites the tables over everything in `out`, then prints those of these runs alone.

    Args:
        results: the runs this command has written.
        out: the results directory.
        as_json: print the JSON document of the contract on stdout instead of tables.
        quiet: do not report where the files are.
        pictures_from: also write ``report.html``, with pictures read through this cache directory.

    Returns:
        The tables over everything in `out`.

    Raises:
        InputError: a record in `out` cannot be read.
        OutputError: a table cannot be written.
    """
    from vlmbench.api.comparing import update_tables
    from vlmbench.cli.console import Console, print_json

    everything = update_tables(results, out)
    written = everything.write(out)
    if pictures_from is not None:
        written.append(everything.write_report(out / "report.html", pictures_from))
    if as_json:
        print_json({**results.to_dict(), "tables": list(map(str, written))})
        return everything
    for table in results.tables:
        show_table(table)
    others = len(everything.results) - len(results)
    if not quiet:
        if others:
            Console().note(
                f"vlmbench compare {out}: these runs beside {others} {'other' if others == 1 else 'others'} there"
            )
        say_where([*written, *sorted((out / "figures").glob("*.*"))])
        if pictures_from is None:
            Console().note(f"report.html, with tests between systems and examples: vlmbench compare {out} -o {out}")
    return everything


def show_table(table: "Table") -> None:
    """Prints a table and its further tables to stdout: each interval below its figure, nothing truncated.

    A table wider than the terminal is shown in blocks of figures, each with the columns that identify its rows.
    """
    from vlmbench.api.results import drawn
    from vlmbench.cli.console import stdout_console

    console = stdout_console()
    if not console.is_terminal:
        console.width = max(console.width, 160)
    console.print(drawn(table))


def say_where(written: Sequence[Path]) -> None:
    """Notes on stderr of where the tables, the figures and the report are."""
    from vlmbench.cli.console import Console

    tables = [path for path in written if path.parent.name == "tables"]
    if tables:
        names = sorted({path.stem for path in tables})
        endings = ",".join(path.suffix[1:] for path in tables if path.stem == names[0])
        stem = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        Console().note(f"tables, with the signature of every figure: {tables[0].parent}/{stem}.{{{endings}}}")
    figures = [path for path in written if path.suffix == ".svg"]
    if figures:
        Console().note(f"figures: {figures[0].parent}/*.{{svg,pdf,png}} ({len(figures)})")
    for page in (path for path in written if path.name == "report.html"):
        Console().note(f"report: {page}")
