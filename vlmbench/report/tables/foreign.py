"""Rows of a table with results of another program: no interval, never tested or marked, their file named."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from vlmbench.data.names import bare_name
from vlmbench.foundations.text import visible
from vlmbench.metrics.choice import deciding
from vlmbench.metrics.spec import specs
from vlmbench.records.foreign import PROGRAM, Foreign
from vlmbench.report.grouping import Place
from vlmbench.report.table import Cell, Column
from vlmbench.report.tables.published import dataset_name

if TYPE_CHECKING:
    from vlmbench.data.catalogue import CatalogueRow

CLASSIFICATION = {"zeroshot_classification": "zero_shot", "linear_probe": "probe"}
"""Tasks and the columns of the classification table that show them."""
RETRIEVAL = "zeroshot_retrieval"
_NAMED = 4
ALL_LABELS = -1.0
"""What ``fewshot_k`` is for a probe on all labels."""


@cache
def _catalogue() -> "dict[str, CatalogueRow]":
    from vlmbench.data.catalogue import listed  # here, because it loads what opens images

    return listed()


@cache
def _by_hub_id() -> dict[str, str]:
    return {entry.hub_id: name for name, entry in _catalogue().items()}


def dataset_of(name: str) -> str:
    """Our name for one of their datasets (``wds/vtab/flowers``: ``flowers102``); theirs if the catalogue has none."""
    bare = name.removeprefix("wds/")
    found = _by_hub_id().get(f"clip-benchmark/wds_{bare.replace('/', '-')}", "")
    short = bare.removeprefix("vtab/")
    return found.removeprefix("wds/").removeprefix("clip-benchmark/") or dataset_name(short) or short


def same_dataset(id: str) -> str:
    """The name of a record's dataset as `dataset_of` gives it: ``hf:mteb/cifar10@1f2e`` is ``cifar10``."""
    bare = bare_name(id)
    name = dataset_name(id) or _by_hub_id().get(bare, bare)
    return name.removeprefix("wds/").removeprefix("clip-benchmark/")


def metrics_of(result: Foreign) -> dict[str, float]:
    """The figures of a result by our names; those without one are left out. A probe's begin with ``lp_``."""
    ours = {theirs: spec.name for spec in specs().values() for theirs in spec.elsewhere}
    return {ours[bare]: value for name, value in result.metrics.items() if (bare := name.removeprefix("lp_")) in ours}


def left_out(results: Iterable[Foreign]) -> list[str]:
    """One line for each result that no table shows, with the reason."""
    lines = []
    for result in results:
        shown = result.task in CLASSIFICATION or result.task == RETRIEVAL
        shots = result.metrics.get("fewshot_k", ALL_LABELS)
        if shots != ALL_LABELS:
            why = f"a probe on {shots:g} labels per class has no column in a table of probes on all labels"
        elif not shown:
            why = f"no table of this version shows the task {result.task}"
        elif not metrics_of(result):
            why = "it has no metric that vlmbench knows"
        else:
            continue
        lines.append(f"{PROGRAM}'s result for {visible(result.system)} on {visible(result.dataset)} is left out: {why}")
    return lines


def usable(results: Iterable[Foreign]) -> list[Foreign]:
    """The results that a table can show, without copies of one in several files."""
    unique: dict[object, Foreign] = {}
    for result in results:
        if not left_out([result]):
            figures = tuple(sorted(result.metrics.items()))
            unique.setdefault((result.dataset, result.system, result.task, result.language, figures), result)
    return list(unique.values())


@dataclass
class _Row:
    dataset: str
    label: str
    shown: dict[str, Foreign] = field(default_factory=dict)
    """The results by task."""


def _rows(results: Sequence[Foreign], tasks: Iterable[str]) -> list[_Row]:
    """A row for each dataset, system and language with its results; one per file if their figures differ."""
    found: dict[tuple[str, str], _Row] = {}
    for result in results:
        if result.task not in tasks:
            continue
        name, language = dataset_of(result.dataset), result.language
        qualifiers = [PROGRAM, *([language] if language not in {"", "en"} else [])]
        row = found.get((name, f"{result.system} ({', '.join(qualifiers)})"))
        if row is not None and result.task in row.shown:
            qualifiers.append(str(result.path))
        label = f"{result.system} ({', '.join(qualifiers)})"
        found.setdefault((name, label), _Row(name, label)).shown[result.task] = result
    return [found[key] for key in sorted(found)]


def cell(result: Foreign, metric: str) -> Cell:
    """One figure, without interval and run, with its source; empty if the result has no such metric."""
    value = metrics_of(result).get(metric)
    return Cell() if value is None else Cell(value=value, source=f"{PROGRAM}: {visible(str(result.path))}")


def with_classification(
    lines: list[list[Cell]], results: Sequence[Foreign], columns: Sequence[Column], places: Mapping[str, Place]
) -> tuple[list[list[Cell]], list[str]]:
    """The lines of the classification table with those of foreign results among them, and a note on these.

    They show the same metric as our lines of the dataset, if they have it.

    Args:
        lines: our own.
        results: from `usable`.
        columns: the table's columns.
        places: those of our lines, by the text of their first cell.
    """
    metric_on = {same_dataset(place.dataset): place.metric for place in places.values()} if results else {}
    found: dict[str, list[dict[str, Cell]]] = {}
    for row in _rows(results, CLASSIFICATION):
        entry = _catalogue().get(row.dataset)
        wanted = [metric_on.get(row.dataset, ""), entry.metric if entry else "", *deciding()]
        have = {name for result in row.shown.values() for name in metrics_of(result)}
        metric = next((name for name in wanted if name in have), min(have))
        figures = {CLASSIFICATION[task]: cell(result, metric) for task, result in row.shown.items()}
        found.setdefault(row.dataset, []).append({"model": Cell(row.label), "metric": Cell(metric), **figures})
    return _among(lines, found, columns, places), _note(results, CLASSIFICATION)


def with_retrieval(
    lines: list[list[Cell]], results: Sequence[Foreign], columns: Sequence[Column], places: Mapping[str, Place]
) -> tuple[list[list[Cell]], list[str]]:
    """The same for the retrieval table."""
    found: dict[str, list[dict[str, Cell]]] = {}
    for row in _rows(results, [RETRIEVAL]):
        figures = {column.key: cell(row.shown[RETRIEVAL], column.key) for column in columns if column.figures}
        found.setdefault(row.dataset, []).append({"model": Cell(row.label), **figures})
    return _among(lines, found, columns, places), _note(results, [RETRIEVAL])


def _among(
    lines: list[list[Cell]],
    foreign: Mapping[str, list[dict[str, Cell]]],
    columns: Sequence[Column],
    places: Mapping[str, Place],
) -> list[list[Cell]]:
    """Our lines with the foreign ones after the last line of their dataset, or at the end."""
    if not foreign:
        return lines
    names = [same_dataset(places[line[0].text].dataset) if line[0].text in places else "" for line in lines]
    out: list[list[Cell]] = []
    for index, (line, name) in enumerate(zip(lines, names, strict=True)):
        out.append(line)
        if name in foreign and name not in names[index + 1 :]:
            several = {other[0].text for other, its in zip(lines, names, strict=True) if its == name}
            text = line[0].text if len(several) == 1 else places[line[0].text].dataset
            out += [_line(text, cells, columns) for cells in foreign[name]]
    for name, found in foreign.items():
        out += [_line(name, cells, columns) for cells in found if name not in names]
    return out


def _line(dataset: str, cells: Mapping[str, Cell], columns: Sequence[Column]) -> list[Cell]:
    return [Cell(dataset), *(cells.get(column.key, Cell()) for column in columns[1:])]


def _note(results: Sequence[Foreign], tasks: Iterable[str]) -> list[str]:
    """A note on the rows of the tasks' results; nothing if there are none."""
    paths = list(dict.fromkeys(visible(str(result.path)) for result in results if result.task in tasks))
    if not paths:
        return []
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return [
        f"{PROGRAM}: figures of that program, without intervals, neither tested nor marked; its files give no n and no "
        f"split. Read from {', '.join(paths[:_NAMED])}{more}."
    ]
