"""Results of another program, read from its own files: figures shown alongside runs, never runs themselves.

The only known program is CLIP_benchmark (``clip_benchmark/cli.py``): the JSON that ``eval`` dumps, one object of
``dataset``, ``model``, ``pretrained``, ``task``, ``metrics`` and ``language``, whose file was called ``result.json``
for years; and the CSV that ``build`` makes of many, one row each, with the same columns and the metrics. Neither holds
per-image results, n or the split.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = "CLIP_benchmark"
TASKS = ("zeroshot_classification", "linear_probe", "zeroshot_retrieval", "image_caption_selection", "captioning")
ENDINGS = (".json", ".csv")
LARGEST = 1 << 22
"""Largest file, in bytes, that is read when a directory is searched; a result has a few hundred, a CSV of thousands of
them a megabyte."""
_NAMES = ("dataset", "model", "pretrained", "task")


@dataclass(frozen=True)
class Foreign:
    """One result of another program."""

    path: Path
    dataset: str
    """That program's name for it: ``wds/vtab/cifar10``."""
    model: str
    pretrained: str
    task: str
    """One of `TASKS`."""
    metrics: Mapping[str, float]
    """Finite figures by that program's metric names."""
    language: str = ""

    @property
    def system(self) -> str:
        """Model and weights, as that program's own tables name them."""
        return f"{self.model} {self.pretrained}".strip()


def read_foreign(path: Path) -> list[Foreign]:
    """The results in a file; None if it is clearly not a result file of a known program."""
    if path.suffix.lower() not in ENDINGS:
        return []
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".csv":
            return _from_csv(text, path)
        value: Any = json.loads(text) if all(f'"{name}"' in text for name in (*_NAMES, "metrics")) else None
    except (OSError, ValueError, RecursionError):
        return []
    return [_result(value, value["metrics"], path)] if _is_result(value) else []


def find_foreign(paths: Iterable[Path]) -> list[Foreign]:
    """The results in files, and in all files below directories, in the order of their paths."""
    found: dict[Path, list[Foreign]] = {}
    for path in paths:
        below = path.rglob("*") if path.is_dir() else [path]
        for file in sorted(one for one in below if one.suffix.lower() in ENDINGS and one.is_file()):
            if file == path or file.stat().st_size <= LARGEST:
                found.setdefault(file.resolve(), read_foreign(file))
    return [one for results in found.values() for one in results]


def _is_result(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "schema_version" not in value
        and all(isinstance(value.get(name), str) for name in _NAMES)
        and value["task"] in TASKS
        and isinstance(value.get("metrics"), dict)
    )


def _result(value: Mapping[str, Any], metrics: Mapping[str, Any], path: Path) -> Foreign:
    texts = {name: str(value[name]) for name in _NAMES}
    return Foreign(path=path, **texts, metrics=_figures(metrics), language=str(value.get("language") or ""))


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among the values; ``acc5`` is NaN with fewer than five classes."""
    found = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found[str(name)] = number
    return found


def _from_csv(text: str, path: Path) -> list[Foreign]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    header = rows.fieldnames or []
    if not {*_NAMES, "model_fullname"} <= set(header):
        return []
    named = {*_NAMES, "model_fullname", "language", "classnames", "templates"}
    found = []
    for row in rows:
        if row.get("task") in TASKS:
            found.append(_result(row, {name: row[name] for name in header if name not in named}, path))
    return found
