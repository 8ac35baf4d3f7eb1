import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from vlmbench.cli.app import guarded
from vlmbench.cli.doctor import command as doctor
from vlmbench.cli.options.common import BASICS, Common, with_basics, with_common
from vlmbench.tasks.doctor import Finding, examine


def called_with(wrapper, arguments, env=None):
    seen = {}

    @wrapper
    def command(common: Common) -> None:
        seen["common"] = common

    app = typer.Typer()
    app.command()(guarded(command))
    result = CliRunner().invoke(app, arguments, env=env)
    return result, seen.get("common")


def test_every_common_option_is_there_with_its_default():
    result, common = called_with(with_common, [])
    assert result.exit_code == 0
    assert common == Common()


def test_options_read_the_environment_and_the_command_line_wins():
    env = {"VLMBENCH_OUT": "elsewhere", "VLMBENCH_BATCH_SIZE": "7", "VLMBENCH_OFFLINE": "1"}
    _, common = called_with(with_common, ["--batch-size", "8"], env)
    assert (common.out, common.batch_size, common.offline) == (Path("elsewhere"), 8, True)


@pytest.mark.parametrize(
    "arguments", [["--batch-size", "0"], ["--device", "tpu"], ["--workers", "-1"], ["--seed", "x"]]
)
def test_values_out_of_range_are_usage(arguments):
    result, common = called_with(with_common, arguments)
    assert (result.exit_code, common) == (2, None)


def test_basic_commands_take_only_the_basics():
    @with_basics
    def command(common: Common) -> None: ...

    assert sorted(inspect.signature(command).parameters) == sorted([*BASICS, "ctx"])


def test_doctor_finds_this_environment_whole_and_leaves_no_litter(tmp_path):
    out = tmp_path / "results"
    findings = {finding.what: finding for finding in examine(tmp_path / "cache", out)}
    assert findings["torch"].state == "ok"
    assert findings["results"].state == "ok"
    assert not out.exists()


@pytest.mark.parametrize(
    ("free", "state", "said"), [(2**30 // 2, "nearly full", "512 MiB free"), (2**31, "ok", "2,048 MiB free")]
)
def test_doctor_says_that_a_disk_is_nearly_full_not_absent(tmp_path, monkeypatch, free, state, said):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    findings = {finding.what: finding for finding in examine(tmp_path / "cache", tmp_path / "out")}
    for what, switch in (("cache", "--cache-dir"), ("results", "--out")):
        assert findings[what].state == state
        assert said in findings[what].detail
        assert (switch in findings[what].fix) == (state != "ok")


def test_doctor_says_what_is_broken_and_ends_with_4(tmp_path):
    (tmp_path / "file").write_text("in the way")
    app = typer.Typer()
    app.command()(guarded(doctor))
    result = CliRunner().invoke(app, ["--cache-dir", str(tmp_path / "file"), "--json"])
    assert result.exit_code == 4
    found = {item["what"]: Finding(**item) for item in json.loads(result.stdout)["findings"]}
    assert found["cache"].state == "broken"
    assert "--cache-dir" in found["cache"].fix
