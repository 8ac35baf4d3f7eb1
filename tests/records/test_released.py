"""Records of every released schema load for ever: a file here never changes, a new schema gets its own directory."""

import json
from pathlib import Path

import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.records.result import SCHEMA_VERSION
from vlmbench.records.signature import parse_signature, signature
from vlmbench.records.store import read_run

RELEASED = sorted((Path(__file__).parent / "released").glob("v*/*.json"))


def test_every_released_schema_has_its_records() -> None:
    assert {path.parent.name for path in RELEASED} == {f"v{number}" for number in range(1, SCHEMA_VERSION + 1)}
    assert {"zeroshot.json", "linear-probe.json", "few-shot.json", "caption-eval.json", "retrieval.json"} <= {
        path.name for path in RELEASED
    }


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_released_record_loads_and_keeps_its_signature(path: Path) -> None:
    record = read_run(path).record
    assert record.metrics
    version = parse_signature(record.signature)["version"]
    assert signature(record.model_copy(update={"signature": ""}), version) == record.signature


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_newer_record_is_refused_with_advice(path: Path, tmp_path: Path) -> None:
    data = json.loads(path.read_text())
    (tmp_path / "result.json").write_text(json.dumps({**data, "schema_version": SCHEMA_VERSION + 1, "new_field": 1}))
    with pytest.raises(InputError, match="schema version") as caught:
        read_run(tmp_path / "result.json")
    assert "--upgrade" in str(caught.value)
