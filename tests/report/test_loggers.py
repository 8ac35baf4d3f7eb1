"""Records handed to loggers: what is logged is the record."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import factory
import pytest

from vlmbench.foundations.errors import AbsentError, OutputError
from vlmbench.records.store import StoredRun
from vlmbench.report.loggers import EXPORTS, export


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return factory.write_classification(tmp_path_factory.mktemp("logged"), "linear-probe", shots=4, n=100)


def test_wandb_gets_numbers_settings_and_the_file(
    run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, object] = {}
    logged = SimpleNamespace(
        log=lambda numbers: said.update(numbers=numbers),
        save=lambda path, **more: said.update(file=Path(path)),
        finish=lambda: said.update(finished=True),
    )
    module = ModuleType("wandb")
    module.init = lambda **given: said.update(given) or logged  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    EXPORTS["wandb"]([run], tmp_path)
    metric = run.record.metrics["accuracy"]
    numbers = said["numbers"]
    assert isinstance(numbers, dict)
    assert (numbers["accuracy"], numbers["accuracy/low"], numbers["accuracy/high"]) == (
        metric.value,
        metric.low,
        metric.high,
    )
    assert said["name"] == run.path.name
    assert said["config"]["signature"] == run.record.signature  # type: ignore[index]
    assert json.loads(said["file"].read_text())["n"] == 100  # type: ignore[attr-defined]
    assert said["finished"]


def test_tensorboard_reads_it_back(run: StoredRun, tmp_path: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard, an optional package"
    )
    EXPORTS["tensorboard"]([run], tmp_path)
    events = reader.EventAccumulator(str(tmp_path / "tensorboard" / run.path.name))
    events.Reload()
    (event,) = events.Scalars("accuracy")
    assert event.step == 4
    assert event.value == pytest.approx(run.record.metrics["accuracy"].value)


def test_mlflow_reads_it_back(run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow, an optional package")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    EXPORTS["mlflow"]([run], tmp_path)
    (found,) = mlflow.search_runs(experiment_names=["vlmbench"], output_format="list")
    assert found.data.metrics["accuracy"] == pytest.approx(run.record.metrics["accuracy"].value)
    assert found.data.tags["signature"] == run.record.signature


def test_a_logger_that_fails_is_an_error_and_no_fault(
    run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("wandb")
    module.init = lambda **given: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    with pytest.raises(OutputError, match="wandb rejected the records"):
        export("wandb", [run], tmp_path)


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_an_absent_package_is_named(run: StoredRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in [*(key for key in sys.modules if key.split(".")[0] == name), name]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(AbsentError, match=name) as caught:
        EXPORTS[name]([run], tmp_path)
    assert f"pip install {name}" in str(caught.value)
