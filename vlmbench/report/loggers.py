"""Exports records to Weights & Biases, MLflow or TensorBoard, if the package is installed.

Each run becomes one run there, named by its directory; its metrics and interval ends become numbers, the settings
that decide them become configuration, and ``result.json`` is attached.
"""

import json
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import AbsentError, OutputError
from vlmbench.records.store import RESULT, StoredRun

PROJECT = "vlmbench"


def numbers(run: StoredRun) -> dict[str, float]:
    """``accuracy``, ``accuracy/low``, ``accuracy/high`` …, in the record's own scale."""
    found = {}
    for name, metric in run.record.metrics.items():
        found[name] = metric.value
        for end, value in (("low", metric.low), ("high", metric.high)):
            if value is not None:
                found[f"{name}/{end}"] = value
    return found


def settings(run: StoredRun) -> dict[str, Any]:
    """What decides the numbers: the record without metrics and detail."""
    return run.record.model_dump(mode="json", exclude={"metrics", "detail"})


def to_wandb(runs: Sequence[StoredRun], out: Path) -> None:
    """One run per record in the project ``vlmbench``; account and server as `wandb` finds them."""
    wandb = _package("wandb")
    for run in runs:
        logged = wandb.init(project=PROJECT, name=run.path.name, config=settings(run), dir=str(out), reinit=True)
        logged.log(numbers(run))
        logged.save(str(run.path / RESULT), base_path=str(run.path), policy="now")
        logged.finish()


def to_mlflow(runs: Sequence[StoredRun], out: Path) -> None:
    """One run per record in the experiment ``vlmbench``; the server is ``$MLFLOW_TRACKING_URI`` or MLflow's default."""
    mlflow = _package("mlflow")
    mlflow.set_experiment(PROJECT)
    for run in runs:
        with mlflow.start_run(run_name=run.path.name):
            mlflow.set_tags({"signature": run.record.signature, "task": run.record.task, "system": run.record.system})
            mlflow.log_dict(settings(run), "settings.json")
            mlflow.log_metrics({name.replace("/", "_"): value for name, value in numbers(run).items()})
            mlflow.log_artifact(str(run.path / RESULT))


def to_tensorboard(runs: Sequence[StoredRun], out: Path) -> None:
    """Event files under `out`/tensorboard; few-shot runs have their shots as the step, so that curves are drawn."""
    writers = _package("tensorboard.summary.writer.event_file_writer", "tensorboard")
    event = import_module("tensorboard.compat.proto.event_pb2").Event
    summary = import_module("tensorboard.compat.proto.summary_pb2").Summary
    text = import_module("tensorboard.plugins.text.metadata")
    tensor = import_module("tensorboard.util.tensor_util")
    for run in runs:
        writer = writers.EventFileWriter(str(out / "tensorboard" / run.path.name))
        values = [summary.Value(tag=name, simple_value=value) for name, value in numbers(run).items()]
        body = f"```json\n{json.dumps(settings(run), indent=2, sort_keys=True)}\n```"
        values.append(
            summary.Value(
                tag="record",
                metadata=text.create_summary_metadata(display_name="record", description=""),
                tensor=tensor.make_tensor_proto([body]),
            )
        )
        writer.add_event(event(wall_time=time.time(), step=run.record.shots or 0, summary=summary(value=values)))
        writer.close()


EXPORTS: dict[str, Callable[[Sequence[StoredRun], Path], None]] = {
    "wandb": to_wandb,
    "mlflow": to_mlflow,
    "tensorboard": to_tensorboard,
}


def export(name: str, runs: Sequence[StoredRun], out: Path) -> None:
    """Exports the records to the logger `name`, one of `EXPORTS`.

    Raises:
        AbsentError: its package is not installed.
        OutputError: it, or its server, rejected them.
    """
    try:
        EXPORTS[name](runs, out)
    except AbsentError:
        raise
    except Exception as error:
        raise OutputError(f"{name} rejected the records: {error}", fix=f"see {name}'s own settings") from error


def _package(module: str, package: str | None = None) -> Any:
    """A module of an optional package.

    Raises:
        AbsentError: the package is not installed.
    """
    name = package or module
    try:
        return import_module(module)
    except ImportError as error:
        raise AbsentError(f"{name} is not installed, or is incomplete: {error}", fix=f"pip install {name}") from error
