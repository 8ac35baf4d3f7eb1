import json

import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app


def listed(what, *more, columns="80"):
    done = CliRunner().invoke(app, ["list", what, *more], env={"COLUMNS": columns})
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("what", ["datasets", "models", "metrics", "prompts"])
def test_names_are_whole_on_a_line_of_80(what):
    names = [row["name"] for row in json.loads(listed(what, "--json"))[what]]
    lines = listed(what).splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split()[0] for line in lines if line.strip()]
    assert [name for name in names if name not in shown] == []
    assert len(set(names)) == len(names)


def test_a_list_is_filtered_by_words():
    rows = json.loads(listed("datasets", "cifar", "--json"))["datasets"]
    names = [row["name"] for row in rows]
    assert "cifar10" in names
    assert all("cifar" in str(row).lower() for row in rows)
    assert "digits" not in listed("datasets", "cifar").split()
    assert "Captioners" not in listed("models", "CLIP", "base")
    done = CliRunner().invoke(app, ["list", "datasets", "cifra"])
    assert done.exit_code == 4
    assert "did you mean cifar10" in done.stderr


def test_models_stand_by_kind_and_a_wide_terminal_shows_where_they_are():
    text, wide = listed("models"), listed("models", columns="150")
    assert [text.index(kind) for kind in ("Dual encoders", "Image backbones", "Captioners")] == sorted(
        text.index(kind) for kind in ("Dual encoders", "Image backbones", "Captioners")
    )
    assert "openai/clip-vit-base-patch32" in wide
    assert "openai/clip-vit-base-patch32" not in text
    rows = {row["name"]: row for row in json.loads(listed("models", "--json"))["models"]}
    assert rows["clip-vit-base-patch32"]["parameters"] == 151277313
    assert rows["clip-vit-base-patch32"]["id"] == "openai/clip-vit-base-patch32"
    assert (rows["tiny-clip"]["width"], rows["tiny-clip"]["here"]) == (128, True)
