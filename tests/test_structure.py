"""What the whole tree keeps to: small files, documented commands, nothing of a developer's machine."""

import re
from pathlib import Path

import pytest

from vlmbench.cli.app import COMMANDS

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("vlmbench", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text("utf-8").splitlines()) <= 360


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_stands_in_the_readme(name):
    assert f"vlmbench {name}" in (ROOT / "README.md").read_text("utf-8")


def test_every_command_that_the_readme_shows_is_there():
    text = (ROOT / "README.md").read_text("utf-8")
    shown = set(re.findall(r"^(?:\$ )?vlmbench ([a-z][a-z-]+)", text, flags=re.MULTILINE))
    assert shown
    assert shown <= set(COMMANDS)


def test_no_unsafe_loading_anywhere():
    banned = re.compile(r"LOAD_TRUNCATED_IMAGES\s*=\s*True|import pickle|trust_remote_code=True|allow_pickle=True")
    found = [str(path) for path in SOURCES if banned.search(path.read_text("utf-8"))]
    assert found == []
