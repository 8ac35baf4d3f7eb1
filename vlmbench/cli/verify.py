"""``vlmbench verify``: recomputes every figure of a record from its per-sample file."""

from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options.common import Common, with_some


@with_some("out", "json", "quiet", "debug")
def command(
    common: Common,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN_OR_DIR]...", help="Runs and results directories (default: --out).", show_default=False
        ),
    ] = None,
) -> None:
    """Recomputes every figure from its per-sample file, and checks hash, signature and n.

    Exit 3 if a figure, a byte or a file is not what the record says; each is named.

    Example: [bold]vlmbench verify results[/bold]
    """
    import vlmbench
    from vlmbench.cli.console import Console, print_json
    from vlmbench.foundations.errors import InputError

    console = Console(quiet=common.quiet)
    found = vlmbench.verify(runs or [common.out], reporter=console)
    if common.json:
        print_json(found.to_dict())
    for path in found.without_checksum:
        console.warn(f"{path}: the record has no checksum (written by an earlier version, or removed)")
    if found.mismatches:
        first, *rest = found.mismatches
        for one in rest:
            console.warn(f"{one.path}: {one.mismatch}")
        raise InputError(first.mismatch, where=str(first.path), fix="rerun the command, or restore the file")
    figures = sum(len(run.metrics) for run in found.results)
    console.note(f"{len(found.results)} runs, {figures} figures: all are reproduced from their per-sample files")
