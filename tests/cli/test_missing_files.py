"""One rule for what is named on the command line and is not there: exit 4; for a directory in a file's place: 3."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app

ZERO = ["zeroshot", "-m", "tiny-clip", "-d", "digits"]
READ = {
    "references": ["caption-eval", "-r", "{}", "-p", "{good}"],
    "candidates": ["caption-eval", "-r", "{good}", "-p", "{}"],
    "named candidates": ["caption-eval", "-r", "{good}", "-p", "mine={}"],
    "document frequencies": ["caption-eval", "-r", "{good}", "-p", "{good}", "--df-from", "{}"],
    "training captions": ["caption-eval", "-r", "{good}", "-p", "{good}", "--novel-to", "{}"],
    "judgements": ["metric-eval", "-j", "{}"],
    "features": ["linear-probe", "--features", "{}"],
    "probe": ["predict", "-p", "{}", "{good}"],
    "prompts": [*ZERO, "--prompts", "{}"],
    "class names": [*ZERO, "--classnames", "{}"],
    "boxes": ["zeroshot", "-m", "tiny-clip", "-d", "folder:{runs}", "--boxes", "{}"],
    "plan": ["run", "{}"],
    "a list of images": ["zeroshot", "-m", "tiny-clip", "-d", "file:{}"],
    "annotations": ["retrieval", "-m", "tiny-clip", "-d", "coco:{}"],
}
LOOK = {
    "runs to compare": ["compare", "{}"],
    "runs to verify": ["verify", "{}"],
    "image": ["caption", "-m", "tiny-captioner", "{}"],
    "folder": ["zeroshot", "-m", "tiny-clip", "-d", "folder:{}"],
    "hub directory": ["zeroshot", "-m", "tiny-clip", "-d", "hf:{}"],
    "model directory": ["zeroshot", "-m", "{}", "-d", "digits"],
    "judged images": ["metric-eval", "-j", "{judged}", "--images", "{}", "--metrics", "clipscore"],
}


def call(line: list[str], named: Path, place: Path) -> tuple[int, str]:
    (place / "runs").mkdir()
    (place / "good.json").write_text(json.dumps({"1": ["a dog"]}))
    rows = [
        json.dumps({"image_id": "1", "candidate": text, "rating": rating, "references": ["a dog"]})
        for rating, text in enumerate(("a dog", "a cat"))
    ]
    (place / "judged.jsonl").write_text("\n".join(rows))
    known = {"good": place / "good.json", "runs": place / "runs", "judged": place / "judged.jsonl"}
    given = [part.format(named, **known) for part in line]
    done = CliRunner().invoke(app, given, env={"VLMBENCH_OUT": str(place / "out")})
    assert "Traceback" not in done.output
    return done.exit_code, done.stderr


@pytest.mark.parametrize("name", [*READ, *LOOK])
def test_what_is_named_and_is_not_there_is_absent(name: str, tmp_path: Path) -> None:
    code, said = call({**READ, **LOOK}[name], tmp_path / "nowhere" / "none.json", tmp_path)
    assert code == 4, said
    assert "none.json" in said


@pytest.mark.parametrize("name", READ)
def test_a_directory_in_a_file_s_place_is_bad_input(name: str, tmp_path: Path) -> None:
    (tmp_path / "some.json").mkdir()
    code, said = call(READ[name], tmp_path / "some.json", tmp_path)
    assert code == 3, said
    assert "a directory, not a" in said
