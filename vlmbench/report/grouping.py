"""Which runs may be shown side by side, which may not, and why.

Two runs share a place when dataset, split, content, n and main metric are the same; caption runs, in which images may
be missing, are grouped by `caption_blocks`. Within a place, runs of one model
whose protocols differ become rows of their own, named by the fields that differ.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vlmbench.metrics.choice import DEFAULT, deciding
from vlmbench.records.result import Record
from vlmbench.records.store import StoredRun

_LAST = ("seed", "versions", "captions", "dataset", "in")
"""Fields of little interest: they distinguish runs only where nothing else does."""


def main_metric(record: Record) -> str:
    """The dataset's own metric, as the run recorded it; where it did not, accuracy, or the first metric there is."""
    named = record.protocol.metric
    if named is not None and named in record.metrics:
        return named
    return next((name for name in deciding() if name in record.metrics), next(iter(record.metrics), DEFAULT))


def of_family(runs: Iterable[StoredRun], family: str) -> list[StoredRun]:
    """The runs of tasks with metrics of a family."""
    return [run for run in runs if run.record.spec.family == family]


@dataclass(frozen=True, order=True)
class Place:
    """What must be equal for two figures to be comparable."""

    dataset: str
    split: str
    n: int
    metric: str
    skipped: tuple[str, ...]
    content: str

    @staticmethod
    def of(record: Record) -> "Place":
        """The place of a record; `metric` is the task where all metrics are compared at once."""
        metric = main_metric(record) if record.spec.gated == "main" else record.task
        data = record.dataset
        return Place(data.id, data.split, record.n, metric, data.skipped, data.fingerprint)


def unique(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """The runs without copies of the same result in other directories, in their order."""
    seen: set[tuple[str, str]] = set()
    unique = []
    for run in runs:
        key = (run.record.signature, run.record.samples_sha256)
        if key not in seen or not any(key):
            seen.add(key)
            unique.append(run)
    return unique


def named_runs(runs: Sequence[StoredRun]) -> dict[Place, list[tuple[str, StoredRun]]]:
    """The runs of a task by place, in order; each with its system's name and what distinguishes it from others."""
    places: dict[Place, list[StoredRun]] = {}
    for run in runs:
        places.setdefault(Place.of(run.record), []).append(run)
    return {place: named(there) for place, there in sorted(places.items())}


def named(runs: Sequence[StoredRun]) -> list[tuple[str, StoredRun]]:
    """Runs of one place, each with its system's name and what distinguishes it from other runs of that system."""
    found = []
    for system in dict.fromkeys(run.record.system for run in runs):
        group = variants([run for run in runs if run.record.system == system], lambda run: 0)
        for label, members in group.items():
            found.append((system + (f" ({label})" if label else ""), members[0]))
    return found


def refusals(places: Iterable[Place]) -> dict[str, str]:
    """One line for each dataset whose runs are not all shown side by side, naming the fields that differ.

    Args:
        places: of the runs of one table.

    Returns:
        The lines, each with its dataset.
    """
    lines = {}
    distinct = sorted(set(places))
    for dataset in sorted({place.dataset for place in distinct}):
        words = _differing([place for place in distinct if place.dataset == dataset])
        if words:
            lines[f"{dataset}: not all runs are shown side by side, because they differ in {'; '.join(words)}"] = (
                dataset
            )
    return lines


def _differing(places: Sequence[Place]) -> list[str]:
    """The fields in which places of one dataset differ, with their values, in words."""
    words = []
    for name, show in _SHOWN.items():
        if len({getattr(place, name) for place in places}) > 1:
            values = list(dict.fromkeys(show(getattr(place, name)) for place in places))
            words.append(f"{name} ({', '.join(values[:SHOWN])}{', …' if len(values) > SHOWN else ''})")
    return words


_SHOWN: dict[str, Callable[[Any], str]] = {
    "split": str,
    "n": str,
    "metric": str,
    "content": lambda text: text[:8],
    "skipped": lambda names: f"{len(names)} images",
}
SHOWN = 6
"""How many values of a differing field are named."""


def place_labels(places: Sequence[Place]) -> dict[Place, str]:
    """A name for each place: the dataset, and what distinguishes it from other places of the same dataset."""
    labels = {}
    for place in places:
        others = [other for other in places if other.dataset == place.dataset and other != place]
        differing = []
        for name, words in (("split", "split {}"), ("n", "n {}"), ("metric", "{}"), ("content", "content {:.8}")):
            if any(getattr(other, name) != getattr(place, name) for other in others):
                differing.append(words.format(getattr(place, name)))
        labels[place] = place.dataset + (f" ({', '.join(differing)})" if differing else "")
    return labels


def fields(run: StoredRun) -> dict[str, str]:
    """What can distinguish two runs of one model, task and place, as short text."""
    record = run.record
    flat = {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in record.protocol.values().items()
    }
    return {
        "task": record.task,
        "system": record.system,
        **flat,
        "seed": str(record.seed),
        "versions": json.dumps(record.versions),
        "dataset": record.dataset.id,
        "in": str(run.path),
    }


def variants(runs: Sequence[StoredRun], role: Callable[[StoredRun], object]) -> dict[str, list[StoredRun]]:
    """Runs by variant: a text that names the fields in which runs of the same role differ; empty if none does.

    Runs of different roles (1 shot, 2 shots) that agree in those fields are of one variant.
    """
    by_role: dict[object, list[dict[str, str]]] = {}
    for run in runs:
        by_role.setdefault(role(run), []).append(fields(run))
    keys: list[str] = []
    for group in by_role.values():
        while len(group) > len({tuple(item.get(key, "") for key in keys) for item in group}):
            known = [key for item in group for key in item if key not in keys]
            known.sort(key=lambda key: _LAST.index(key) if key in _LAST else -1)
            split = next((key for key in known if len({item.get(key, "") for item in group}) > 1), None)
            if split is None:
                break
            keys.append(split)
    found: dict[str, list[StoredRun]] = {}
    for run in runs:
        item = fields(run)
        label = ", ".join(f"{key} {_short(item[key], end=key == 'in')}" for key in keys if key in item)
        found.setdefault(label, []).append(run)
    return found


def _short(text: str, *, end: bool = False) -> str:
    """At most 32 characters of a text; the end of a path, which distinguishes it from others."""
    if len(text) <= 32:
        return text
    return "…" + text[-29:] if end else text[:29] + "…"
