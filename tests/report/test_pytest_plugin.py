"""The pytest plugin and the GitHub Action, run as their users run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import factory
import pytest
import yaml

ROOT = Path(__file__).parents[2]


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "vlmbench.pytest_plugin", "-q", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, *arguments, str(folder)], capture_output=True, text=True, check=False, env=environment, cwd=folder
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    factory.write_classification(tmp_path / "before", accuracy=0.9, n=500)
    factory.write_classification(tmp_path / "after", accuracy=0.7, n=500, seed=3)
    for name in ("before", "after"):
        body = f"def test_results(vlmbench_check):\n    vlmbench_check.results({str(tmp_path / name)!r})\n"
        (tmp_path / f"test_{name}.py").write_text(body)
    return tmp_path


def test_the_fixture_writes_a_baseline_and_fails_a_regression(folder: Path) -> None:
    written = run_pytest(folder, "--vlmbench-update", "-k", "before")
    assert written.returncode == 0, written.stdout
    assert json.loads((folder / "baseline.json").read_text())["vlmbench_baseline"] == 1
    compared = run_pytest(folder)
    assert compared.returncode == 1
    assert "1 failed, 1 passed" in compared.stdout
    assert "zeroshot tiny-clip digits/test: accuracy went from" in compared.stdout


def test_the_fixture_fails_for_what_it_does_not_know(folder: Path) -> None:
    done = run_pytest(folder, "-k", "before")
    assert done.returncode == 1
    assert "no such baseline" in done.stdout
    (folder / "baseline.json").write_text('{"vlmbench_baseline": 1, "runs": {}}')
    done = run_pytest(folder, "-k", "before")
    assert done.returncode == 1
    assert "--vlmbench-update" in done.stdout


def test_the_fixture_runs_a_command_and_reports_its_end(folder: Path) -> None:
    body = 'def test_run(vlmbench_check):\n    vlmbench_check("zeroshot", "-m", "no-such-model", "-d", "digits")\n'
    (folder / "test_run.py").write_text(body)
    done = run_pytest(folder, "-k", "test_run")
    assert done.returncode == 1
    assert "ended with 4" in done.stdout


@pytest.mark.parametrize(("name", "code", "regressions"), [("before", 0, "0"), ("after", 1, "1")])
def test_the_actions_check_step(folder: Path, name: str, code: int, regressions: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_ACTIONS": "true",
        "RESULTS": str(folder / name),
        "BASELINE": str(folder / "before"),
        "TOLERANCE": "accuracy=0.01 ece=0.5",
    }
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "check")
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == code, done.stderr
    outputs = dict(line.split("=", 1) for line in (folder / "output").read_text().splitlines())
    assert outputs["regressions"] == regressions
    assert json.loads(Path(outputs["json"]).read_text())["regressions"] == int(regressions)
    assert "vlmbench check" in (folder / "summary.md").read_text()
    assert ("::error title=vlmbench regression::" in done.stderr) == bool(code)
