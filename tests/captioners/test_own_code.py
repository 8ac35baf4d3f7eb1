"""A captioner that brings code of its own: not run unasked; run when trusted, and the record says so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers.dynamic_module_utils as dynamic
from typer.testing import CliRunner, Result

from vlmbench.captioners.checkpoint import find_checkpoint
from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError

CODE = """
import pathlib
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

pathlib.Path(r"{witness}").write_text("the code was run")

class OwnConfig(LlavaConfig):
    model_type = "own-vlm"

class OwnModel(LlavaForConditionalGeneration):
    config_class = OwnConfig
"""


@pytest.fixture
def own(captioner: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    directory = tmp_path / "own"
    shutil.copytree(captioner("llava"), directory)
    (directory / "own.py").write_text(CODE.format(witness=tmp_path / "witness"))
    names: dict[str, Any] = {}
    exec((directory / "own.py").read_text(), names)  # noqa: S102 - the weights as that class saves them
    names["OwnModel"](names["OwnConfig"].from_pretrained(captioner("llava"))).save_pretrained(directory)
    (tmp_path / "witness").unlink()
    config = json.loads((directory / "config.json").read_text())
    config["model_type"] = "own-vlm"
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForImageTextToText": "own.OwnModel"}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def caption(model: Path, out: Path, *more: str) -> Result:
    arguments = ["caption-eval", "--captioner", str(model), "-d", "scenes", "--limit", "3", "--max-new-tokens", "4"]
    arguments += ["--metrics", "bleu", "--resamples", "100", "-o", str(out), "--cache-dir", str(out / "cache")]
    return CliRunner().invoke(app, [*arguments, "--json", *more])


def test_it_is_not_run_unasked(own: Path, tmp_path: Path) -> None:
    done = caption(own, tmp_path / "out")
    assert done.exit_code == 3
    assert "--trust-remote-code" in done.stderr
    assert not (tmp_path / "witness").exists()


def test_it_is_run_when_trusted_and_the_record_says_so(
    own: Path, captioner: Callable[[str], Path], tmp_path: Path
) -> None:
    done = caption(own, tmp_path / "out", "--trust-remote-code")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "witness").exists()
    (found,) = json.loads(done.stdout)["results"]
    record = json.loads((Path(found["path"]) / "result.json").read_text())
    assert record["model"]["trust_remote_code"] is True
    (plain,) = json.loads(caption(captioner("llava"), tmp_path / "plain", "--trust-remote-code").stdout)["results"]
    assert json.loads((Path(plain["path"]) / "result.json").read_text())["model"]["trust_remote_code"] is False


def test_a_change_of_the_code_is_another_key(own: Path, tmp_path: Path) -> None:
    before = find_checkpoint(str(own), tmp_path, trusted=True)
    with (own / "own.py").open("a") as handle:
        handle.write("# changed")
    assert find_checkpoint(str(own), tmp_path, trusted=True).beside_sha256 != before.beside_sha256
    with pytest.raises(InputError, match="code of its own"):
        find_checkpoint(str(own), tmp_path)
