"""Means over datasets, a row per model and group of datasets."""

import math
from collections.abc import Sequence

from vlmbench.data.names import CORRUPT
from vlmbench.records.classification import ClassificationDetail
from vlmbench.report.table import HEAD, Cell
from vlmbench.report.tables.rows import Row

_AVERAGED = ("zero_shot", "probe", "difference")


def mean_rows(rows: Sequence[Row], cells: Sequence[Sequence[Cell]], columns: Sequence[str]) -> list[list[Cell]]:
    """One row per model and group of datasets: the mean over its datasets, if every model has all of them.

    A corrupted copy of a dataset is none of them.
    """
    clean = [(row, line) for row, line in zip(rows, cells, strict=True) if f"{CORRUPT}=" not in row.place.dataset]
    rows, cells = [row for row, _ in clean], [line for _, line in clean]
    places = {row.place for row in rows}
    if len({place.dataset for place in places}) < len(places):
        return []
    wanted = [columns.index(key) for key in _AVERAGED]
    groups: dict[str, dict[str, list[Sequence[Cell]]]] = {}
    for row, line in zip(rows, cells, strict=True):
        detail = row.any_run.record.detail
        group = detail.group if isinstance(detail, ClassificationDetail) else None
        for name in ("all", *([group] if group else [])):
            groups.setdefault(name, {}).setdefault(row.label, []).append(line)
    found = []
    for name, models in groups.items():
        datasets = {tuple(line[0].text for line in lines) for lines in models.values()}
        members = {dataset for names in datasets for dataset in names}
        if name != "all" and len(members) == len({row.place for row in rows}):
            continue
        for model, lines in models.items():
            if len({line[0].text for line in lines}) != len(members) or len(lines) != len(members) or len(members) < 2:
                continue
            mean = [
                Cell(text=f"mean of {len(members)} {'datasets' if name == 'all' else name}"),
                Cell(text=model),
                Cell(),
                Cell(text="mean"),
            ]
            mean += [
                _mean([line[at] for line in lines]) if at in wanted else Cell() for at in range(len(HEAD), len(columns))
            ]
            if any(cell.is_figure for cell in mean):
                found.append(mean)
    return found


def _mean(cells: Sequence[Cell]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        return Cell()
    runs = tuple(run for cell in cells for run in cell.runs)
    value = math.fsum(values) / len(values)
    if any(cell.low is None or cell.high is None for cell in cells):
        return Cell(value=value, runs=runs, signed=cells[0].signed, mean=True)
    down = math.sqrt(
        math.fsum((cell.value - cell.low) ** 2 for cell in cells if cell.value is not None and cell.low is not None)
    )
    up = math.sqrt(
        math.fsum((cell.high - cell.value) ** 2 for cell in cells if cell.value is not None and cell.high is not None)
    )
    return Cell(
        value=value,
        low=value - down / len(cells),
        high=value + up / len(cells),
        runs=runs,
        signed=cells[0].signed,
        mean=True,
    )
