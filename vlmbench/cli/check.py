"""``vlmbench check``: the regression gate."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmbench.cli.options import Common, option, with_some

if TYPE_CHECKING:
    from vlmbench.report.gate import Outcome


@with_some("out", "json", "quiet", "debug")
def command(
    common: Common,
    current: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CURRENT]...", help="The new runs or results directories (default: --out).", show_default=False
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
            help="The drop allowed, absolute (0.01: one point); of every metric where none is named; repeat for more.",
        ),
    ] = None,
    level: Annotated[float, option("--level", min=0.0, max=1.0, help="Error rate over all tests of the call.")] = 0.05,
    allow_missing: Annotated[
        bool, option("--allow-missing", help="A run of the baseline may be missing among the new ones.")
    ] = False,
    update: Annotated[bool, option("--update", help="Write the baseline from CURRENT instead of comparing.")] = False,
    junit: Annotated[Path | None, option("--junit", help="Also write JUnit XML here.")] = None,
    gitlab: Annotated[Path | None, option("--gitlab", help="Also write GitLab's code quality JSON here.")] = None,
) -> int:
    """Is anything worse than in the baseline? Exit 1 if so.

    A drop counts when it is beyond the tolerance and significant by a paired test on the same images; where only
    figures are known, and for the calibration error (ece), when it is beyond the tolerance. Each dataset's own metric
    is gated, and every caption score; a metric named by --tolerance is gated too.
    """
    from vlmbench.cli.console import Console, print_json
    from vlmbench.cli.output import show_table
    from vlmbench.foundations.atomic import write_json, write_text
    from vlmbench.foundations.errors import EXIT_OK, EXIT_REGRESSION
    from vlmbench.records.store import find_runs
    from vlmbench.report import ci
    from vlmbench.report.baseline import entries_from_runs, read_baseline, to_json
    from vlmbench.report.gate import outcome_table, run_gate

    tolerances = _tolerances(tolerance or [])
    console = Console(quiet=common.quiet)
    entries = entries_from_runs(find_runs(current or [common.out]))
    if update:
        write_json(baseline, to_json(entries))
        console.note(f"wrote {baseline}: {len(entries)} {'run' if len(entries) == 1 else 'runs'}")
        if common.json:
            print_json({"baseline": str(baseline), "runs": [entry.key for entry in entries]})
        return EXIT_OK
    _check_names(tolerances, {name for entry in entries for name in entry.metrics})
    outcome = run_gate(read_baseline(baseline), entries, tolerances, level=level, allow_missing=allow_missing)
    if junit:
        write_text(junit, ci.junit_xml(outcome))
    if gitlab:
        write_text(gitlab, ci.gitlab_quality(outcome, str(baseline)))
    if common.json:
        print_json(ci.json_document(outcome))
    else:
        show_table(outcome_table(outcome))
    _on_github(outcome)
    return EXIT_REGRESSION if outcome.regressions else EXIT_OK


def _on_github(outcome: "Outcome") -> None:
    """Appends to the step's summary and prints annotations (on stderr, where the runner reads them too)."""
    from vlmbench.foundations.atomic import cannot_write
    from vlmbench.report import ci

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8") as handle:
                handle.write(ci.github_summary(outcome))
        except OSError as error:
            raise cannot_write(Path(summary), error) from error
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in ci.github_annotations(outcome):
            print(line, file=sys.stderr)


def _tolerances(given: list[str]) -> dict[str, float]:
    """``accuracy=0.01`` or ``0.01`` for every metric.

    Raises:
        UsageError: it is neither.
    """
    from vlmbench.foundations.errors import UsageError

    found = {}
    for item in given:
        name, _, value = item.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] <= 10:
            raise UsageError(
                f"not a tolerance: {item}",
                where="--tolerance",
                mend="METRIC=ABS with ABS from 0 to 10, as accuracy=0.01",
            )
    return found


def _check_names(tolerances: dict[str, float], present: set[str]) -> None:
    """A mistyped metric would be gated by nothing, or by 0.

    Raises:
        UsageError: a tolerance is for a metric that no run has and `vlmbench list metrics` does not name.
    """
    if not set(tolerances) - present - {""}:
        return
    from vlmbench.foundations.errors import UsageError
    from vlmbench.records.registry import nearest
    from vlmbench.runs.catalogue import metrics

    known = sorted(present | {row["name"] for row in metrics()})
    for name in sorted(set(tolerances) - {"", *known}):
        raise UsageError(
            f"no such metric: {name}",
            where="--tolerance",
            mend=nearest(name, known, "vlmbench list metrics"),
        )
