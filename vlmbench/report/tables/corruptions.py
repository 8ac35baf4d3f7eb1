"""The table of corrupted images: for each dataset and system a row per corruption, with a figure for each severity.

It is made where a dataset's images were corrupted in several ways; these runs have no rows in the classification table.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from vlmbench.data.corruptions.kinds import KINDS, SEVERITIES, Corruption
from vlmbench.data.names import CORRUPT, DatasetRef
from vlmbench.foundations.errors import InputError
from vlmbench.metrics.choice import DEFAULT
from vlmbench.metrics.corruption_error import Interval, corruption_errors, error_intervals, mean_intervals
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import main_metric, of_family, unique, variants
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, Column, Table, metric_cell
from vlmbench.report.tables.robustness import bare_system, classes_from, classifier

NAME = "corruptions"
_HEAD = ("dataset", "model", "classifier", "corruption")
_NOTE = (
    "Corruptions of Hendrycks and Dietterich 2019, severities 1 to 5; figures are times 100, with 95 % intervals in "
    "brackets (of means: bootstrap over images). Mean: over the severities that were run; last row: over corruptions."
)


@dataclass(frozen=True)
class Sweep:
    """One system on one dataset, its images corrupted in several ways."""

    dataset: str
    split: str
    model: str
    classifier: str
    metric: str
    clean: StoredRun | None
    runs: dict[Corruption, StoredRun]

    @property
    def kinds(self) -> list[str]:
        """In the order of `KINDS`."""
        there = {corruption.kind for corruption in self.runs}
        return [kind for kind in KINDS if kind in there]

    @property
    def severities(self) -> list[int] | None:
        """Those that every kind has; None where not all have the same."""
        found = {kind: [one for one in SEVERITIES if Corruption(kind, one) in self.runs] for kind in self.kinds}
        first = found[self.kinds[0]]
        return first if all(one == first for one in found.values()) else None

    def values(self, kind: str) -> list[float]:
        """The figures of a kind, by severity."""
        there = [self.runs[one] for one in (Corruption(kind, severity) for severity in SEVERITIES) if one in self.runs]
        return [run.record.metrics[self.metric].value for run in there]

    def by_severity(self, pairs: Pairs | None) -> list[tuple[float, float, float | None, float | None]]:
        """Severity, the mean over kinds, low and high; first severity 0, the clean images, if they were scored; nothing
        where kinds have different severities, or a single one."""
        severities, wrong = self.severities or [], self.wrong(pairs)
        if len(severities) < 2:
            return []
        ends = [(None, None)] * len(severities) if wrong is None else mean_intervals(wrong.transpose(0, 2, 1))
        found: list[tuple[float, float, float | None, float | None]] = []
        if self.clean is not None:
            clean = self.clean.record.metrics[self.metric]
            found.append((0.0, clean.value, clean.low, clean.high))
        for place, severity in enumerate(severities):
            there = [self.runs[Corruption(kind, severity)].record.metrics[self.metric].value for kind in self.kinds]
            low, high = ends[place]
            bounds = (None, None) if low is None or high is None else (1 - high, 1 - low)
            found.append((float(severity), float(np.mean(there)), *bounds))
        return found

    def wrong(self, pairs: Pairs | None) -> "np.ndarray | None":
        """[N, K, S] 1 where an image has the wrong answer; None where that is not what the figure is the mean of."""
        severities, runs = self.severities, list(self.runs.values())
        if pairs is None or severities is None or self.metric != DEFAULT or not pairs.has(*runs):
            return None
        found, first = [], self.runs[Corruption(self.kinds[0], severities[0])]
        for kind in self.kinds:
            for severity in severities:
                _, columns = pairs.aligned(first, self.runs[Corruption(kind, severity)])
                if "prediction" not in columns or "seed" in columns:
                    return None
                found.append(columns["prediction"] != columns["label"])
        return np.stack(found, axis=1).astype(np.float64).reshape(-1, len(self.kinds), len(severities))


@cache
def _parsed(id: str) -> tuple[str, Corruption | None]:
    ref = DatasetRef.parse(id) if f"{CORRUPT}=" in id else None
    return (id, None) if ref is None else (ref.clean.id, ref.corruption)


def sweeps(runs: Iterable[StoredRun]) -> list[Sweep]:
    """The systems on datasets that were corrupted in several ways."""
    chosen = unique(of_family(runs, "classification"))
    several = defaultdict[str, set[Corruption]](set)
    for run in chosen:
        dataset, corruption = _parsed(run.record.dataset.id)
        several[dataset] |= {corruption} if corruption is not None else set()
    groups: dict[tuple[str, str, str, str], list[StoredRun]] = {}
    for run in chosen:
        dataset = _parsed(run.record.dataset.id)[0]
        if len(several[dataset]) > 1:
            record = run.record
            trained_here = classes_from(record) in {None, dataset}
            system = bare_system(record) if trained_here else record.system
            key = (dataset, record.dataset.split, system, classifier(record))
            groups.setdefault(key, []).append(run)
    found = []
    for (dataset, split, system, words), members in groups.items():
        for label, same in variants(members, lambda run: run.record.dataset.id).items():
            corrupted = {one: run for run in same if (one := _parsed(run.record.dataset.id)[1]) is not None}
            clean = next((run for run in same if _parsed(run.record.dataset.id)[1] is None), None)
            if corrupted:
                metric = main_metric(next(iter(corrupted.values())).record)
                model = system + (f" ({label})" if label else "")
                found.append(Sweep(dataset, split, model, words, metric, clean, corrupted))
    return found


def without_sweeps(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """The runs but those on images that were corrupted in several ways, which this table shows."""
    shown = {run.path for sweep in sweeps(runs) for run in sweep.runs.values()}
    return [run for run in runs if run.path not in shown]


def corruptions_table(
    runs: Sequence[StoredRun], pairs: Pairs | None = None, relative_to: str | None = None
) -> Table | None:
    """The table; None where no dataset was corrupted in several ways.

    Args:
        runs: any runs.
        pairs: reads per-sample files for intervals of means; none leaves them out.
        relative_to: the model by whose errors those of all are divided.

    Raises:
        InputError: there is no such model among the runs.
    """
    found = sweeps(runs)
    if not found:
        if relative_to is None:
            return None
        raise InputError(
            "no runs with several corruptions", where="--relative-to", fix="vlmbench zeroshot --corrupt all:1-5"
        )
    if relative_to is not None and relative_to not in {sweep.model for sweep in found}:
        models = ", ".join(dict.fromkeys(sweep.model for sweep in found))
        raise InputError(f"no runs of {relative_to} on corrupted images", where="--relative-to", fix=f"one of {models}")
    columns = [Column(key, key) for key in _HEAD] + [Column("clean", "clean", True)]
    columns += [Column(f"severity_{severity}", str(severity), True) for severity in SEVERITIES]
    columns += [Column("mean", "mean", True), Column("ce", f"error / {relative_to}'s", True)]
    rows = [row for sweep in found for row in _rows(sweep, _baseline(found, sweep, relative_to), pairs)]
    notes = [_NOTE]
    if relative_to is not None:
        uncounted = [kind for kind in {kind: 0 for sweep in found for kind in sweep.kinds} if not KINDS[kind].benchmark]
        but = f"; {', '.join(uncounted)} not counted, as in the paper" if uncounted else ""
        divided = f"the sum of errors over severities by that of {relative_to}"
        notes.append(f"Corruption error: {divided}; last row: mCE{but}.")
    table = Table(NAME, "Corrupted images", tuple(columns), tuple(rows), tuple(notes))
    return table.without_empty_columns()


def _baseline(found: Sequence[Sweep], sweep: Sweep, model: str | None) -> Sweep | None:
    """The baseline's figures beside which a system's stand: of the same classifier, else of any."""
    same = (sweep.dataset, sweep.split, sweep.runs.keys())
    there = [one for one in found if one.model == model and (one.dataset, one.split, one.runs.keys()) == same]
    return next((one for one in there if one.classifier == sweep.classifier), there[0] if there else None)


def _rows(sweep: Sweep, baseline: Sweep | None, pairs: Pairs | None) -> list[tuple[Cell, ...]]:
    kinds, every = sweep.kinds, tuple(sweep.runs.values())
    wrong, their = sweep.wrong(pairs), baseline.wrong(pairs) if baseline is not None else None
    means = [float(np.mean(sweep.values(kind))) for kind in kinds]
    spread = [(1 - high, 1 - low) for low, high in mean_intervals(wrong)] if wrong is not None else None
    ratios: list[float] = []
    ends: list[Interval] | None = None
    counted = [place for place, kind in enumerate(kinds) if KINDS[kind].benchmark] or list(range(len(kinds)))
    if baseline is not None:
        one, other = (
            np.array([1 - sum(item.values(kind)) / len(item.values(kind)) for kind in kinds])[:, None]
            for item in (sweep, baseline)
        )
        each = corruption_errors(one, other)
        ratios = [*each.tolist(), float(each[counted].mean())]
        if wrong is not None and their is not None and wrong.shape == their.shape:
            ends = error_intervals(wrong, their, counted)
    rows = []
    for place, kind in enumerate([*kinds, "mean"]):
        last = place == len(kinds)
        there = {one.severity: run for one, run in sweep.runs.items() if one.kind == kind}
        cells = [Cell(text=sweep.dataset), Cell(text=sweep.model), Cell(text=sweep.classifier), Cell(text=kind)]
        cells.append(metric_cell(sweep.clean, sweep.metric) if sweep.clean is not None else Cell())
        for severity in SEVERITIES:
            if last:
                of = [run for one, run in sweep.runs.items() if one.severity == severity]
                full = len(of) == len(kinds)
                mean = float(np.mean([run.record.metrics[sweep.metric].value for run in of])) if full else None
                cells.append(Cell(value=mean, runs=tuple(of), mean=True) if full else Cell())
            else:
                cells.append(metric_cell(there[severity], sweep.metric) if severity in there else Cell())
        own = every if last else tuple(there.values())
        value = float(np.mean(means)) if last else means[place]
        low, high = spread[place] if spread is not None else (None, None)
        cells.append(Cell(value=value, low=low, high=high, runs=own, mean=True))
        if baseline is not None and np.isfinite(ratios[place]):
            low, high = ends[place] if ends is not None else (None, None)
            theirs = tuple(run for one, run in baseline.runs.items() if last or one.kind == kind)
            cells.append(Cell(value=ratios[place], low=low, high=high, runs=(*own, *theirs), mean=True))
        else:
            cells.append(Cell())
        rows.append(tuple(cells))
    return rows
