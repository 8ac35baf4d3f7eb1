"""The commands of zero-shot, from the command line: documents, exit codes, messages."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app


def call(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def zeroshot(tmp_path, model, data, *more):
    return call(
        "zeroshot",
        "-m",
        model,
        "-d",
        data,
        "-o",
        tmp_path / "out",
        "--cache-dir",
        tmp_path / "cache",
        "--offline",
        *more,
    )


def test_the_document_of_the_contract(checkpoints, colours, tmp_path):
    done = zeroshot(tmp_path, checkpoints("clip"), f"folder:{colours}", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    (result,) = document["results"]
    assert result["task"] == "zeroshot"
    assert (result["n"], result["shots"], result["seed"]) == (15, None, 0)
    assert set(result["metrics"]["accuracy"]) == {"value", "low", "high"}
    assert (tmp_path / "out" / "tables" / "classification.csv").is_file()
    again = zeroshot(tmp_path, checkpoints("clip"), f"folder:{colours}", "--json")
    assert "features: 0 images encoded, 15 from the store" in again.stderr
    assert json.loads(again.stdout)["results"] == document["results"]


def folder(tmp_path, *names):
    for name in names:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jpg"):
            path.write_text("text")
        elif name.endswith(".png"):
            Image.new("RGB", (4, 4)).save(path)
        else:
            path.mkdir()
    return f"folder:{tmp_path / 'data'}"


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        ((), 4, "no such directory"),
        (("loose.png",), 3, "no class directories"),
        (("a/1.png",), 3, "only one class"),
        (("a/1.png", "b"), 3, "the class b has no images"),
        (("a/1.png", "b/text.jpg"), 3, "b/text.jpg"),
    ],
)
def test_bad_folders(names, code, message, checkpoints, tmp_path):
    done = zeroshot(tmp_path, checkpoints("clip"), folder(tmp_path, *names), "--json")
    assert done.exit_code == code
    assert message in done.stderr.replace("\n", " ")
    assert "fix:" in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--split", "holdout"], 3, "it has train, test"),
        (["--prompts", "no-such-set"], 4, "no such prompt set"),
        (["--prompts", "imagenet,a cell of {}."], 2, "--prompts imagenet --prompts 'a cell of {}.'"),
        (["--prompts", "default", "--prompts", "dataset"], 4, "has no templates of its own"),
        (["--classnames", "wds"], 4, "no copy of it in CLIP_benchmark's collection is known"),
        (["--classnames", "no-such-file.txt"], 4, "no such list of class names"),
        (["--prompts", "~no-such-user/p.txt"], 4, "no such prompt file: ~no-such-user/p.txt"),
        (["--classnames", "~no-such-user/c.txt"], 4, "no such list of class names"),
        (["-m", "~no-such-user/clip"], 4, "no such model directory: ~no-such-user/clip"),
        (["--no-such-option"], 2, "no such option"),
        (["--limit", "0"], 2, "limit"),
        (["-m", "nobody/nothing"], 4, "hf download nobody/nothing"),
        (["-m", "tiny-clap"], 4, "did you mean tiny-clip?"),
        (["-d", "digitz"], 4, "no such dataset: digitz"),
        (["-d", ""], 4, "the dataset's name is empty"),
        (["-m", ""], 4, "an empty name of a model"),
        (["-d", "hf:nobody/nothing"], 4, "--repo-type dataset"),
        (["--device", "mps"], 4, "no mps device"),
    ],
)
def test_bad_options(more, code, message, checkpoints, colours, tmp_path):
    done = zeroshot(tmp_path, checkpoints("clip"), f"folder:{colours}", *more)
    assert done.exit_code == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("more", "env"),
    [
        (["--prompts", "name,clip7", "--prompts", "a cell, {}."], {}),
        ([], {"VLMBENCH_PROMPTS": "name,clip7\na cell, {}."}),
    ],
)
def test_prompts_can_be_repeated_and_a_template_keeps_its_blanks_and_commas(more, env, checkpoints, colours, tmp_path):
    options = ["-m", checkpoints("clip"), "-d", f"folder:{colours}", "-o", tmp_path / "out", "--json", *more]
    done = call("zeroshot", *options, "--cache-dir", tmp_path / "cache", env=env)
    assert done.exit_code == 0, done.stderr
    paths = [
        tmp_path / "out" / "runs" / result["path"] / "result.json" for result in json.loads(done.stdout)["results"]
    ]
    protocols = [json.loads(path.read_text())["protocol"] for path in paths]
    assert [protocol["prompts"] for protocol in protocols] == ["name", "clip7", "a cell, {}."]
    assert protocols[2]["templates"] == ["a cell, {}."]


def test_an_out_that_is_a_file(checkpoints, colours, tmp_path):
    (tmp_path / "out").write_text("")
    done = zeroshot(tmp_path, checkpoints("clip"), f"folder:{colours}")
    assert done.exit_code == 3
    assert "cannot write" in done.stderr


def test_an_interrupted_run_ends_with_130_and_goes_on(checkpoints, colours, tmp_path, monkeypatch):
    from vlmbench.features.store import FeatureEntry

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FeatureEntry, "write_shard", stop)
        done = zeroshot(tmp_path, checkpoints("clip"), f"folder:{colours}")
    assert done.exit_code == 130
    assert not list((tmp_path / "out").rglob("result.json"))
    assert zeroshot(tmp_path, checkpoints("clip"), f"folder:{colours}").exit_code == 0


@pytest.mark.parametrize("what", ["datasets", "models", "metrics", "prompts"])
def test_lists(what):
    done = call("list", what, "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)[what]
    assert rows
    assert len({row["name"] for row in rows}) == len(rows)
    assert rows[0]["name"] in call("list", what).stdout
