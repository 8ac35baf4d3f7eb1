"""``--ray`` and ``--device cuda:all``: arguments, machines and errors, without a cluster (`test_ray.py` has one)."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import vlmbench
from vlmbench.cli.app import app
from vlmbench.features.store import FeatureEntry
from vlmbench.foundations import launch
from vlmbench.foundations.atomic import temporary_directory
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.shared import SharedCache
from vlmbench.session.context import Context
from vlmbench.session.pool import Work
from vlmbench.session.session import Session
from vlmbench.tasks.cluster import address, crew, machines
from vlmbench.tasks.cluster.worker import Worker


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def ray_is_there(monkeypatch):
    monkeypatch.setattr(address, "find_spec", lambda name: name)


@pytest.mark.parametrize("text", ["local", "auto", "head:6379", "10.0.0.1:6379", "[::1]:6379", "ray://head:10001"])
def test_addresses(text, ray_is_there):
    assert address.parse_address(text) == text


@pytest.mark.parametrize("text", ["", "head", "ray://", "ray://head", "http://head:1", "head:port", ":6379"])
def test_what_is_no_address(text, ray_is_there):
    with pytest.raises(UsageError, match="not the address of a Ray cluster"):
        address.parse_address(text)


def test_without_ray_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(address, "find_spec", lambda name: None)
    done = invoke("embed", "-m", "tiny-clip", "-d", "digits", "--ray", "-o", tmp_path)
    assert done.exit_code == 4
    assert "pip install 'vlmbench-eval[ray]'" in done.stderr


def test_an_address_where_nothing_answers(ray_is_there):
    with pytest.raises(AbsentError, match=r"nothing answers at 127\.0\.0\.1:9"):
        address.require_answer("127.0.0.1:9")
    with pytest.raises(AbsentError, match=r"nothing answers at ray://127\.0\.0\.1:99999"):
        address.require_answer("ray://127.0.0.1:99999")


def test_the_address_may_be_left_out(ray_is_there, monkeypatch):
    found = []
    monkeypatch.setattr(vlmbench, "embed", lambda *given, **options: found.append(options["ray"]) or sys.exit(9))
    for more in (["--ray"], ["--ray", "--limit", "4"], ["--ray", "local"], ["--ray", "ray://head:10001"], []):
        assert invoke("embed", *more[:1], *more[1:], "-m", "tiny-clip", "-d", "digits").exit_code == 9
    assert found == ["local", "local", "local", "ray://head:10001", None]


def test_a_plan_may_follow_it(ray_is_there, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text('[[zeroshot]]\nmodel = "tiny-clip"\ndataset = "digits"\n')
    done = invoke("run", "--ray", plan, "--dry-run", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["commands"] == ["vlmbench zeroshot --model tiny-clip --dataset digits --ray local"]


def test_a_shard_is_not_for_workers(ray_is_there, tmp_path):
    places = ["-o", tmp_path, "--cache-dir", tmp_path]
    done = invoke("embed", "-m", "tiny-clip", "-d", "digits", "--shard", "1/2", "--ray", "--device", "cpu", *places)
    assert done.exit_code == 2
    assert "--shard and --ray" in done.stderr


OWN = {"Python": "3.11", "vlmbench": "1.0", "torch": "2.9", "transformers": "4.57", "pillow": "12.0"}


def test_a_machine_with_other_versions_is_refused():
    machines.compare("a", OWN, {**OWN, "sees": "True"}, Path("cache"))
    with pytest.raises(
        AbsentError, match=r"machine b of the Ray cluster has torch 2\.8 and not 2\.9, pillow missing"
    ) as caught:
        machines.compare("b", OWN, {**OWN, "torch": "2.8", "sees": "True", "pillow": "missing"}, Path("cache"))
    assert caught.value.fix == "the same versions there: pip install torch==2.9 pillow==12.0"
    with pytest.raises(AbsentError, match=r"Python 3\.12 and not 3\.11") as caught:
        machines.compare("b", OWN, {**OWN, "Python": "3.12", "sees": "True"}, Path("cache"))
    assert caught.value.fix == "the same versions there, under Python 3.11"
    with pytest.raises(AbsentError, match="vlmbench missing and not"):
        machines.compare("b", OWN, {"Python": "3.11", "sees": "True"}, Path("cache"))


def test_a_machine_that_does_not_see_the_cache_directory_is_refused(tmp_path):
    facts = machines.facts_of()
    with temporary_directory(tmp_path / "launches") as probe:
        machines.compare("a", machines.own_facts(), facts(str(probe), machines.VERSIONS), tmp_path)
    assert not list(tmp_path.rglob(".tmp*"))
    with pytest.raises(AbsentError, match="machine a of the Ray cluster does not see the cache directory"):
        machines.compare("a", machines.own_facts(), facts(str(probe), machines.VERSIONS), tmp_path)


def test_a_shared_cache_that_can_be_written_to_stands_in_for_a_common_directory(tmp_path):
    theirs = {**machines.own_facts(), "sees": "False"}
    shared = SharedCache(str(tmp_path / "shared"), tmp_path / "cache")
    machines.compare("a", machines.own_facts(), theirs, tmp_path / "cache", shared)
    (tmp_path / "file").write_text("")
    unwritable = SharedCache(str(tmp_path / "file"), tmp_path / "cache")
    with pytest.raises(AbsentError, match="does not see the cache directory"):
        machines.compare("a", machines.own_facts(), theirs, tmp_path / "cache", unwritable)


def node(**resources):
    return {"Resources": resources}


def test_places(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    nodes = [node(CPU=16.0, GPU=4.0), node(CPU=8.0), node(memory=1.0)]
    assert machines.places(nodes, "cuda") == (4, 4)
    assert machines.places(nodes, "cpu") == (6, 4)
    assert machines.places([node(CPU=2.0)], "cpu") == (1, 2)
    assert machines.places([node(CPU=2.0)], "cuda") == (0, 1)
    assert machines.places([], "cpu")[0] == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machines.places(nodes, "cpu") == (24, 1)


@dataclass(frozen=True)
class Job:
    name: str

    def run(self, session, pieces):
        raise InputError("wrong", where="--limit", fix="--limit 1")


def test_pieces_are_handed_out_once_in_spans_that_shrink_and_come_back():
    one, other = Job("one"), Job("other")
    queue = crew.Queue([Work(one, [range(n, n + 1) for n in range(40)]), Work(other, [range(1)])])
    first = queue.take(4)
    assert (first.job, list(first.pieces)) == (one, [range(n, n + 1) for n in range(5)])
    queue.put_back(first)
    assert len(queue) == 41
    assert queue.take(4) is first
    spans = [first]
    while (span := queue.take(4)) is not None:
        assert len(span.pieces) <= len(spans[-1].pieces)
        spans.append(span)
    assert len(queue) == 0
    assert [piece[0] for span in spans for piece in span.pieces] == [*range(40), 0]
    assert spans[-1].job is other


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(16):
            Image.fromarray(generator.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(
                root / name / f"{number}.png"
            )
    return root


class InTurn:
    """A pool whose workers are here: two of them take turns, the last spans first, and some twice."""

    def __init__(self):
        self.closed, self.spans = 0, 0

    def device(self, requested):
        return "cpu"

    def run(self, context, work):
        queue, spans = crew.Queue(work), []
        while (span := queue.take(2)) is not None:
            spans.append(span)
        self.spans += len(spans)
        workers = [Worker(replace(context, pool=None), str(Path.cwd())) for _ in range(2)]
        for number, span in enumerate([*reversed(spans), *spans[:2]]):
            answer = workers[number % 2].run(span.job, span.pieces)
            assert answer.error is None
            yield answer.value

    def close(self):
        self.closed += 1


def written(place):
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def test_workers_give_the_bytes_of_one_process_and_the_command_finds_all_stored(images, tmp_path, monkeypatch):
    from vlmbench.api import options

    pool = InTurn()
    wanted = {"batch_size": 2, "device": "cpu", "workers": 0}
    vlmbench.zeroshot("tiny-clip", f"folder:{images}", out=tmp_path / "a", cache_dir=tmp_path / "a/cache", **wanted)
    ordinary = options.Context
    monkeypatch.setattr(options, "Context", lambda **known: ordinary(**known, pool=pool))
    found = vlmbench.zeroshot(
        "tiny-clip", f"folder:{images}", out=tmp_path / "b", cache_dir=tmp_path / "b/cache", **wanted
    )
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert json.loads((found[0].path / "run.json").read_text())["images_encoded"] == 32
    assert (pool.closed, pool.spans > 3) == (1, True)
    monkeypatch.setattr(FeatureEntry, "write_shard", None)  # nothing is encoded again
    vlmbench.zeroshot("tiny-clip", f"folder:{images}", out=tmp_path / "c", cache_dir=tmp_path / "b/cache", **wanted)


def test_captions_of_workers_are_those_of_one_process(tmp_path, monkeypatch):
    from vlmbench.api import options

    wanted = {"dataset": "scenes", "limit": 6, "batch_size": 2, "device": "cpu", "workers": 0}
    vlmbench.caption("tiny-captioner", out=tmp_path / "a", cache_dir=tmp_path / "ac", **wanted)
    ordinary, pool = options.Context, InTurn()
    monkeypatch.setattr(options, "Context", lambda **known: ordinary(**known, pool=pool))
    vlmbench.caption("tiny-captioner", out=tmp_path / "b", cache_dir=tmp_path / "bc", **wanted)
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert pool.closed == 1


def test_a_worker_that_finds_other_images_says_so(images, tmp_path):
    from vlmbench.encoders.names import parse_model
    from vlmbench.session.images import Selection
    from vlmbench.session.pool import Encoding

    context = Context(cache_dir=tmp_path, device="cpu")
    models = (parse_model("tiny-clip"),)
    selection = Selection(f"folder:{images}", Session(context).dataset(f"folder:{images}").info.splits[0])
    (key,) = Session(context).keys(models, selection)
    job = Encoding(selection, models, (replace(key, fingerprint="0"),))
    answer = Worker(context, str(tmp_path)).run(job, [range(2)])
    assert "a worker has other fingerprint for tiny-clip" in answer.error.what
    assert key.fingerprint in answer.error.where


def test_an_error_of_a_worker_keeps_the_options_of_the_command_line(tmp_path):
    error = Worker(Context(cache_dir=tmp_path, device="cpu"), str(tmp_path / "none")).run(Job("x"), []).error
    assert (type(error), error.where, error.fix) == (InputError, "--limit", "--limit 1")


SHOW = "import os, sys; n = os.environ['RANK']; w = os.environ['WORLD_SIZE']; sys.stderr.write(f'said by {n}\\n');"


def test_a_process_for_each_gpu(capfd):
    code = SHOW + "print(n, w, os.environ['LOCAL_RANK'], os.environ['LOCAL_WORLD_SIZE']) if n == '1' else None"
    assert launch.run_all(2, [sys.executable, "-c", code]) == 0
    assert capfd.readouterr() == ("1 2 1 2\n", "said by 0\n"), "results once, and the messages of the first"
    assert launch.run_all(2, [sys.executable, "-c", SHOW + "sys.exit(3 if n == '1' else 0)"]) == 3
    assert "said by 1" in capfd.readouterr().err


def test_a_process_that_is_killed_is_made_up_for(capfd, tmp_path):
    once = "p = sys.argv[1]; first = not os.path.exists(p); open(p, 'w').close();"
    code = SHOW + once + "os.kill(os.getpid(), 9) if first else None; print('done') if n == '0' else None"
    marker = str(tmp_path / "marker")
    assert launch.run_all(2, [sys.executable, "-c", code, marker]) == 0
    assert capfd.readouterr().out == "done\n"
    assert launch.run_all(2, [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 70


def test_cuda_all(monkeypatch, tmp_path):
    words = ["embed", "-m", "tiny-clip", "-d", "digits", "-o", tmp_path, "--device", "cuda:all"]
    for command in ("caption", "predict"):
        more = ["-p", "x", "y.png"] if command == "predict" else ["-m", "tiny-captioner", "-d", "scenes"]
        done = invoke(command, *more, "--device", "cuda:all")
        assert done.exit_code == 2
        assert f"{command} runs in one process" in done.stderr
    done = invoke(*words)
    assert (done.exit_code, "no cuda device" in done.stderr) == (4, True)
    found = []
    monkeypatch.setattr(vlmbench, "embed", lambda *given, **options: found.append(options["device"]) or sys.exit(9))
    monkeypatch.setattr("vlmbench.encoders.device.gpus", lambda: 1)
    assert (invoke(*words).exit_code, found) == (9, ["cuda"]), "one GPU: the same as cuda"
    monkeypatch.setattr("vlmbench.encoders.device.gpus", lambda: 4)
    monkeypatch.setattr(launch, "run_all", lambda count: found.append(count) or 5)
    assert (invoke(*words).exit_code, found) == (5, ["cuda", 4])
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (invoke(*words).exit_code, found) == (9, ["cuda", 4, "cuda"]), "one of the processes"
    with pytest.raises(UsageError):
        vlmbench.zeroshot("tiny-clip", "digits", device="cuda:all", out=tmp_path)
