"""The steps of action.yml, run by bash as GitHub's runner does."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent / "report"))

import factory

ACTION = yaml.safe_load((Path(__file__).parent.parent / "action.yml").read_text("utf-8"))
STEPS = ACTION["runs"]["steps"]
RECORDER = """import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
sys.exit(5 if "fails" in sys.argv else 0)
"""


def step(name: str) -> str:
    return next(item["run"] for item in STEPS if name in item.get("env", {}))


def run(script: str, tmp_path: Path, python: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "bin").mkdir(exist_ok=True)
    shim = tmp_path / "bin" / "python"
    shim.write_text(f'#!/bin/sh\n{python or f"exec {sys.executable}"} "$@"\n')
    shim.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")},
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "CALLS": str(tmp_path / "calls"),
        **environment,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_every_line_of_run_is_a_command_and_quotes_are_those_of_a_shell(tmp_path: Path) -> None:
    (tmp_path / "vlmbench").mkdir()
    (tmp_path / "vlmbench" / "__init__.py").touch()
    (tmp_path / "vlmbench" / "__main__.py").write_text(RECORDER)
    lines = """
zeroshot -m ./my-clip --prompts 'a photo of a {}.'   # the first
vlmbench linear-probe -m ./my-clip \\
  -d "folder:my images"

caption-eval fails
never reached
"""
    done = run(step("RUN"), tmp_path, RUN=lines, RESULTS="new results", PYTHONPATH=str(tmp_path))
    assert done.returncode == 5, done.stderr
    out = ["--out", "new results"]
    assert [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()] == [
        ["zeroshot", "-m", "./my-clip", "--prompts", "a photo of a {}.", *out],
        ["linear-probe", "-m", "./my-clip", "-d", "folder:my images", *out],
        ["caption-eval", "fails", *out],
    ]
    done = run(step("RUN"), tmp_path, RUN="zeroshot -m 'open", RESULTS="results")
    assert done.returncode == 1
    assert "No closing quotation" in done.stderr


@pytest.mark.parametrize(("baseline", "code"), [("none.json", 4), ("broken.json", 3)])
def test_a_check_without_a_comparison_writes_the_summary_and_junit(tmp_path: Path, baseline: str, code: int) -> None:
    (tmp_path / "broken.json").write_text("{}")
    factory.write_classification(tmp_path / "results", "zeroshot")
    summary = tmp_path / "summary.md"
    given = {"RESULTS": "results", "BASELINE": baseline, "TOLERANCE": "accuracy=0.01\nece=0.02"}
    done = run(step("TOLERANCE"), tmp_path, **given, GITHUB_STEP_SUMMARY=str(summary), GITHUB_ACTIONS="true")
    assert done.returncode == code, done.stderr
    assert "could not compare" in summary.read_text("utf-8")
    assert "::error title=vlmbench check could not compare::" in done.stderr
    output = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    suite = ElementTree.parse(output["junit"]).getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")
    assert suite[0][0].tag == "error"
    assert "regressions" not in output


def test_torch_is_the_build_for_cpus_and_what_pip_fetches_is_kept(tmp_path: Path) -> None:
    install = next(item["run"] for item in STEPS if "pip install" in item.get("run", ""))
    index = ACTION["inputs"]["torch-index"]["default"]
    given = {"VERSION": "", "TORCH_INDEX": index, "GITHUB_ACTION_PATH": "/action"}
    lines = run(install, tmp_path, "echo", **given).stdout.splitlines()
    assert lines == [f"-m pip install torch --index-url {index}", "-m pip install /action"]
    assert index.endswith("/cpu")
    lines = run(install, tmp_path, "echo", **given | {"TORCH_INDEX": "", "VERSION": "==0.1.0"}).stdout.splitlines()
    assert lines == ["-m pip install vlmbench-eval==0.1.0"]
    assert any(item.get("uses", "").startswith("actions/cache@") for item in STEPS)
