"""An option that a call has no use for is an error; every option of every command stands in a mode."""

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from enum import StrEnum
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app, load
from vlmbench.cli.commands import COMMANDS
from vlmbench.cli.modes import MODES, settle
from vlmbench.cli.options.common import Common, own_options
from vlmbench.cli.plan_options import command_of
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.spelling import as_options

CALLS = {
    "zeroshot": "-m tiny-clip -d digits --holdout 0.25",
    "linear-probe --features": "--features f.npz --shots 1,all",
    "linear-probe --load-probe": "--load-probe p.safetensors -d digits",
    "linear-probe -m -d": "-m tiny-clip -d digits --shots 1,all --test-on shapes",
    "retrieval": "-m tiny-clip -d scenes",
    "predict": "-p probe x.png",
    "caption-eval --captioner": "--captioner endpoint:http://127.0.0.1#m -d scenes --metrics cider,clipscore",
    "caption-eval -r -p": "-r r.json -p p.json --metrics cider,clipscore",
    "caption IMAGES": "-m endpoint:http://127.0.0.1#m -m retrieval:tiny-clip x.png",
    "caption -d": "-m endpoint:http://127.0.0.1#m -m retrieval:tiny-clip -d scenes",
    "compare": "results",
    "check --update": "--update results",
    "check": "results",
    "verify": "results",
    "power": "one two",
    "metric-eval": "-j j.csv --metrics clipscore",
    "embed": "-m tiny-clip -d digits",
    "run": "plan.toml",
    "list": "datasets",
    "demo": "",
    "doctor": "",
}
"""Of each mode a call that asks for everything its options can need."""
EVERY = [(command, mode) for command, modes in MODES.items() for mode in modes]
SHARED = {item.name for item in fields(Common)}


def own(command):
    """The parameters of a command that are its own, by name, as the parser has them."""
    return {param.name: param for param in load(command).params if param.name not in {*SHARED, "help"}}


def words(command, param):
    """A use of a parameter on the command line."""
    name = max(param.opts, key=len)
    if param.param_type_name == "argument":
        return ["x"]
    if param.is_flag:
        return [name]
    if name in ("--metric", "--ray"):
        return [name, "accuracy" if name == "--metric" else "local"]
    highest = getattr(param, "max", None)
    return [name, next(iter(choices(param_of(command, param.name).annotation)), "200" if highest is None else "1")]


def choices(annotation):
    """The values of an enumeration, wherever it stands in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [item.value for item in annotation]
    return [value for part in get_args(annotation) for value in choices(part)]


def param_of(command, name):
    return {**inspect.signature(Common, eval_str=True).parameters, **own_options(command_of(command))}[name]


def settled(command, arguments, env=None, monkeypatch=None):
    for name, value in (env or {}).items():
        monkeypatch.setenv(name, value)
    context = load(command).make_context(command, list(arguments))
    defaults = {n: p.default for n, p in own_options(command_of(command)).items() if p.default is not p.empty}
    with as_options():
        return settle(context, dict(context.params), defaults)


def test_every_command_and_each_of_its_options_stands_in_a_mode():
    """A new option fails here until `vlmbench.cli.modes` says which modes use it."""
    assert set(MODES) == set(COMMANDS)
    for command, modes in MODES.items():
        assert set().union(*(mode.uses.split() for mode in modes)) == set(own(command)), command
        for mode in modes:
            assert set(mode.by) <= set(mode.uses.split())
            assert {name for need in mode.needs for name in need.options.split()} <= set(mode.uses.split())
            assert set(mode.never) <= SHARED


@pytest.mark.parametrize(("command", "mode"), EVERY, ids=[mode.words for _, mode in EVERY])
def test_what_a_mode_uses_is_taken_and_what_it_does_not_use_is_refused(command, mode):
    call = CALLS[mode.words].split()
    settled(command, call)
    context = load(command).make_context(command, list(call))
    typed = {name for name in own(command) if context.get_parameter_source(name).name == "COMMANDLINE"}
    for name, param in {**own(command), **{p.name: p for p in load(command).params if p.name in mode.never}}.items():
        if name in mode.uses.split():
            if name not in mode.by and param.param_type_name != "argument":
                settled(command, [*call, *words(command, param)] if param.multiple else [*words(command, param), *call])
            continue
        other = next((item for item in MODES[command] if name in item.by), None)
        if other is not None and typed <= set(other.uses.split()):
            settled(command, [*call, *words(command, param)])
            continue
        with pytest.raises(UsageError) as caught:
            settled(command, [*call, *words(command, param)])
        said = "has no effect in" if other else f"{max(param.opts, key=len)} has no effect in {mode.words}"
        assert said in str(caught.value)
        assert caught.value.exit_code == 2


BARE = {
    "zeroshot": ["-m tiny-clip -d digits"],
    "linear-probe --features": ["--features f.npz", "--features f.npz --shots 1", "--features f.npz --head x"],
    "linear-probe -m -d": [f"-m tiny-clip -d digits{more}" for more in ("", " --shots 4", " --head x")],
    "predict": ["-p probe x.png --json"],
    "caption-eval --captioner": ["--captioner tiny-captioner -d scenes --metrics bleu"],
    "caption-eval -r -p": ["-r r.json -p p.json --metrics bleu"],
    "caption IMAGES": ["-m tiny-captioner x.png"],
    "caption -d": ["-m tiny-captioner -d scenes"],
    "metric-eval": ["-j j.csv --metrics bleu"],
}
"""Of each mode with needs calls that leave them unmet, one or another."""
NEEDS = [(command, mode, need) for command, mode in EVERY for need in mode.needs]


@pytest.mark.parametrize(("command", "mode", "need"), NEEDS, ids=[f"{m.words} {n.options}" for _, m, n in NEEDS])
def test_an_option_without_what_it_is_for_is_refused_and_passed_over_from_the_environment(
    command, mode, need, monkeypatch
):
    for name in need.options.split():
        param, refused = own(command)[name], []
        said = []
        for call in BARE[mode.words]:
            try:
                settled(command, [*words(command, param), *call.split()])
            except UsageError as error:
                refused.append(call)
                said.append(str(error))
        assert refused, name
        assert all(need.words in text for text in said)
        env = {f"VLMBENCH_{max(param.opts, key=len)[2:].upper().replace('-', '_')}": words(command, param)[-1]}
        for call in () if param.is_flag else refused:
            assert settled(command, call.split(), env, monkeypatch)[name] == param_of(command, name).default


@pytest.fixture
def files(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps({str(n): [f"a dog {n} on grass", "a dog"] for n in range(8)}))
    (tmp_path / "p.json").write_text(json.dumps({str(n): f"a dog {n}" for n in range(8)}))
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(40, 5)), np.arange(40) % 2
    np.savez(tmp_path / "f.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("caption-eval -r r.json -p p.json --prompt x", "--prompt"),
        ("caption-eval -r r.json -p p.json --num-beams 1", "--num-beams"),
        ("caption-eval -r r.json -p p.json --on-failure error", "--on-failure"),
        ("caption-eval --captioner tiny-captioner -d scenes --allow-empty", "--allow-empty"),
        ("caption-eval --captioner tiny-captioner -d scenes -r r.json", "--references"),
        ("caption -m tiny-captioner --limit 2 p.png", "--limit"),
        ("caption -m tiny-captioner --split test p.png", "--split"),
        ("linear-probe --features f.npz --limit 9", "--limit"),
        ("predict -p probe p.png -o p.csv", "--out"),
        ("check --update --level 0.1 out", "--level"),
        ("metric-eval -j j.csv --clip tiny-clip --metrics cider", "--clip"),
    ],
)
def test_a_dropped_option_ends_with_2_and_is_named(files, arguments, option, monkeypatch):
    monkeypatch.chdir(files)
    done = CliRunner().invoke(app, arguments.split())
    assert done.exit_code == 2
    assert f"{option} has no effect in" in " ".join(done.output.split())


def test_the_environment_is_for_all_commands(files):
    """Options that other modes have, given by the environment, change nothing: neither an error nor a figure."""
    many = {"VLMBENCH_PROMPT": "x", "VLMBENCH_SHOTS": "4", "VLMBENCH_MODEL": "tiny-clip", "VLMBENCH_CLIP": "tiny-clip"}
    common = ["-r", str(files / "r.json"), "-p", str(files / "p.json"), "--metrics", "cider", "--resamples", "100"]
    ends = []
    for env in ({}, many):
        done = CliRunner().invoke(app, ["caption-eval", *common, "-o", str(files / "out"), "--json"], env=env)
        assert done.exit_code == 0, done.output
        ends.append(json.loads(done.stdout)["results"])
    assert ends[0] == ends[1]
    probe = ["linear-probe", "--features", str(files / "f.npz"), "--c", "1", "--no-figures", "-o", str(files / "out")]
    done = CliRunner().invoke(
        app, [*probe, "--json"], env={"VLMBENCH_MODEL": "x", "VLMBENCH_DATASET": "y", "VLMBENCH_INIT": "zeroshot"}
    )
    assert done.exit_code == 0, done.output


def test_an_option_without_use_in_a_plan_is_named_with_its_place(files):
    (files / "plan.toml").write_text(
        '[[caption-eval]]\nreferences = "r.json"\ncandidates = ["p.json"]\nmetrics = "cider"\nnum-beams = 3\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "vlmbench", "run", "plan.toml"], cwd=files, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "--num-beams has no effect in caption-eval" in done.stderr
    assert "num-beams" in done.stderr.split("where:")[1]
