"""``vlmbench run``: a plan is the same as its commands, shares their work, and is wrong before anything runs."""

import json
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from vlmbench.cli.app import app, load
from vlmbench.cli.options.common import Common
from vlmbench.cli.plan_options import ALONE, command_of, common_keys, keys_of
from vlmbench.features.store import FeatureEntry
from vlmbench.records.task import tasks
from vlmbench.session import features, models

GRID = """
seed = 3

[[zeroshot]]
model = "tiny-clip"
dataset = ["digits", "shapes"]
limit = 30

[[linear-probe]]
model = ["tiny-clip", "pixels"]
dataset = ["digits"]
shots = "1,all"
seeds = 2
c = 0.3
limit = 30
figures = false

[[caption-eval]]
captioner = ["tiny-captioner"]
dataset = "scenes"
metrics = "bleu,cider"
resamples = 100
limit = 4

[[retrieval]]
model = ["tiny-clip"]
dataset = ["scenes"]
limit = 10
"""


def call(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def run(tmp_path):
    """Writes a plan and runs it."""

    def go(text: str, *more, **options):
        plan = tmp_path / "plan.toml"
        plan.write_text(text)
        return call("run", plan, "-o", tmp_path / "out", "--cache-dir", tmp_path / "cache", *more, **options)

    return go


def records(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in out.rglob("result.json")}


def test_a_plan_is_the_same_as_its_commands_and_shares_their_work(run, tmp_path, monkeypatch):
    passes, loaded = [], []
    encode, opened = features.encode_split, models.load_model

    def counted(split, jobs, options):
        passes.append((split.name, len(split), [job.name for job in jobs]))
        return encode(split, jobs, options)

    def load_counted(files, *more):
        loaded.append(files.id)
        return opened(files, *more)

    monkeypatch.setattr(features, "encode_split", counted)
    monkeypatch.setattr(models, "load_model", load_counted)
    done = run(GRID, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(one["task"], one["system"], one["shots"], one["seed"]) for one in document["results"]] == [
        *[("zeroshot", "tiny-clip", None, 3)] * 2,
        ("linear-probe", "tiny-clip", 1, 3),
        ("linear-probe", "tiny-clip", None, 3),
        ("linear-probe", "pixels", 1, 3),
        ("linear-probe", "pixels", None, 3),
        ("caption-eval", "tiny-captioner", None, 3),
        ("retrieval", "tiny-clip", None, 3),
    ]
    assert {Path(path).stem for path in document["tables"]} == {"classification", "captions", "retrieval", "report"}
    assert passes[0] == ("test", 30, ["tiny-clip", "pixels"])
    assert [models for _, _, models in passes].count(["tiny-clip", "pixels"]) == 3
    assert len(passes) == 5
    assert sorted(loaded) == ["pixels", "tiny-clip"]

    commands = run(GRID, "--dry-run").stdout.splitlines()
    assert len(commands) == 4
    passes.clear()
    for command in commands:
        words = shlex.split(command)
        words[words.index("--out") + 1] = str(tmp_path / "single")
        assert words[0] == "vlmbench"
        single = call(*words[1:])
        assert single.exit_code == 0, single.stderr
    assert records(tmp_path / "single") == records(tmp_path / "out")
    again = run(GRID, "--json")
    assert json.loads(again.stdout) == document
    assert "features: 0 images encoded, 30 from the store (pixels, digits, test)" in again.stderr
    assert "captions: 0 generated, 4 from the store" in again.stderr
    assert passes == []


def test_an_interrupted_plan_goes_on_where_it_stopped(run, tmp_path, monkeypatch):
    plan = GRID.partition("[[linear-probe]]")[0]
    write = FeatureEntry.write_shard
    written = []

    def stop(self, *arguments):
        if written:
            raise KeyboardInterrupt
        written.append(self)
        return write(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureEntry, "write_shard", stop)
        assert run(plan).exit_code == 130
    assert len(records(tmp_path / "out")) == 1
    done = run(plan)
    assert done.exit_code == 0
    assert "features: 0 images encoded, 30 from the store (tiny-clip, digits, test)" in done.stderr
    assert "features: 30 images encoded, 0 from the store (tiny-clip, shapes, test)" in done.stderr


def test_the_command_line_goes_before_the_plan_and_the_plan_before_the_environment(run, tmp_path):
    plan = 'seed = 3\nout = "elsewhere"\n[[zeroshot]]\nmodel = "tiny-clip"\ndataset = "digits"\nprompts = "-{}"\n'
    done = run(plan, "--dry-run", "--json", env={"VLMBENCH_SEED": "5", "VLMBENCH_DEVICE": "cpu"})
    (command,) = json.loads(done.stdout)["commands"]
    out, cache = tmp_path / "out", tmp_path / "cache"
    assert shlex.split(command)[1:] == shlex.split(
        f"zeroshot --model tiny-clip --dataset digits --prompts=-{{}} --seed 3 --out {out} --cache-dir {cache}"
    )
    assert not out.exists()
    done = run(plan + "limit = 5\n", "--json", "-q", env={"VLMBENCH_SEED": "5"})
    (result,) = json.loads(done.stdout)["results"]
    assert (result["seed"], result["n"], Path(result["path"]).parents[1]) == (3, 5, out)


def test_prompts_of_a_plan_are_a_text_or_a_list(run):
    plan = '[[zeroshot]]\nmodel = "tiny-clip"\ndataset = "digits"\nlimit = 5\nprompts = {}\n'
    for value, words in (
        ('"default,dataset"', ["--prompts", "default,dataset"]),
        (
            '["default,dataset", "a cell of {}, seen"]',
            ["--prompts", "default,dataset", "--prompts", "a cell of {}, seen"],
        ),
    ):
        (command,) = json.loads(run(plan.format(value), "--dry-run", "--json").stdout)["commands"]
        found = shlex.split(command)
        assert found[found.index("--prompts") :][: len(words)] == words
    done = run(plan.format('["default,dataset", "a cell of {}, seen"]'), "--json")
    assert done.exit_code == 0, done.stderr
    protocols = [
        json.loads((Path(result["path"]) / "result.json").read_text())["protocol"]["prompts"]
        for result in json.loads(done.stdout)["results"]
    ]
    assert protocols == ["default", "dataset", "a cell of {}, seen"]


ZERO = '[[zeroshot]]\nmodel = "tiny-clip"\ndataset = "digits"\n'
PROBE = '\n[[linear-probe]]\nmodel = "tiny-clip"\ndataset = "digits"\n'


@pytest.mark.parametrize(
    ("plan", "code", "message", "where"),
    [
        (ZERO + "limit == 3", 3, "not valid TOML", "line 4, column 8"),
        ("[[zeroshot]]\nmodel = [\n", 3, "not valid TOML", "line 2"),
        ("", 3, "no tables", "plan.toml"),
        ("seed = 1", 3, "no tables", "plan.toml"),
        (ZERO.replace("zeroshot", "zero-shot"), 3, "did you mean zeroshot?", "line 1, [[zero-shot]]"),
        (ZERO.replace("[[zeroshot]]", "[zeroshot]"), 3, "write [[zeroshot]]", "line 1"),
        ("sed = 1\n" + ZERO, 3, "did you mean seed?", "key sed"),
        ("json = true\n" + ZERO, 3, "json is for the command line", "key json"),
        ("trust-remote-code = true\n" + ZERO, 3, "vlmbench run --trust-remote-code", "key trust-remote-code"),
        ('workers = "two"\n' + ZERO, 3, "workers is a whole number, not text", "key workers"),
        ('device = "tpu"\n' + ZERO, 3, "device = tpu", "key device"),
        (ZERO + PROBE + "shot = 1", 3, "did you mean shots?", "line 5, [[linear-probe]], key shot"),
        (ZERO + "seed = 1", 3, "at the top of the plan", "line 1, [[zeroshot]], key seed"),
        (ZERO + 'limit = "many"', 3, "limit is a whole number, not text", "key limit"),
        (ZERO + "limit = true", 3, "limit is a whole number, not true or false", "key limit"),
        (ZERO + "limit = 0", 3, "limit = 0", "key limit"),
        (ZERO + "limit = [1]", 3, "limit is a whole number, not a list", "key limit"),
        (ZERO + "split = 1979-05-27", 3, "split is text, not a date", "key split"),
        (ZERO + "prompts = {a = 1}", 3, "prompts is text or a list of such, not a table", "key prompts"),
        (PROBE + "figures = 1", 3, "figures is true or false", "key figures"),
        (PROBE + 'shots = [1, "all"]', 3, 'shots = "1,all"', "key shots"),
        (PROBE + 'shots = "1,x"', 3, "'x' is not a number of labels per class", "key shots"),
        (PROBE + 'solver = "svm"', 3, "solver = svm", "key solver"),
        (PROBE + "holdout = 0.5", 3, "datasets with a single split", "[[linear-probe]]"),
        ('[[zeroshot]]\nmodel = "tiny-clip"', 3, "dataset is missing", "line 1, [[zeroshot]]"),
        (ZERO + PROBE.replace("clip", "clap"), 4, "did you mean tiny-clip?", "line 5, [[linear-probe]], key model"),
        (ZERO + PROBE.replace("tiny-clip", "pixels") + 'features-layer = "proj"', 3, "only pre_proj", "key model"),
        (ZERO + PROBE + 'head = "blend"\nfeatures-layer = "pre_proj"', 3, "after the projection", "[[linear-probe]]"),
        (ZERO + PROBE.replace("digits", "digitz"), 4, "did you mean digits?", "line 5, [[linear-probe]], key dataset"),
        (
            ZERO + '[[zeroshot]]\nmodel = "pixels"\ndataset = "digits"',
            3,
            "cannot compare",
            "line 4, [[zeroshot]]",
        ),
        (ZERO + 'prompts = "none.txt"', 4, "no such prompt file", "key prompts"),
        (ZERO + 'prompts = "clip7,a cell of {}."', 3, "a template in one value", "key prompts"),
        (ZERO + 'prompts = ["name", 1.5, []]', 3, "prompts is text or a list of such, not a list", "key prompts"),
        (PROBE + 'prompts = "clip7,name"\nshots = "4"', 3, "there are 2 prompt sets: clip7, name", "key prompts"),
        (
            ZERO + '[[linear-probe]]\nfeatures = "none.npz"',
            4,
            "no such features file",
            "line 4, [[linear-probe]], key features",
        ),
        ('[[caption-eval]]\nreferences = "none.json"\ncandidates = ["a=b.json"]', 4, "no such file", "key references"),
        ('[[caption-eval]]\ncaptioner = "tiny-kaptioner"\ndataset = "scenes"', 4, "no such", "key captioner"),
        ('[[caption-eval]]\ncaptioner = "tiny-captioner"\ndataset = "digits"', 3, "reference captions", "key dataset"),
        ('[[retrieval]]\nmodel = "tiny-clip"\ndataset = "digits"', 3, "without captions", "key dataset"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_before_anything_runs(plan, code, message, where, run, tmp_path):
    done = run(plan)
    assert done.exit_code == code, done.stderr
    assert message in done.stderr
    assert where in done.stderr
    assert done.stderr.count("plan.toml") == 1
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_an_absent_plan_and_an_out_that_is_a_file(run, tmp_path):
    assert call("run", tmp_path / "none.toml").exit_code == 4
    (tmp_path / "out").write_text("")
    done = run(ZERO)
    assert (done.exit_code, "cannot write" in done.stderr) == (3, True)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize("task", tasks())
def test_the_keys_are_the_long_options_of_the_command(task):
    words = {max(item.opts, key=len).removeprefix("--") for item in load(task).params}
    shared = {max(item.opts, key=len).removeprefix("--") for item in load("demo").params}
    assert set(keys_of(command_of(task))) == words - shared
    assert set(common_keys()) == shared - set(ALONE)


def test_a_new_option_needs_no_second_list():
    from typing import Annotated

    from vlmbench.cli.options.common import option

    def command(
        common: Common,
        near: Annotated[list[float] | None, option("-n", "--near-by", help="")] = None,
        fast: Annotated[bool, option("--fast/--slow", help="")] = False,
        place: Annotated[Path | None, typer.Option("--place")] = None,
    ) -> None: ...

    keys = keys_of(command)
    assert [(key.name, key.kind, key.several, key.off) for key in keys.values()] == [
        ("near-by", float, True, None),
        ("fast", bool, False, "slow"),
        ("place", str, False, None),
    ]
