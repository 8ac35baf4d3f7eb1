"""Published figures beside measured ones: only where model, dataset, metric and number of images are the same."""

import csv
from functools import cache
from importlib.resources import files

from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import main_metric
from vlmbench.report.table import Cell

Key = tuple[str, str, str, int]
SINGLE = "mteb single template"


@cache
def published() -> dict[Key, dict[bool, tuple[float, str]]]:
    """Model id, dataset, metric and n to zero-shot figures (0 to 1) with their sources: of one template, of several."""
    found: dict[Key, dict[bool, tuple[float, str]]] = {}
    for row in _rows("published.csv"):
        told = (float(row["value"]), f"published: {row['protocol']}; {row['source']}")
        for model in row["models"].split(" "):
            key = (model, row["dataset"], row["metric"], int(row["n"]))
            found.setdefault(key, {}).setdefault(row["protocol"] == SINGLE, told)
    return found


@cache
def dataset_names() -> dict[str, str]:
    """The name under which a dataset's figures stand, by its name and hub ids."""
    return {row["id"]: row["dataset"] for row in _rows("published_datasets.csv")}


def published_cell(run: StoredRun) -> Cell:
    """The published zero-shot figure for a run's model and dataset with its source; empty where none is known.

    Where both are published, a run with one template stands beside a figure of one template, else of several. Of crops
    and tiles none is.
    """
    record = run.record
    if record.model is None or record.task != "zeroshot" or "views" in record.protocol:
        return Cell()
    model = record.model.id.partition("@")[0]
    dataset = record.dataset.id.removeprefix("hf:").partition("@")[0].partition(":")[0].removeprefix("wds/")
    known = published().get((model, dataset_names().get(dataset, ""), main_metric(record), record.n))
    if known is None:
        return Cell()
    templates = record.protocol.get("templates")
    single = isinstance(templates, list) and len(templates) == 1
    value, source = known[single if single in known else not single]
    return Cell(value=value, source=source)


def _rows(name: str) -> list[dict[str, str]]:
    with (files("vlmbench.report") / name).open("r", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
