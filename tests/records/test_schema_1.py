"""Records of schema 1 (`released/v1`, and one with its per-sample file below) are the same objects as today's."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError
from vlmbench.records.classification import ProbeDetail, ProbeProtocol, ZeroShotProtocol
from vlmbench.records.result import SCHEMA_VERSION
from vlmbench.records.store import read_run, record_sha256, run_id
from vlmbench.report.verify import verify_run

HERE = Path(__file__).parent
RUNS = HERE / "released" / "v1-runs"


def call(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def runs(tmp_path):
    """Runs with per-sample files, as the version before typed records wrote them."""
    shutil.copytree(RUNS, tmp_path / "runs")
    return tmp_path


def changed(path: Path, **more):
    """A record with other fields, by ``part__field``, and no checksum."""
    data = json.loads(path.read_text())
    data["record_sha256"] = ""
    for key, value in more.items():
        part, _, name = key.partition("__")
        data = {**data, part: {**data[part], name: value} if name else value}
    path.write_text(json.dumps(data))
    return path


def test_they_are_read_verified_and_stay_in_their_places(runs):
    found = sorted((runs / "runs").iterdir())
    assert {path.name.split("-tiny")[0] for path in found} >= {"zeroshot", "linear-probe", "caption-eval", "retrieval"}
    for path in found:
        data = json.loads((path / "result.json").read_text())
        run = read_run(path / "result.json")
        assert (data["schema_version"], run.record.schema_version) == (1, SCHEMA_VERSION)
        assert run_id(run.record) == path.name
        assert verify_run(run) == []
        dumped = run.record.model_dump(mode="json")
        assert {**dumped, "schema_version": 1} == data


def test_what_they_hold_is_typed(runs):
    (probe,) = (read_run(path).record for path in runs.glob("runs/linear-probe-*/result.json"))
    assert isinstance(probe.protocol, ProbeProtocol)
    assert isinstance(probe.detail, ProbeDetail)
    assert probe.detail.search[0].c == pytest.approx(1e-6)
    assert probe.protocol.tolerance == 1e-6
    (zero,) = (read_run(path).record for path in runs.glob("runs/zeroshot-*/result.json"))
    assert isinstance(zero.protocol, ZeroShotProtocol)
    assert zero.protocol.templates == ["{}"]
    assert zero.protocol.holdout is None
    assert "holdout" not in zero.protocol.values()


def test_they_are_compared_and_gated(runs):
    done = call("compare", runs, "-o", runs, "--json")
    assert done.exit_code == 0, done.output
    tables = {path.name for path in (runs / "tables").glob("*.csv")}
    assert tables >= {"classification.csv", "captions.csv", "retrieval.csv", "metric_eval.csv"}
    assert call("verify", runs).exit_code == 0
    baseline = runs / "baseline.json"
    assert call("check", runs, "--baseline", baseline, "--update").exit_code == 0
    done = call("check", runs, "--baseline", baseline, "--json")
    assert done.exit_code == 0, done.output
    assert {change["verdict"] for change in json.loads(done.stdout)["changes"]} == {"same"}


def test_their_checksum_is_that_of_the_file(runs):
    (path,) = runs.glob("runs/retrieval-*/result.json")
    data = json.loads(path.read_text())
    assert record_sha256(data) == data["record_sha256"]
    data["detail"] = {"paired": 1}
    path.write_text(json.dumps(data))
    assert read_run(path).changed
    assert any("checksum" in line for line in verify_run(read_run(path)))


def test_what_only_explained_and_is_no_field_now_is_left_out(runs):
    (path,) = runs.glob("runs/caption-eval-*/result.json")
    assert read_run(changed(path, detail__paired={"other": 0.1})).record.detail.text is not None
    with pytest.raises(InputError, match="Extra inputs") as caught:
        read_run(changed(path, schema_version=SCHEMA_VERSION))
    assert caught.value.where.endswith("field detail.paired")


@pytest.mark.parametrize("schema", [1, SCHEMA_VERSION])
@pytest.mark.parametrize(
    ("task", "change", "place"),
    [
        ("zeroshot", {"protocol__metric": 3}, "protocol.metric"),
        ("zeroshot", {"protocol__classnames": "red"}, "protocol.classnames"),
        ("zeroshot", {"protocol__colour": "red"}, "protocol.colour"),
        ("zeroshot", {"detail__per_class": [{"class": "red", "n": "4", "recall": 1.0, "precision": 1.0}]},
         "detail.per_class.0.n"),
        ("linear-probe", {"detail__per_seed": [None]}, "detail.per_seed.0"),
        ("linear-probe", {"protocol": []}, "protocol"),
        ("caption-eval", {"protocol__df": ["x"]}, "protocol.df"),
        ("retrieval", {"protocol__resamples": "many"}, "protocol.resamples"),
        ("metric-eval", {"detail__ratings": 2.5}, "detail.ratings"),
        ("zeroshot", {"task": "zero-shot"}, "task"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_one_error_that_names_it(runs, schema, task, change, place):
    path = next(runs.glob(f"runs/{task}-*/result.json"))
    with pytest.raises(InputError, match="not a result record") as caught:
        read_run(changed(path, schema_version=schema, **change))
    assert caught.value.where == f"{path}, field {place}"
    if place == "task":
        assert caught.value.fix == "did you mean zeroshot?"
