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

    Exit 3 where a figure, a byte or a file is not what the record says; each is named.
    """
    from vlmbench.cli.console import Console, print_json
    from vlmbench.foundations.errors import InputError
    from vlmbench.records.store import find_runs
    from vlmbench.report.verify import verify_run

    found = find_runs(runs or [common.out])
    console = Console(quiet=common.quiet)
    wrong: list[tuple[Path, str]] = []
    with console.task("verifying", len(found)) as advance:
        for run in found:
            wrong += [(run.path, line) for line in verify_run(run)]
            advance()
    without = [run.path for run in found if not run.record.record_sha256]
    if common.json:
        mismatches = [{"path": str(path), "mismatch": line} for path, line in wrong]
        print_json({"verified": len(found), "mismatches": mismatches, "without_checksum": list(map(str, without))})
    for path in without:
        console.warn(f"{path}: the record has no checksum (an earlier version wrote it, or it was removed)")
    if wrong:
        for path, line in wrong[1:]:
            console.warn(f"{path}: {line}")
        raise InputError(wrong[0][1], where=str(wrong[0][0]), fix="run the command again, or restore the file")
    figures = sum(len(run.record.metrics) for run in found)
    console.note(f"{len(found)} runs, {figures} figures: every one comes out again from its per-sample file")
