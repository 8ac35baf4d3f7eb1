"""``vlmbench compare``: tables over everything found, with paired tests between systems."""

from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options import COMMON, option


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN_OR_DIR]...", help="Runs and results directories (default: --out).", show_default=False
        ),
    ] = None,
    out: Annotated[Path, option("-o", "--out", help="Where tables and report.html go.", panel=COMMON)] = Path(
        "results"
    ),
    strict: Annotated[
        bool, option("--strict", help="Exit 3 where runs of one dataset cannot be put side by side.")
    ] = False,
    json: Annotated[bool, option("--json", help="One JSON document on stdout and nothing else.", panel=COMMON)] = False,
    quiet: Annotated[bool, option("-q", "--quiet", help="No notes.", panel=COMMON)] = False,
    debug: Annotated[bool, option("--debug", help="Show tracebacks.", panel=COMMON)] = False,
) -> None:
    """Tables over everything found, with paired tests between systems on the same images.

    Classification: zero-shot, probe and their difference for each dataset and model. Captions: systems by metrics. Runs
    that cannot be compared (another split, n, metric) stand in rows of their own, and the fields that differ are
    named.
    """
    from vlmbench.cli.console import Console, print_json
    from vlmbench.cli.output import document, say_where, show_table
    from vlmbench.foundations.errors import InputError
    from vlmbench.records.store import find_runs
    from vlmbench.report.grouping import refusals, unique
    from vlmbench.report.tables import build_tables, write_tables

    found = unique(find_runs(runs or [out]))
    refused = refusals(found)
    if refused and strict:
        raise InputError(refused[0], mend="compare runs on the same split and images, or leave --strict out")
    console = Console(quiet=quiet)
    for line in refused:
        console.warn(line)
    tables = build_tables(found)
    written = write_tables(tables, out)
    if json:
        print_json(document(found, written))
        return
    for table in tables:
        show_table(table)
    if not quiet:
        say_where(written)
