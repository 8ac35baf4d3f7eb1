"""The functions of `vlmbench` on existing runs: `load_runs`, `compare`, `check`, `save_baseline`, `verify`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

from vlmbench.api import options
from vlmbench.api.options import AnyPath
from vlmbench.api.results import CheckOutcome, Comparison, Result, Results, Table
from vlmbench.api.rows import Mismatch, Verification
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.paths import is_there
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.text import visible
from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun, find_results, find_runs, natural

Runs = AnyPath | Result | Results | Iterable[AnyPath | Result | Results]
"""Runs in memory, run directories, results directories, or several of these."""


def load_runs(paths: AnyPath | Iterable[AnyPath]) -> Results:
    """Every finished run at or below the paths: run directories, results directories, ``result.json`` files.

    Raises:
        AbsentError: there is nothing at a path.
        InputError: a path holds no finished run, or one that cannot be read.
    """
    return Results(find_runs(_parts(paths)[1]))


def compare(
    runs: Runs,
    *,
    metric: str | None = None,
    relative_to: str | None = None,
    positive: str | None = None,
    threshold: float | str | None = None,
    columns: Iterable[str] | None = None,
) -> Comparison:
    """Runs side by side, with paired tests between systems on the same images, Holm-corrected.

    Args:
        runs: results of a function, run directories, results directories, results of CLIP_benchmark; or several of
            these, shown in this order. ``"NAME=PATH"`` renames the system whose runs are at PATH.
        metric: the metric of classification tables and tests; None: each dataset's own.
        relative_to: the model by whose errors on corrupted images those of all are divided (mCE).
        positive: the positive class of two-class sets; None: the second.
        threshold: an image is positive if that class's probability is at least this; None: one half. Or chosen on each
            probe's validation images: ``"sensitivity=0.95"``, ``"specificity=0.9"``, ``"youden"``.
        columns: the figures to show, by their names in the CSV's header (``cider``), in this order; None: all.

    Raises:
        AbsentError: there is nothing at a path.
        InputError: a path holds no run, no run has the metric, there is no such model or class, or no run has
            validation images to choose a threshold on.
        UsageError: the threshold is neither such a rule nor a number from 0 to 1, or no table has one of the columns.
    """
    from vlmbench.report.grouping import unique
    from vlmbench.report.tables.chosen import by_metric
    from vlmbench.report.tables.foreign import left_out
    from vlmbench.report.tables.write import build_tables

    stored, paths = _parts(runs)
    there, foreign = _named_results(paths)
    found, lacking = unique({run.path.resolve(): run for run in (*stored, *there)}.values()), list[str]()
    if metric is not None:
        found, lacking = by_metric(found, metric)
    point = None
    if positive is not None or threshold is not None:
        from vlmbench.report.tables.per_class import OperatingPoint

        point = OperatingPoint.parse(positive, threshold)
    tables = build_tables(found, every_pair=True, foreign=foreign, relative_to=relative_to, point=point)
    if columns is not None:
        tables = _only(tables, list(columns))
    refused = tuple(line for table in tables for line in table.refused)
    return Comparison(Results(found), tuple(tables), refused, (*lacking, *refused, *left_out(foreign)), tuple(foreign))


def check(
    baseline: AnyPath | Result | Results,
    current: Runs,
    tolerances: float | Mapping[str, float] | None = None,
    *,
    level: float = 0.05,
    allow_missing: bool = False,
) -> CheckOutcome:
    """The regression gate: is anything worse than in the baseline?

    A drop counts when it is beyond its tolerance and, where it can be tested, significant by a paired test on the same
    images, Holm-corrected over all tests of the call.

    Args:
        baseline: a baseline file, a results directory, or runs.
        current: the new runs.
        tolerances: the drop allowed, absolute and in the records' own scale (0.01: one point of accuracy); by metric,
            or one number for all; None: 0. A metric that is named is gated even where it is not the dataset's own.
        level: the error rate over all tests of the call.
        allow_missing: a run of the baseline may be missing among the new ones.

    Raises:
        AbsentError: there is nothing at a path.
        InputError: a path holds no run, or runs cannot be compared (the field that differs is named).
        UsageError: a tolerance is no number from 0 to 10, or for a metric that does not exist.
    """
    from vlmbench.report.gate.baseline import entries_from_runs, read_baseline
    from vlmbench.report.gate.run import run_gate

    if not 0 <= level <= 1:
        raise UsageError(f"--level is {level}", where="--level", fix="a number from 0 to 1")
    allowed = options.tolerances(tolerances)
    new, paths = _parts(current)
    entries = entries_from_runs(_sorted([*new, *find_runs(paths)]))
    options.require_tolerances(allowed, {name for entry in entries for name in entry.metrics})
    old, files = _parts(baseline)
    before = entries_from_runs(old) if old else read_baseline(files[0])
    return CheckOutcome(run_gate(before, entries, allowed, level=level, allow_missing=allow_missing))


def save_baseline(path: AnyPath, runs: Runs) -> list[str]:
    """Writes the baseline of `check` from runs.

    Args:
        path: the file.
        runs: as for `compare`.

    Returns:
        The names of the runs in it.

    Raises:
        AbsentError: there is nothing at a path.
        InputError: a path holds no run, or two runs have one name.
        OutputError: the file cannot be written.
    """
    from vlmbench.foundations.atomic import write_json
    from vlmbench.report.gate.baseline import entries_from_runs, to_json

    stored, paths = _parts(runs)
    entries = entries_from_runs(_sorted([*stored, *(find_runs(paths) if paths else [])]))
    write_json(Path(path), to_json(entries))
    return [entry.key for entry in entries]


def verify(runs: Runs, *, reporter: Reporter | None = None) -> Verification:
    """Recomputes every figure from its per-sample file, and checks hash, signature and n.

    Args:
        runs: as for `compare`.
        reporter: hears of progress; None: nobody does.

    Raises:
        AbsentError: there is nothing at a path.
        InputError: a path holds no run.
    """
    from vlmbench.report.verify import verify_run

    stored, paths = _parts(runs)
    found = _sorted([*stored, *(find_runs(paths) if paths else [])])
    wrong: list[Mismatch] = []
    with (reporter or Silent()).task("verifying", len(found)) as advance:
        for run in found:
            wrong += [Mismatch(run.path, line) for line in verify_run(run)]
            advance()
    return Verification(Results(found), tuple(wrong), tuple(run.path for run in found if not run.record.record_sha256))


def update_tables(results: Results, out: AnyPath) -> Comparison:
    """The tables over everything in a results directory, these runs among it, as every command rewrites them.

    Args:
        results: runs that were made just now.
        out: the results directory.

    Raises:
        InputError: a record in `out` cannot be read.
    """
    from vlmbench.report.tables.write import build_tables

    directory, present = Path(out) / "runs", {run.path.resolve() for run in results.runs}
    others = find_runs([directory]) if any(directory.glob("*/result.json")) else []
    everything = [*results.runs, *(run for run in others if run.path.resolve() not in present)]
    return Comparison(Results(everything), tuple(build_tables(everything)))


def _parts(given: Runs) -> tuple[list[StoredRun], list[Path]]:
    """Runs that are in memory, and paths."""
    runs: list[StoredRun] = []
    paths: list[Path] = []
    for item in [given] if isinstance(given, str | PathLike | Result | Results) else given:
        if isinstance(item, Result | Results):
            runs += [item.run] if isinstance(item, Result) else item.runs
        else:
            paths.append(Path(item))
    if not runs and not paths:
        raise UsageError("no runs were given", fix="give a results directory, or the results of vlmbench.zeroshot")
    return runs, paths


def _named_results(paths: Iterable[Path]) -> tuple[list[StoredRun], list[Foreign]]:
    """The results at each path; those of ``NAME=PATH`` belong to a system of that name, or to several that it precedes.
    Raises `UsageError` where the name or the path is empty."""
    found, foreign = list[StoredRun](), list[Foreign]()
    for path in paths:
        name, equals, rest = str(path).partition("=")
        if not equals or is_there(path):
            name, rest = "", str(path)
        elif not name.strip() or not rest:
            raise UsageError(
                f"not NAME=PATH: {visible(str(path))}", fix="vlmbench compare new=results/new old=results/old"
            )
        runs, theirs = find_results([Path(rest)])
        alone = len({run.record.system for run in runs}) == 1
        for run in runs:
            system = name if alone else f"{name}: {run.record.system}"
            found.append(replace(run, record=run.record.model_copy(update={"system": system})) if name else run)
        foreign += theirs
    return found, foreign


def _only(tables: list[Table], columns: list[str]) -> list[Table]:
    known = {
        key
        for table in tables
        for one in (table, *table.extra)
        for key in (column.key for column in one.columns if column.figures)
    }
    wrong = [key for key in columns if key not in known]
    if wrong or not columns:
        said = ", ".join(map(visible, wrong)) or "none given"
        raise UsageError(f"no such column: {said}", where="--columns", fix=f"choose from {', '.join(sorted(known))}")
    return [table.only(columns) for table in tables]


def _sorted(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Without duplicates, sorted by directory names, like `find_runs`."""
    return sorted({run.path.resolve(): run for run in runs}.values(), key=lambda run: natural(run.path.name))
