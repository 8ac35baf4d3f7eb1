"""Rows of a table that show results of another program: no interval, never tested, never the best, their file named."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from vlmbench.foundations.text import visible
from vlmbench.records.foreign import PROGRAM, Foreign
from vlmbench.report.published import dataset_name
from vlmbench.report.table import Cell

if TYPE_CHECKING:
    from vlmbench.data.catalogue import Listed

CLASSIFICATION = {"zeroshot_classification": "zero_shot", "linear_probe": "probe"}
"""Tasks and the columns of the classification table that show them."""
RETRIEVAL = "zeroshot_retrieval"
METRICS = {
    "acc1": "accuracy",
    "acc5": "accuracy_top5",
    "mean_per_class_recall": "mean_per_class_accuracy",
    "mean_average_precision": "map",
}
"""Their names to ours; a linear probe's begin with ``lp_``. Their average precision is not that of 11 points."""
_RECALL = re.compile(r"(image|text)_retrieval_recall@(\d+)")
_NAMED = 4
ALL_LABELS = -1.0
"""What ``fewshot_k`` is for a probe on all labels."""


@cache
def _catalogue() -> "dict[str, Listed]":
    from vlmbench.data.catalogue import listed  # here, because it loads what opens images

    return listed()


@cache
def _by_hub_id() -> dict[str, str]:
    return {entry.hub_id: name for name, entry in _catalogue().items()}


def dataset_of(name: str) -> str:
    """Our name of one of their datasets (``wds/vtab/flowers``: ``flowers102``); theirs where the catalogue has none."""
    bare = name.removeprefix("wds/")
    found = _by_hub_id().get(f"clip-benchmark/wds_{bare.replace('/', '-')}", "")
    short = bare.removeprefix("vtab/")
    return found.removeprefix("wds/").removeprefix("clip-benchmark/") or dataset_name(short) or short


def same_dataset(id: str) -> str:
    """The name that a record's dataset has in `dataset_of`: ``hf:mteb/cifar10@1f2e`` is ``cifar10``."""
    bare = id.removeprefix("hf:").partition("@")[0].partition(":")[0].partition("?")[0]
    name = dataset_name(id) or _by_hub_id().get(bare, bare)
    return name.removeprefix("wds/").removeprefix("clip-benchmark/")


def metrics_of(result: Foreign) -> dict[str, float]:
    """The figures of a result by our names; what we have no name for is left out."""
    found = {}
    for name, value in result.metrics.items():
        recall = _RECALL.fullmatch(name)
        if recall is not None:
            direction = "text_to_image" if recall[1] == "image" else "image_to_text"
            found[f"{direction}_recall_{recall[2]}"] = value
        elif ours := METRICS.get(name.removeprefix("lp_")):
            found[ours] = value
    return found


def left_out(results: Iterable[Foreign]) -> list[str]:
    """A line for each result that no table shows, and why."""
    lines = []
    for result in results:
        shown = result.task in CLASSIFICATION or result.task == RETRIEVAL
        shots = result.metrics.get("fewshot_k", ALL_LABELS)
        if shots != ALL_LABELS:
            why = f"a probe on {shots:g} labels a class has no column in a table of all labels"
        elif not shown:
            why = f"no table of this vlmbench shows the task {result.task}"
        elif not metrics_of(result):
            why = "it holds no figure that vlmbench has"
        else:
            continue
        lines.append(f"{PROGRAM}'s {visible(result.system)} on {visible(result.dataset)} is left out: {why}")
    return lines


def usable(results: Iterable[Foreign]) -> list[Foreign]:
    """The results that a table can show, without copies of one in several files."""
    kept: dict[object, Foreign] = {}
    for result in results:
        if not left_out([result]):
            figures = tuple(sorted(result.metrics.items()))
            kept.setdefault((result.dataset, result.system, result.task, result.language, figures), result)
    return list(kept.values())


@dataclass
class _Row:
    dataset: str
    label: str
    shown: dict[str, Foreign] = field(default_factory=dict)
    """The results by task."""


def _rows(results: Sequence[Foreign], tasks: Iterable[str]) -> list[_Row]:
    """A row for each dataset, system and language with its results; for each file, where several have other figures."""
    found: dict[tuple[str, str], _Row] = {}
    for result in results:
        if result.task not in tasks:
            continue
        name, language = dataset_of(result.dataset), result.language
        told = [PROGRAM, *([language] if language not in {"", "en"} else [])]
        row = found.get((name, f"{result.system} ({', '.join(told)})"))
        if row is not None and result.task in row.shown:
            told.append(str(result.path))
        label = f"{result.system} ({', '.join(told)})"
        found.setdefault((name, label), _Row(name, label)).shown[result.task] = result
    return [found[key] for key in sorted(found)]


def cell(result: Foreign, metric: str) -> Cell:
    """One figure, without interval and run, with its source; empty where the result has no such metric."""
    value = metrics_of(result).get(metric)
    return Cell() if value is None else Cell(value=value, source=f"{PROGRAM}: {visible(str(result.path))}")


def classification_lines(results: Sequence[Foreign], metric_on: Mapping[str, str]) -> dict[str, list[dict[str, Cell]]]:
    """Lines of the classification table by dataset, each with its cells by column.

    Args:
        results: from `usable`.
        metric_on: the metric of our own rows by dataset, which theirs show too where they have it.
    """
    found: dict[str, list[dict[str, Cell]]] = {}
    for row in _rows(results, CLASSIFICATION):
        entry = _catalogue().get(row.dataset)
        wanted = [metric_on.get(row.dataset, ""), entry.metric if entry else "", "accuracy", "map"]
        have = {name for result in row.shown.values() for name in metrics_of(result)}
        metric = next((name for name in wanted if name in have), min(have))
        figures = {CLASSIFICATION[task]: cell(result, metric) for task, result in row.shown.items()}
        found.setdefault(row.dataset, []).append({"model": Cell(row.label), "metric": Cell(metric), **figures})
    return found


def retrieval_lines(results: Sequence[Foreign], names: Sequence[str]) -> dict[str, list[dict[str, Cell]]]:
    """Lines of the retrieval table by dataset, each with its cells by column; `names` are the recalls."""
    found: dict[str, list[dict[str, Cell]]] = {}
    for row in _rows(results, [RETRIEVAL]):
        figures = {name: cell(row.shown[RETRIEVAL], name) for name in names}
        found.setdefault(row.dataset, []).append({"model": Cell(row.label), **figures})
    return found


def among(
    lines: Sequence[list[Cell]],
    ids: Sequence[str],
    foreign: Mapping[str, list[dict[str, Cell]]],
    columns: Sequence[str],
) -> list[list[Cell]]:
    """The table's lines with the foreign ones after the last line of their dataset, or at the end.

    Args:
        lines: our own.
        ids: the dataset id of each.
        foreign: lines by dataset.
        columns: the keys of the table's columns, of which ``dataset`` is the first.
    """
    last = {same_dataset(id): index for index, id in enumerate(ids)}
    labels: dict[str, set[str]] = {}
    for line, id in zip(lines, ids, strict=True):
        labels.setdefault(same_dataset(id), set()).add(line[0].text)

    def theirs(name: str, text: str) -> list[list[Cell]]:
        return [[Cell(text), *(line.get(column, Cell()) for column in columns[1:])] for line in foreign[name]]

    out: list[list[Cell]] = []
    for index, (line, id) in enumerate(zip(lines, ids, strict=True)):
        out.append(line)
        name = same_dataset(id)
        if name in foreign and last[name] == index:
            out += theirs(name, line[0].text if len(labels[name]) == 1 else id)
    for name in foreign:
        out += theirs(name, name) if name not in last else []
    return out


def note(results: Sequence[Foreign]) -> str:
    """What has to be known of the rows of these results."""
    paths = list(dict.fromkeys(visible(str(result.path)) for result in results))
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return (
        f"{PROGRAM}: figures of that program, without intervals, neither tested nor marked; its files do not say n or "
        f"split. Read from {', '.join(paths[:_NAMED])}{more}."
    )
