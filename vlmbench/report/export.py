"""Records for other tools: a pandas DataFrame, and the hub's evaluation results for model cards."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.paths import slug
from vlmbench.records.store import StoredRun, run_id
from vlmbench.report.grouping import main_metric

if TYPE_CHECKING:
    import pandas as pd

    from vlmbench.report.table import Table

_ON_THE_HUB = re.compile(r"hf:(?P<name>[A-Za-z0-9][\w.-]*/[\w.-]+)(@[^:?]+)?(:(?P<config>[^?]+))?(\?.*)?")


def long_rows(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """One row per metric of a run, in the records' own scale (fractions 0 to 1, CIDEr 0 to 10)."""
    rows = []
    for run in runs:
        record = run.record
        for name, metric in record.metrics.items():
            rows.append(
                {
                    "task": record.task,
                    "system": record.system,
                    "model": record.model.id if record.model else None,
                    "dataset": record.dataset.id,
                    "split": record.dataset.split,
                    "n": record.n,
                    "shots": record.shots,
                    "seed": record.seed,
                    "metric": name,
                    "value": metric.value,
                    "low": metric.low,
                    "high": metric.high,
                    "signature": record.signature,
                    "path": str(run.path),
                }
            )
    return rows


def table_rows(table: "Table") -> list[dict[str, Any]]:
    """A table's rows as plain values, in the records' own scale; a figure has its interval next to it.

    What has no number (no test was made, ``> 40`` labels) is None.
    """
    rows = []
    for cells in table.rows:
        row: dict[str, Any] = {}
        for column, cell in zip(table.columns, cells, strict=True):
            if column.key.startswith("p_"):
                row[column.key] = cell.p
            elif column.figures:
                row |= {column.key: cell.value, f"{column.key}_low": cell.low, f"{column.key}_high": cell.high}
            else:
                row[column.key] = int(cell.text) if column.key == "n" else cell.text
        rows.append(row)
    return rows


def to_dataframe(runs: Sequence[StoredRun]) -> "pd.DataFrame":
    """The same as a DataFrame: one row per metric of a run."""
    import pandas as pd

    return pd.DataFrame(long_rows(runs))


def eval_results(runs: Sequence[StoredRun], hub_ids: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """YAML texts by file name, for the ``.eval_results/`` of model repositories on the hub.

    One folder per model with one file per run, named like the run: few-shot runs, other prompts and splits are files
    of their own, as the hub asks of variants, so no two entries collide. An entry is the main metric (times 100) of
    a run on a dataset of the hub; its notes give the metric and the signature. Runs on other datasets are left
    out, since the hub has no benchmark to list them under.

    Args:
        runs: any runs.
        hub_ids: hub ids of the datasets that have a short name.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files: dict[str, str] = {}
    for run in runs:
        record = run.record
        listed = hub_ids.get(record.dataset.id)
        found = _ON_THE_HUB.fullmatch(f"hf:{listed}" if listed else record.dataset.id)
        if record.model is None or found is None:
            continue
        metric = main_metric(record)
        shots = "" if record.shots is None else f", {record.shots} shots"
        entry = EvalResultEntry(
            dataset_id=found["name"],
            task_id=found["config"] or "default",
            value=round(record.metrics[metric].value * 100, 2),
            dataset_revision=record.dataset.revision,
            notes=f"{record.task}{shots}, {record.dataset.split}, {metric}: {record.signature}",
        )
        name = f"{slug(record.model.id)}/{run_id(record)}.yaml"
        files[name] = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
    return files
