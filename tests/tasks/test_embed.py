import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.embed import EmbedRequest, parse_shard, run_embed


def context(tmp_path):
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent())


def test_the_shards_together_are_the_whole(checkpoints, colours, tmp_path):
    model, data = str(checkpoints("clip")), f"folder:{colours}"
    whole = load_file(run_embed(EmbedRequest(model, data), context(tmp_path))["path"])
    parts = [run_embed(EmbedRequest(model, data, shard=(i, 4)), context(tmp_path)) for i in (1, 2, 3, 4)]
    assert [part["encoded"] for part in parts] == [4, 4, 4, 3]
    x = np.concatenate([load_file(part["path"])["x"] for part in parts])
    np.testing.assert_allclose(x, whole["x"], atol=1e-4)
    ids = [name for part in parts for name in json.loads(Path(part["facts"]).read_text())["ids"]]
    session = Session(context(tmp_path))
    stored = session.features(model, Selection(data, "test"))
    assert stored.encoded == 0, "the whole landed in the store"
    assert tuple(ids) == stored.ids
    assert (whole["x"] == stored.x).all()
    assert (whole["y"] == stored.y).all()


def test_a_backbone_gives_its_one_layer(checkpoints, colours, tmp_path):
    found = run_embed(EmbedRequest(str(checkpoints("vit")), f"folder:{colours}"), context(tmp_path))
    assert (found["layer"], found["width"]) == ("pre_proj", 32)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", ""])
def test_other_shards_are_usage(text):
    with pytest.raises(UsageError):
        parse_shard(text)


def test_from_the_command_line(colours, tmp_path):
    places = ["-o", tmp_path / "o", "--cache-dir", tmp_path / "c"]
    arguments = ["embed", "-m", "tiny-clip", "-d", f"folder:{colours}", "--shard", "2/3", "--json", *places]
    done = CliRunner().invoke(app, [str(item) for item in arguments])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 5
