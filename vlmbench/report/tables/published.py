"""Published figures next to measured ones: only if model, dataset, metric and number of images are the same, and
the prompts are of the same kind."""

import csv
from functools import cache
from importlib.resources import files
from typing import Literal

from vlmbench.data.names import bare_name
from vlmbench.foundations.text import visible
from vlmbench.records.classification import ZeroShotProtocol
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import main_metric
from vlmbench.report.table import Cell

Key = tuple[str, str, str, int]
Kind = Literal["one template", "the dataset's templates", "other templates"]
"""The kind of prompts behind a zero-shot figure; figures of the same kind may be shown side by side."""

_PROTOCOLS: dict[str, Kind] = {
    "mteb single template": "one template",
    "DataComp eval suite main metric": "the dataset's templates",
    "CLIP_benchmark templates, full template ensemble": "the dataset's templates",
}
"""Kinds of the protocols of ``published.csv``; DataComp takes the templates with CLIP_benchmark's own reader of
data sets (``mlfoundations/datacomp``, ``eval_utils/wds_eval.py``)."""

_FALLBACK = ["a photo of a {}."]
"""What records of older versions call the dataset's templates if a dataset had none."""


@cache
def published() -> dict[Key, dict[Kind, tuple[float, str]]]:
    """Zero-shot figures (0 to 1) with their sources, by model id, dataset, metric and n, then by kind of prompts."""
    found: dict[Key, dict[Kind, tuple[float, str]]] = {}
    for row in _rows("published.csv"):
        kind = _PROTOCOLS[row["protocol"]]
        entry = (float(row["value"]), f"published, with {kind}: {row['protocol']}; {row['source']}")
        for model in row["models"].split(" "):
            key = (model, row["dataset"], row["metric"], int(row["n"]))
            found.setdefault(key, {}).setdefault(kind, entry)
    return found


@cache
def dataset_names() -> dict[str, str]:
    """The name of a dataset's published figures, by its name and hub ids."""
    return {row["id"]: row["dataset"] for row in _rows("published_datasets.csv")}


def published_cell(run: StoredRun) -> Cell:
    """The published zero-shot figure for a run's model and dataset with its source; empty if none is known.

    A figure of one template stands beside a run with one template, a figure of the dataset's own templates beside a run
    with these. A run with several others (an ensemble of another set, or prompts for each class) has the latter beside
    it too, and the source says so. Of crops, tiles and images decoded at reduced scale none is known.
    """
    record = run.record
    protocol = record.protocol
    if record.model is None or not isinstance(protocol, ZeroShotProtocol) or protocol.views or protocol.decode:
        return Cell()
    model = record.model.id.partition("@")[0]
    known = published().get((model, dataset_name(record.dataset.id), main_metric(record), record.n), {})
    kind = _kind(protocol)
    if kind in known:
        value, source = known[kind]
        return Cell(value=value, source=source)
    if kind == "other templates" and "the dataset's templates" in known:
        value, source = known["the dataset's templates"]
        return Cell(
            value=value, source=f"{source} (the run shown here: prompts {visible(protocol.prompts or 'several')})"
        )
    return Cell()


def dataset_name(id: str) -> str:
    """The name of a dataset's published figures, from a record's id; empty if it has none."""
    return "" if "?" in id else dataset_names().get(bare_name(id).removeprefix("wds/"), "")


def _kind(protocol: ZeroShotProtocol) -> Kind | None:
    """The kind of a run's prompts; None if its record does not say."""
    templates = protocol.templates
    if protocol.prompts == "dataset" and templates != _FALLBACK:
        return "the dataset's templates"
    if isinstance(templates, list) and len(templates) == 1:
        return "one template"
    return "other templates" if templates else None


def _rows(name: str) -> list[dict[str, str]]:
    with (files("vlmbench.report") / name).open("r", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
