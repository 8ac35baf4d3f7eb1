import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.embed import EmbedRequest, parse_shard, run_embed


def context(tmp_path, cache="cache", batch_size=4):
    return Context(out=tmp_path / "out", cache_dir=tmp_path / cache, batch_size=batch_size, reporter=Silent())


@pytest.mark.parametrize("count", [2, 4])
def test_the_shards_together_are_the_whole_to_the_byte_and_the_last_one_merges(count, checkpoints, colours, tmp_path):
    model, data = str(checkpoints("clip")), f"folder:{colours}"
    written = Path(run_embed(EmbedRequest(model, data), context(tmp_path, "other"))["path"])
    whole, facts = written.read_bytes(), written.with_suffix(".json").read_bytes()
    written.unlink()
    parts = []
    for number in (*range(2, count + 1), 1):
        assert not written.exists()
        parts.append(run_embed(EmbedRequest(model, data, shard=(number, count)), context(tmp_path)))
    assert [part["encoded"] for part in parts] == {2: [7, 8], 4: [4, 4, 3, 4]}[count]
    parts = [*parts[-1:], *parts[:-1]]
    assert (written.read_bytes(), written.with_suffix(".json").read_bytes()) == (whole, facts)
    x = np.concatenate([load_file(part["path"])["x"] for part in parts])
    assert x.tobytes() == load_file(written)["x"].tobytes()
    ids = [name for part in parts for name in json.loads(Path(part["facts"]).read_text())["ids"]]
    stored = Session(context(tmp_path)).features(model, Selection(data, "test"))
    assert stored.encoded == 0, "the whole is in the store"
    assert tuple(ids) == stored.ids
    again = run_embed(EmbedRequest(model, data, shard=(1, count)), context(tmp_path))
    assert again["encoded"] == 0
    assert written.read_bytes() == whole


def test_a_shard_of_which_images_are_damaged_lacks_those_and_no_others(
    checkpoints, folder_with_a_damaged_image, tmp_path
):
    skipping = replace(context(tmp_path), on_bad_image="skip")
    request = EmbedRequest(str(checkpoints("clip")), f"folder:{folder_with_a_damaged_image}")
    parts = [run_embed(replace(request, shard=(number, 2)), skipping)["n"] for number in (1, 2)]
    assert sum(parts) == 7
    assert skipping.reporter.warnings[0].startswith("1 damaged image of")


@pytest.fixture
def folder_with_a_damaged_image(tmp_path):
    for number in range(8):
        path = tmp_path / "data" / "ab"[number // 4] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 30), (number, 0, 0)).save(path)
    (tmp_path / "data" / "a" / "2.png").write_bytes(b"no image")
    return tmp_path / "data"


def test_a_shard_without_a_batch_is_an_error(checkpoints, colours, tmp_path):
    with pytest.raises(InputError, match="shard 2 of 4 has no images: a shard has whole batches"):
        run_embed(EmbedRequest(str(checkpoints("clip")), f"folder:{colours}", shard=(2, 4)), context(tmp_path, "c", 64))


def test_a_backbone_gives_its_one_layer(checkpoints, colours, tmp_path):
    found = run_embed(EmbedRequest(str(checkpoints("vit")), f"folder:{colours}"), context(tmp_path))
    assert (found["layer"], found["width"]) == ("pre_proj", 32)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", ""])
def test_other_shards_are_usage(text):
    with pytest.raises(UsageError):
        parse_shard(text)


def test_from_the_command_line(colours, tmp_path):
    places = ["-o", tmp_path / "o", "--cache-dir", tmp_path / "c"]
    arguments = [
        "embed",
        "-m",
        "tiny-clip",
        "-d",
        f"folder:{colours}",
        "--shard",
        "2/3",
        "--json",
        "--batch-size",
        5,
        *places,
    ]
    done = CliRunner().invoke(app, [str(item) for item in arguments])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 5
