"""vlmbench.toml: a team's settings."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmbench.cli import settings
from vlmbench.cli.app import app, load

FILE = """device = "cpu"
out = "team"
offline = true

[zeroshot]
prompts = ["clip80", "a photo of a {}."]
limit = 7
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a directory in it, which is the current one; what is set there is gone afterwards."""
    before = dict(os.environ)
    monkeypatch.setattr(settings, "_set", {})
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    (tmp_path / "repository" / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "repository" / "inside")
    yield tmp_path / "repository"
    for name in set(os.environ) - set(before):
        del os.environ[name]


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, words)
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stdout, done.stderr


def test_the_file_sets_what_neither_command_line_nor_environment_do(place, monkeypatch):
    (place / "vlmbench.toml").write_text(FILE)
    monkeypatch.setenv("VLMBENCH_DEVICE", "cuda")
    settings.apply("zeroshot")
    assert os.environ["VLMBENCH_DEVICE"] == "cuda"
    assert os.environ["VLMBENCH_PROMPTS"] == "clip80\na photo of a {}."
    assert (os.environ["VLMBENCH_LIMIT"], os.environ["VLMBENCH_OFFLINE"]) == ("7", "1")


def test_the_out_of_the_file_is_used_and_the_command_line_comes_first(place):
    (place / "inside" / "vlmbench.toml").write_text('out = "team"\n')
    line = ("caption-eval", "-r", "r.json", "-p", "c.json", "--metrics", "bleu", "-q")
    Path("r.json").write_text(json.dumps({1: ["a dog runs fast"], 2: ["two cats sleep here"]}))
    Path("c.json").write_text(json.dumps({1: "a dog runs", 2: "cats sleep"}))
    assert run(*line)[0] == 0
    assert (place / "inside" / "team" / "runs").is_dir()
    assert run(*line, "-o", "mine")[0] == 0
    assert (place / "inside" / "mine" / "runs").is_dir()
    assert not (place / "inside" / "results").exists()


def test_the_nearest_file_up_to_the_root_of_the_repository_is_used(place):
    (place.parent / "vlmbench.toml").write_text("seed = 1\n")
    assert settings.find() is None, "a file outside the repository is somebody else's"
    (place / "vlmbench.toml").write_text("seed = 2\n")
    assert settings.find() == place / "vlmbench.toml"
    _, out, _ = run("doctor", "--json")
    found = {finding["what"]: finding["detail"] for finding in json.loads(out)["findings"]}
    assert found["settings"] == f"{place / 'vlmbench.toml'}: seed"
    (place / "inside" / "vlmbench.toml").write_text("seed = 3\n")
    assert settings.find() == place / "inside" / "vlmbench.toml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("devcie = 'cpu'", ("devcie", "did you mean device")),
        ("[zeroshoot]\nlimit = 3", ("zeroshoot", "did you mean zeroshot")),
        ("[zeroshot]\nlimt = 3", ("limt", "did you mean limit")),
        ("batch-size = 'many'", ("batch-size is a whole number",)),
        ("trust-remote-code = true", ("trust-remote-code",)),
        ("device = ", ("not valid TOML", "line 1")),
        ("[zeroshot]\nmodel = ['my model']", ("a value with a space",)),
    ],
)
def test_a_mistake_in_the_file_is_named(place, text, words):
    (place / "vlmbench.toml").write_text(text)
    code, out, err = run("list", "prompts")
    assert (code, out) == (3, "")
    assert all(word in err for word in (*words, "vlmbench.toml"))


def test_a_value_out_of_range_names_the_file(place):
    (place / "vlmbench.toml").write_text("batch-size = 0")
    code, _, err = run("zeroshot", "-m", "pixels", "-d", "digits")
    assert code == 2
    assert f"(set in {place / 'vlmbench.toml'})" in err


def test_a_variable_may_be_of_one_command_alone(place, monkeypatch):
    """``--columns`` of compare are figures, those of caption-eval columns of a file."""
    monkeypatch.setenv("VLMBENCH_COLUMNS", "image=file")
    monkeypatch.setenv("VLMBENCH_COMPARE_COLUMNS", "cider")
    found = {name: load(name).make_context(name, []).params["columns"] for name in ("compare", "caption-eval")}
    assert found == {"compare": "cider", "caption-eval": "image=file"}
