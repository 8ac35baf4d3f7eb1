"""The regression gate: a drop counts if it exceeds the tolerance and, where images are known, is significant.

The test is one-sided (is the new run worse?), on the same images, Holm-corrected over all tests of the command:
McNemar's exact test for accuracy, DeLong's for ROC AUC, the paired bootstrap for the rest; only calibration error (ece)
has none. So without a real change at most 5 % of checks raise an alarm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.differences import LEVEL, Difference
from vlmbench.metrics.spec import better, find
from vlmbench.records.signature import shortened
from vlmbench.records.store import natural
from vlmbench.report.gate.baseline import GateEntry, gated_whole
from vlmbench.report.gate.losses import Loss, listed, losses
from vlmbench.report.table import Cell, Column, Table

Verdict = Literal["regression", "worse", "same", "better"]

ROUNDING = 1e-6
"""Differences up to this are rounding (another machine, a packed baseline), not changes."""


@dataclass(frozen=True)
class Change:
    """One metric of one run, before and now."""

    key: str
    metric: str
    before: float
    now: float
    tolerance: float
    low: float | None = None
    high: float | None = None
    """95 % interval of now - before."""
    p: float | None = None
    """One-sided, Holm-corrected; None: only the figures are known, or there is no test."""
    signature: str = ""
    was: str = ""
    """The baseline's signature."""
    verdict: Verdict = "same"
    losses: tuple[Loss, ...] = ()
    """For a regression the classes, or images, that lost most."""

    @property
    def drop(self) -> float:
        """How much worse it is; negative if better."""
        return better(self.metric, self.before - self.now)

    @property
    def in_words(self) -> str:
        """The verdict; of a drop that is no regression, why it is none."""
        if self.verdict != "worse":
            return self.verdict
        return "worse, within tolerance" if self.drop <= self.tolerance + ROUNDING else "worse, not significant"


@dataclass(frozen=True)
class Outcome:
    """What the gate found, worst first, and what it could not compare."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The changes that fail the gate."""
        return tuple(change for change in self.changes if change.verdict == "regression")


def run_gate(
    baseline: Sequence[GateEntry],
    current: Sequence[GateEntry],
    tolerances: Mapping[str, float],
    *,
    level: float = LEVEL,
    allow_missing: bool = False,
) -> Outcome:
    """Compares run by run and metric by metric.

    Args:
        baseline: the entries to compare with.
        current: the new entries.
        tolerances: absolute, by metric, in the records' own scale; ``""`` for every metric not named (0 if
            absent). A metric named here is gated even if it is not the run's main metric.
        level: the family-wise error rate over all tests.
        allow_missing: a run of the baseline without a new one is a note, not an error.

    Raises:
        InputError: a run is missing or cannot be compared (the field that differs is named), or nothing is left.
    """
    from vlmbench.metrics.stats.paired import holm

    new = {entry.key: entry for entry in current}
    notes = [f"not in the baseline: {entry.key}" for entry in current if entry.key not in {old.key for old in baseline}]
    changes: list[Change] = []
    for old in baseline:
        found = new.get(old.key)
        if found is None:
            if not allow_missing:
                there = ", ".join(sorted(set(new) - {entry.key for entry in baseline})[:3])
                raise InputError(
                    "a run of the baseline is missing from the new results"
                    + (f", which have, not in the baseline, {there}" if there else ""),
                    where=old.key,
                    fix="run it again, allow it with --allow-missing, or rewrite the baseline with --update",
                )
            notes.append(f"missing from the new results: {old.key}")
            continue
        _require_comparable(old, found)
        missing = [name for name in _gated(old, tolerances) if name not in found.metrics]
        if missing and not allow_missing:
            raise InputError(
                f"figures of the baseline are missing from the new results: {', '.join(missing)}",
                where=old.key,
                fix="run it again with these metrics, allow it with --allow-missing, or rewrite the baseline with "
                "--update",
            )
        notes += [f"missing from the new results: {name} of {old.key}" for name in missing]
        notes += [entry.remark for entry in (old, found) if entry.remark and entry.remark not in notes]
        changes += _changes(old, found, tolerances)
    if not changes:
        raise InputError("nothing to compare", fix="compare runs with a metric in common with the baseline")
    tested = [index for index, change in enumerate(changes) if change.p is not None]
    for index, p in zip(tested, holm([changes[index].p or 0.0 for index in tested]), strict=True):
        changes[index] = replace(changes[index], p=p)
    judged = [replace(change, verdict=_verdict(change, level)) for change in changes]
    before = {entry.key: entry for entry in baseline}
    judged = [
        replace(item, losses=losses(before[item.key], new[item.key], item.metric))
        if item.verdict == "regression"
        else item
        for item in judged
    ]
    order = {"regression": 0, "worse": 1, "same": 2, "better": 3}
    judged.sort(key=lambda change: (order[change.verdict], -round(change.drop, 9), natural(change.key), change.metric))
    return Outcome(tuple(judged), tuple(notes))


def _require_comparable(old: GateEntry, new: GateEntry) -> None:
    for name in ("n", "metric", "content", "classes"):
        before, now = old.comparable.get(name), new.comparable.get(name)
        if before != now and not (name == "classes" and None in (before, now)):  # earlier versions stored no classes
            raise InputError(
                f"cannot be compared with the baseline: {name} was {before} and is {now}",
                where=old.key,
                fix="run on the same images, or rewrite the baseline with --update",
            )
    shapes = [{name: column.shape[1:] for name, column in entry.columns.items()} for entry in (old, new)]
    unlike = [name for name in shapes[0] if shapes[0][name] != shapes[1].get(name, shapes[0][name])]
    if (old.ids and new.ids and old.ids != new.ids) or (unlike and new.ids):
        raise InputError(
            "cannot be compared with the baseline: the image ids differ although the content is the same",
            where=old.key,
            fix="one of the two was edited: rerun it, or rewrite the baseline with --update",
        )


def _gated(old: GateEntry, tolerances: Mapping[str, float]) -> list[str]:
    """The metrics of a run of the baseline that are compared."""
    return [
        name
        for name in old.metrics
        if name in tolerances or name == old.main or (old.main in gated_whole() and not untested(name))
    ]


def _changes(old: GateEntry, new: GateEntry, tolerances: Mapping[str, float]) -> list[Change]:
    gated = [name for name in _gated(old, tolerances) if name in new.metrics]
    shared = set(old.columns) & set(new.columns)
    testable = [name for name in gated if tested(name, shared)] if old.ids == new.ids else []
    tests = _tests(old, new, testable) if testable else {}
    found = []
    for name in gated:
        change = Change(
            old.key,
            name,
            old.metrics[name],
            new.metrics[name],
            tolerances.get(name, tolerances.get("", 0.0)),
            signature=new.signature,
            was=old.signature,
        )
        if name in tests:
            test = tests[name]
            half = test.p / 2
            change = replace(change, low=test.low, high=test.high, p=half if change.drop > 0 else 1 - half)
        found.append(change)
    return found


def untested(metric: str) -> bool:
    """Whether a metric declares that it has no paired test."""
    spec = find(metric)
    return spec is not None and spec.test is None


def tested(metric: str, columns: Iterable[str]) -> bool:
    """Whether a metric has a paired test for which `columns` (names) are enough."""
    spec = find(metric)
    return spec is not None and spec.testable(dict.fromkeys(columns))


def _tests(old: GateEntry, new: GateEntry, names: Sequence[str]) -> dict[str, Difference]:
    """Now minus before, by metric; both have the same images in the same order, so they are numbered."""
    import numpy as np

    from vlmbench.metrics.differences import differences

    rows = len(next(iter(old.columns.values())))
    ids = np.arange(rows) // (len(np.unique(old.columns["seed"])) if "seed" in old.columns else 1)
    return differences({"id": ids, **new.columns}, {"id": ids, **old.columns}, names)


def _verdict(change: Change, level: float) -> Verdict:
    significant = change.p is None or change.p < level
    if change.drop > change.tolerance + ROUNDING and significant:
        return "regression"
    if change.drop > ROUNDING:
        return "worse"
    return "better" if change.drop < -ROUNDING else "same"


def _changed(change: Change) -> str:
    """In which fields a signature differs from the baseline's."""
    (was, now), _ = shortened([change.was, change.signature])
    return f"the signature was {was} and is {now}" if was != now else "the signature is that of the baseline"


def outcome_table(outcome: Outcome) -> Table:
    """The outcome as a table, worst first."""
    columns = (
        Column("run", "run"),
        Column("metric", "metric"),
        Column("baseline", "baseline", True),
        Column("now", "now", True),
        Column("change", "change", True),
        Column("tolerance", "tolerance", True),
        Column("p_holm", "p (Holm)", True),
        Column("verdict", "verdict"),
    )
    rows = []
    for change in outcome.changes:
        ends = (change.low, change.high) if change.low or change.high else (None, None)
        moved = Cell(value=change.now - change.before, low=ends[0], high=ends[1], signed=True)
        p = Cell(text="no test" if change.p is None else f"{change.p:.3g}", p=change.p)
        figures = (Cell(value=change.before), Cell(value=change.now), moved, Cell(value=change.tolerance), p)
        rows.append((Cell(text=change.key), Cell(text=change.metric), *figures, Cell(text=change.in_words)))
    failed = len(outcome.regressions)
    title = f"{failed} regression{'s' if failed != 1 else ''}" if failed else "No regression"
    notes = (
        "Figures are times 100. A regression exceeds its tolerance and, where images are known, is significant "
        "(one-sided paired test, Holm-corrected).",
        *(f"Lost most in {item.key}, {item.metric}: {listed(item.losses)}." for item in outcome.changes if item.losses),
        *(f"{change.key}: {_changed(change)}." for change in outcome.regressions),
        *outcome.notes,
    )
    return Table("check", title, columns, tuple(rows), notes)
