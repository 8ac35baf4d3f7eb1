import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.plugins import Registry
from vlmbench.records import store
from vlmbench.records.result import DatasetFacts, Metric, ModelFacts, Record
from vlmbench.records.signature import format_fields, parse_signature, signature


def record(**more):
    given = {
        "task": "zeroshot",
        "system": "tiny-clip",
        "model": ModelFacts(id="tiny-clip", weights_sha256="ab" * 32, kind="dual-encoder"),
        "dataset": DatasetFacts(id="digits", fingerprint="cd" * 32, split="test"),
        "n": 3,
        "seed": 0,
        "protocol": {"templates": ["a photo of a {}."], "precision": "fp32"},
        "metrics": {"accuracy": Metric(value=0.5, low=0.25, high=0.75)},
    }
    return Record(**{**given, **more})


SAMPLES = {
    "id": ["a", "b", "c"],
    "label": np.array([0, 1, 1]),
    "prediction": np.array([0, 0, 1]),
    "confidence": np.array([0.9, 0.6, 0.7]),
}


def test_a_run_is_written_whole_and_read_back(tmp_path):
    written = store.write_run(tmp_path, record(), SAMPLES, {"seconds": 1})
    assert sorted(path.name for path in written.path.iterdir()) == ["result.json", "run.json", "samples.parquet"]
    [found] = store.find_runs([tmp_path])
    assert found.record == written.record
    assert found.record.signature.startswith(
        "task:zeroshot|system:tiny-clip|model:tiny-clip@abababab|data:digits/test@cdcdcdcd|n:3|"
    )
    columns = store.read_samples(found)
    assert list(columns["id"]) == ["a", "b", "c"]
    assert columns["label"].tolist() == [0, 1, 1]


def test_the_same_run_gives_the_same_bytes_in_the_same_place(tmp_path):
    first = store.write_run(tmp_path, record(), SAMPLES, {"seconds": 1})
    before = {name: (first.path / name).read_bytes() for name in ("result.json", "samples.parquet")}
    second = store.write_run(tmp_path, record(), SAMPLES, {"seconds": 2})
    assert second.path == first.path
    assert before == {name: (second.path / name).read_bytes() for name in before}


def test_what_decides_the_number_decides_the_place_and_the_number_does_not():
    same = record(metrics={"accuracy": Metric(value=0.9)})
    assert store.run_id(same) == store.run_id(record())
    for other in (record(seed=1), record(shots=4), record(protocol={"precision": "bf16"}), record(n=2)):
        assert store.run_id(other) != store.run_id(record())


def test_a_directory_without_result_json_is_no_run(tmp_path):
    written = store.write_run(tmp_path, record(), SAMPLES, {})
    (written.path / "result.json").unlink()
    with pytest.raises(InputError, match="no finished run"):
        store.find_runs([tmp_path])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "JSON"),
        ("[]", "not a result record"),
        (json.dumps({"schema_version": 99}), "schema version 99"),
        (json.dumps({"schema_version": 1, "task": "other"}), "not a result record"),
    ],
)
def test_a_broken_record_is_named(tmp_path, content, says):
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        store.read_run(path)
    assert str(path) in caught.value.where


def test_records_are_frozen_and_figures_finite():
    with pytest.raises(ValidationError):
        record().n = 4
    with pytest.raises(ValidationError, match="finite"):
        Metric(value=float("nan"))


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: ":" not in key), st.text(), min_size=1))
def test_signatures_parse_back(fields):
    line = format_fields(fields)
    assert "\n" not in line
    assert parse_signature(line) == fields


def test_the_long_signature_holds_every_hash_whole():
    line = signature(record(versions={"torch": "2.13.0"}), "0.1.0", long=True)
    assert "ab" * 32 in line
    assert "v.torch:2.13.0" in line


def test_a_broken_signature_is_refused():
    for line in ("", "task", "a:1|a:2"):
        with pytest.raises(InputError):
            parse_signature(line)


def test_a_registry_imports_only_what_is_asked_for():
    registry = Registry("metric", {"digest": "vlmbench.foundations.hashing:digest", "broken": "no.such.module:x"})
    assert registry.load("digest")([]) == registry.load("digest")([])
    with pytest.raises(AbsentError, match="no such metric: digset") as caught:
        registry.load("digset")
    assert "digest" in caught.value.fix


def test_runs_sort_as_people_count():
    assert sorted(["16shot", "2shot", "shot"], key=store.natural) == ["2shot", "16shot", "shot"]
