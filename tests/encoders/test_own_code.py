"""A checkpoint that brings code of its own: not run unasked; run when trusted, and the record says so."""

import json
import shutil
from pathlib import Path

import pytest
import transformers.dynamic_module_utils as dynamic
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.encoders.models import find_model
from vlmbench.encoders.names import parse_model
from vlmbench.foundations.errors import InputError

CODE = """
import pathlib
from transformers import CLIPConfig, CLIPModel

pathlib.Path(r"{witness}").write_text("the code was run")

class OwnConfig(CLIPConfig):
    model_type = "own-clip"

class OwnModel(CLIPModel):
    config_class = OwnConfig
"""


@pytest.fixture
def own(checkpoints, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    directory = tmp_path / "own"
    shutil.copytree(checkpoints("clip"), directory)
    config = json.loads((directory / "config.json").read_text())
    config["model_type"] = "own-clip"
    config["auto_map"] = {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "modeling_own.py").write_text(CODE.format(witness=tmp_path / "witness"))
    return directory


def zeroshot(own: Path, colours: Path, out: Path, *more: str):
    arguments = ["zeroshot", "-m", str(own), "-d", f"folder:{colours}", "-o", str(out), "--json", *more]
    return CliRunner().invoke(app, [*arguments, "--cache-dir", str(out / "cache")])


def test_it_is_not_run_unasked(own, tmp_path):
    with pytest.raises(InputError, match="code of its own") as refused:
        find_model(parse_model(str(own)), tmp_path)
    assert refused.value.fix.endswith("if you trust them: trust_remote_code=")
    assert not (tmp_path / "witness").exists()


def test_it_is_run_when_trusted_and_the_record_says_so(own, checkpoints, colours, tmp_path):
    done = zeroshot(own, colours, tmp_path / "trusted", "--trust-remote-code")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "witness").exists()
    found = json.loads(done.stdout)["results"][0]
    record = json.loads((Path(found["path"]) / "result.json").read_text())
    assert record["model"]["trust_remote_code"] is True
    plain = zeroshot(checkpoints("clip"), colours, tmp_path / "plain", "--trust-remote-code")
    other = json.loads(plain.stdout)["results"][0]
    assert found["metrics"] == other["metrics"]
    assert json.loads((Path(other["path"]) / "result.json").read_text())["model"]["trust_remote_code"] is False


def test_other_code_is_another_model(own, tmp_path):
    before = find_model(parse_model(str(own)), tmp_path, trusted=True)
    with (own / "modeling_own.py").open("a") as code:
        code.write("# changed\n")
    after = find_model(parse_model(str(own)), tmp_path, trusted=True)
    assert before.weights_sha256 == after.weights_sha256
    assert before.preprocessing_sha256 != after.preprocessing_sha256
