"""``vlmbench check``: the regression gate."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmbench.cli.options.common import Common, option, with_some

if TYPE_CHECKING:
    from vlmbench.api.results import CheckFiles


@with_some("out", "json", "quiet", "debug")
def command(
    common: Common,
    current: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CURRENT]...", help="Runs or results directories to check (default: --out).", show_default=False
        ),
    ] = None,
    baseline: Annotated[Path, option("--baseline", help="A baseline file, or a results directory.")] = Path(
        "results/baseline.json"
    ),
    tolerance: Annotated[
        list[str] | None,
        option(
            "--tolerance",
            metavar="[METRIC=]ABS",
            help="Allowed absolute drop (0.01: one point), for every metric or for a named one; repeatable.",
        ),
    ] = None,
    level: Annotated[float, option("--level", min=0.0, max=1.0, help="Family-wise error rate over all tests.")] = 0.05,
    allow_missing: Annotated[bool, option("--allow-missing", help="Allow runs of the baseline to be missing.")] = False,
    update: Annotated[bool, option("--update", help="Write the baseline from CURRENT instead of comparing.")] = False,
    junit: Annotated[Path | None, option("--junit", help="Also write JUnit XML here.")] = None,
    gitlab: Annotated[Path | None, option("--gitlab", help="Also write GitLab's code quality JSON here.")] = None,
) -> int:
    """Is anything worse than in the baseline? Exit 1 if so.

    A drop counts if it exceeds the tolerance and is significant in a paired test on the same images; if only
    figures are known, and for a metric without such a test (ece), if it exceeds the tolerance. Each dataset's own
    metric is gated, and every caption score; a metric named by --tolerance is gated too.

    Examples:
    [bold]vlmbench check results --baseline baseline.json --update[/bold]
    [bold]vlmbench check results --baseline baseline.json --tolerance accuracy=0.01[/bold]
    """
    import vlmbench
    from vlmbench.api.results import CheckFiles
    from vlmbench.cli.console import Console, print_json
    from vlmbench.cli.output import show_table
    from vlmbench.foundations.errors import EXIT_OK, EXIT_REGRESSION, VlmbenchError

    tolerances = _tolerances(tolerance or [])
    console = Console(quiet=common.quiet)
    given = current or [common.out]
    if update:
        names = vlmbench.save_baseline(baseline, given)
        console.note(f"wrote {baseline}: {len(names)} {'run' if len(names) == 1 else 'runs'}")
        if common.json:
            print_json({"baseline": str(baseline), "runs": names})
        return EXIT_OK
    try:
        outcome = vlmbench.check(baseline, given, tolerances, level=level, allow_missing=allow_missing)
    except VlmbenchError as error:
        _write_files(CheckFiles(error), junit, gitlab, str(baseline))
        raise
    if common.json:
        print_json(outcome.to_dict())
    else:
        show_table(*outcome.tables)
    _write_files(outcome, junit, gitlab, str(baseline))
    for path in filter(None, (junit, gitlab)):
        console.note(f"wrote {path}")
    return EXIT_REGRESSION if outcome.regressions else EXIT_OK


def _write_files(outcome: "CheckFiles", junit: Path | None, gitlab: Path | None, baseline: str) -> None:
    """Writes what CI systems read; on GitHub also the step's summary, and annotations (on stderr, which the runner
    reads too)."""
    from vlmbench.foundations.atomic import cannot_write, write_text

    if junit:
        write_text(junit, outcome.junit())
    if gitlab:
        write_text(gitlab, outcome.gitlab(baseline))
    text, annotations = outcome.github()
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8") as handle:
                handle.write(text)
        except OSError as error:
            raise cannot_write(Path(summary), error) from error
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in annotations:
            print(line, file=sys.stderr)


def _tolerances(given: list[str]) -> dict[str, float]:
    """``accuracy=0.01`` or ``0.01`` for every metric.

    Raises:
        UsageError: it is neither.
    """
    from vlmbench.api.options import not_a_tolerance, tolerances

    found = {}
    for item in given:
        name, _, value = item.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise not_a_tolerance(item) from error
    return tolerances(found)
