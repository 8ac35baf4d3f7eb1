"""Records for other tools: a pandas DataFrame, and the hub's evaluation results for model cards."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.paths import slug
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import main_metric

if TYPE_CHECKING:
    import pandas as pd


def long_rows(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """One row a metric of a run, in the records' own scale (fractions 0 to 1, CIDEr 0 to 10)."""
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


def to_dataframe(runs: Sequence[StoredRun]) -> "pd.DataFrame":
    """The same as a DataFrame: one row a metric of a run."""
    import pandas as pd

    return pd.DataFrame(long_rows(runs))


def eval_results(runs: Sequence[StoredRun], hub_ids: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """YAML texts by file name, for a model repository's ``.eval_results/`` on the hub.

    One file a model; an entry is the main metric (times 100) of a run on a dataset of the hub, with the signature as
    its notes. Runs on other datasets are left out, since the hub has no benchmark to list them under. Scalars are
    written as JSON, which YAML contains.

    Args:
        runs: any runs.
        hub_ids: where datasets that have a short name are on the hub.
    """
    files: dict[str, list[str]] = {}
    for run in runs:
        record = run.record
        dataset = hub_ids.get(record.dataset.id)
        dataset = f"hf:{dataset}" if dataset else record.dataset.id
        if record.model is None or not dataset.startswith("hf:"):
            continue
        name, _, config = dataset.removeprefix("hf:").partition(":")
        metric = main_metric(record)
        lines = ["- dataset:", f"    id: {json.dumps(name)}", f"    task_id: {json.dumps(config or 'default')}"]
        if record.dataset.revision:
            lines.append(f"    revision: {json.dumps(record.dataset.revision)}")
        lines.append(f"  value: {json.dumps(round(record.metrics[metric].value * 100, 2))}")
        lines.append(f"  notes: {json.dumps(f'{metric}, {record.signature}')}")
        files.setdefault(f"{slug(record.model.id)}.yaml", []).append("\n".join(lines))
    return {name: "\n".join(entries) + "\n" for name, entries in files.items()}
