"""A command that ``torchrun`` or SLURM starts as several processes: one result, the same bytes, nothing twice."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import vlmbench
import vlmbench.features.encode
from vlmbench.cli.app import app
from vlmbench.encoders import device
from vlmbench.foundations.errors import LeftToOthers, UsageError
from vlmbench.foundations.launch import Launch, find_launch, local_count, local_rank


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(48):
            pixels = generator.integers(0, 255, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SLURM") or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
            monkeypatch.delenv(name)


def options(place):
    return {"out": place / "out", "cache_dir": place / "cache", "batch_size": 4, "device": "cpu", "workers": 0}


def line(images, place, *more):
    places = ["-o", place / "out", "--cache-dir", place / "cache"]
    words = ["embed", "-m", "tiny-clip", "-d", f"folder:{images}", *places, "--batch-size", 4, "--device", "cpu", *more]
    return [str(word) for word in words]


def hashes(place):
    """Of all that a run writes, but for when and where it ran."""
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def shards(place):
    return {path.name: path.read_bytes() for path in place.rglob("features/*/*.safetensors")}


@pytest.fixture(scope="module")
def alone(images, tmp_path_factory):
    """What one process writes: of zeroshot and of embed."""
    place = tmp_path_factory.mktemp("alone")
    vlmbench.embed("tiny-clip", f"folder:{images}", **options(place))
    vlmbench.zeroshot("tiny-clip", f"folder:{images}", **options(place))
    return place


@pytest.mark.long
def test_torchrun_writes_what_one_process_writes(images, alone, tmp_path):
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "vlmbench",
    ]
    process = subprocess.run(
        [*launcher, *line(images, tmp_path, "--json")], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert hashes(tmp_path / "out/embeddings") == hashes(alone / "out/embeddings")
    assert shards(tmp_path) == shards(alone)
    if "is writing the results" in process.stderr:
        assert json.loads(process.stdout)["n"] == 96, "one document for both processes"
    assert not list(tmp_path.rglob("features/*/.lock*"))


@pytest.mark.parametrize("count", [2, 8])
def test_however_many_encode_each_image_once_and_the_same_bytes(count, images, alone, tmp_path, monkeypatch):
    encoded, batches = [], vlmbench.features.encode._batches

    def counted(*given):
        for batch in batches(*given):
            encoded.extend(batch.rows)
            yield batch

    monkeypatch.setattr("vlmbench.features.encode._batches", counted)

    def one(number):
        try:
            launch = Launch(number, count, "zeroshot")
            return vlmbench.zeroshot("tiny-clip", f"folder:{images}", **options(tmp_path), launch=launch)
        except LeftToOthers as left:
            return str(left)

    with ThreadPoolExecutor(count) as pool:
        ends = list(pool.map(one, range(count)))
    assert any(not isinstance(end, str) for end in ends)
    assert sorted(encoded) == list(range(96))
    assert hashes(tmp_path / "out/runs") == hashes(alone / "out/runs")
    assert shards(tmp_path) == shards(alone)


def test_one_of_which_the_others_were_never_started_does_it_all(images, alone, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")  # as an sbatch script has them that starts no srun, but for the number
    monkeypatch.setenv("SLURM_NTASKS", "4")
    done = CliRunner().invoke(app, line(images, tmp_path, "--json"))
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["encoded"] == 96
    assert hashes(tmp_path / "out/embeddings") == hashes(alone / "out/embeddings")


_KILLED = """
import os, signal
from vlmbench.features.store import FeatureEntry
write, units = FeatureEntry.write_shard, []
def stop(self, *given):
    if len(units) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    units.append(given)
    write(self, *given)
FeatureEntry.write_shard = stop
from vlmbench.__main__ import main
main()
"""


def test_one_that_is_killed_is_made_up_for_by_the_others(images, alone, tmp_path, processes):
    environment = {**os.environ, "RANK": "1", "WORLD_SIZE": "2"}
    killed = processes.python(_KILLED, environment, *line(images, tmp_path), libraries=processes.OFFLINE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sorted(shards(tmp_path)) == [f"{number:09d}.safetensors" for number in (48, 56, 64)], "its own half first"
    found = vlmbench.embed("tiny-clip", f"folder:{images}", **options(tmp_path), launch=Launch(0, 2, "embed"))
    assert found.encoded == 96 - 24
    assert hashes(tmp_path / "out/embeddings") == hashes(alone / "out/embeddings")
    assert shards(tmp_path) == shards(alone)


def test_another_command_of_the_same_launcher_writes_its_own_results(images, alone, tmp_path):
    for command in ("embed --features-layer proj", "embed"):
        launch = Launch(1, 2, command)
        vlmbench.embed("tiny-clip", f"folder:{images}", **options(tmp_path), launch=launch)
    assert hashes(tmp_path / "out/embeddings") == hashes(alone / "out/embeddings")


def test_while_one_writes_the_others_leave_with_0(images, tmp_path, monkeypatch):
    from vlmbench.foundations import atomic
    from vlmbench.foundations.hashing import digest

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(sys, "argv", ["vlmbench", "embed"])
    name = digest([repr(["embed"]), str((tmp_path / "out").absolute())])[:32]
    with atomic.exclusive(tmp_path / "cache" / "launches" / f"{name}.lock"):
        done = CliRunner().invoke(app, line(images, tmp_path, "--json"))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "process 1 of 2: another one is writing the results" in done.stderr
    assert not (tmp_path / "out" / "embeddings").exists()


def test_a_shard_that_is_named_wins(images, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = CliRunner().invoke(app, line(images, tmp_path, "--shard", "1/4", "--json"))
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["n"], document["encoded"]) == (24, 24)
    assert Path(document["path"]).stem.endswith("-0001-of-0004")


@pytest.mark.parametrize(
    ("variables", "number", "count"),
    [
        ({"RANK": "3", "WORLD_SIZE": "8"}, 3, 8),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 1, 2),
        ({"RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, 3, 8),
        ({"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "4",
          "SLURM_ARRAY_TASK_COUNT": "3"}, 2, 3),
        ({"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 3, 8),
    ],
)  # fmt: skip
def test_launchers(variables, number, count):
    assert find_launch(variables, "c") == Launch(number, count, "c")


@pytest.mark.parametrize(
    "variables", [{}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "2"}, {"WORLD_SIZE": "x"}, {"SLURM_ARRAY_TASK_ID": ""}]
)
def test_one_process_is_no_launch(variables):
    assert find_launch(variables) is None


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("RANK", "first", {"WORLD_SIZE": "2"}),
        ("RANK", "2", {"WORLD_SIZE": "2"}),
        ("RANK", "-1", {"WORLD_SIZE": "2"}),
        ("WORLD_SIZE", "0", {"RANK": "0"}),
        ("SLURM_NTASKS", "2(x2)", {"SLURM_PROCID": "0"}),
        ("SLURM_ARRAY_TASK_ID", "1-4", {"SLURM_ARRAY_TASK_COUNT": "4"}),
        ("SLURM_ARRAY_TASK_ID", "1", {"SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_COUNT": "4"}),
        ("SLURM_ARRAY_TASK_STEP", "0", {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4"}),
    ],
)
def test_rubbish_is_an_error_that_names_the_variable(name, text, more):
    with pytest.raises(UsageError, match=f"the environment variable {name} is") as caught:
        find_launch({name: text, **more})
    assert caught.value.where == name


def test_rubbish_on_the_command_line(images, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "a")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = CliRunner().invoke(app, line(images, tmp_path))
    assert done.exit_code == 2
    assert "the environment variable RANK is 'a'" in done.stderr


@pytest.mark.parametrize(
    ("rank", "gpus", "wanted"), [("", 4, "cuda"), ("0", 4, "cuda"), ("3", 4, "cuda:3"), ("3", 1, "cuda:0")]
)
def test_each_process_has_its_gpu(rank, gpus, wanted, monkeypatch):
    import torch

    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr(device, "_accelerator_possible", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert device.resolve_device("auto") == device.resolve_device("cuda") == wanted
    assert not torch.backends.cudnn.allow_tf32, "fp32 is fp32, for captioners too"
    assert device.resolve_device("cpu") == "cpu"


def test_local_variables():
    assert (local_rank({"SLURM_LOCALID": "2"}), local_rank({}), local_count({"LOCAL_WORLD_SIZE": "2"})) == (2, 0, 2)
    with pytest.raises(UsageError, match="LOCAL_RANK is 'x'"):
        local_rank({"LOCAL_RANK": "x", "SLURM_LOCALID": "1"})
