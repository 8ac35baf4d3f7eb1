"""A disk that is full, read-only, slow or broken, in short: one error, never half a result, and the next run is whole.

The long form is ``python -m benchmarks.reliability.faults``.
"""

import ctypes
import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.reliability.faults import ERRORS, injected, places, slowed, unordered
from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.workshop import LIBRARIES, Workshop
from vlmbench.foundations.atomic import write_text

CALLS = 6

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="calls are made to fail by a preloaded library"
)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("disk")
    starts = prepare(folder, ("caption-eval",))
    with Workshop(folder / "faulty", LIBRARIES, faults=True) as workshop:
        yield Trial(workshop, SCENES["caption-eval"], starts["caption-eval"])


@pytest.mark.parametrize("number", range(CALLS))
def test_a_call_that_fails(trial: Trial, number: int) -> None:
    found = places(trial.calls)
    part = len(found) / CALLS
    nth = found[int(part * (number + random.Random(number).random()))]
    error, action = ERRORS[number % len(ERRORS)]
    assert not injected(trial, nth, error, action), f"{errno.errorcode[error]} at {trial.calls[nth - 1]}"


def test_every_file_is_written_flushed_renamed_and_its_directory_flushed(trial: Trial) -> None:
    assert not unordered(trial)
    calls = trial.calls
    for call in ("fsync", "rename"):
        trial.calls = [own for own in calls if own[0] != call]
        assert unordered(trial), f"without {call}"
    trial.calls = calls


def test_a_slow_directory(trial: Trial) -> None:
    assert not slowed(trial)


def score(place: Path, *more: str, **how: object) -> subprocess.CompletedProcess[str]:
    """`caption-eval` of two captions, to ``place/out``."""
    for name, value in (("r", {"1": ["a dog"], "2": ["a cat"]}), ("p", {"1": "a dog", "2": "a cat"})):
        (place / f"{name}.json").write_text(json.dumps(value))
    line = ["caption-eval", "-r", "r.json", "-p", "p.json", "--metrics", "bleu", "-o", "out", "--cache-dir", "cache"]
    code = [sys.executable, "-m", "vlmbench", *line, *more]
    how = {"stdout": subprocess.PIPE, **how}
    return subprocess.run(code, cwd=place, stderr=subprocess.PIPE, text=True, check=False, timeout=120, **how)


def test_stdout_on_a_full_disk(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = score(tmp_path, "--json", stdout=full)
    assert (done.returncode, "No space left" in done.stderr) == (3, True), done.stderr
    assert score(tmp_path, "--json").returncode == 0


def test_a_small_disk(tmp_path: Path) -> None:
    small = tmp_path / "out"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        done = score(tmp_path)
        found = [path.name for path in small.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert (done.returncode, "No space left" in done.stderr) == (3, True), done.stderr
    assert not [name for name in found if name.startswith(".tmp")]
    assert score(tmp_path).returncode == 0


def obey_permissions() -> None:
    """For ``preexec_fn``: permissions hold for root too, from the next program on."""
    drop, override, read_search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for capability in (override, read_search):
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


@pytest.mark.parametrize("name", ["out", "cache"])
def test_a_directory_that_may_not_be_written_to(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(mode=0o555)
    touched = subprocess.run(["touch", str(tmp_path / name / "a")], check=False, preexec_fn=obey_permissions)
    if touched.returncode == 0:
        pytest.skip("this user may write everywhere")
    done = score(tmp_path, "--metrics", "meteor" if name == "cache" else "bleu", preexec_fn=obey_permissions)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith(f"error: cannot write {name}"), done.stderr
    assert "Permission denied" in done.stderr
    assert not list(tmp_path.rglob("result.json"))


def test_a_pipe_or_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """``check --junit /dev/null`` renamed a file over the device, where the user was root."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link.json").symlink_to(pipe)
    for path in (pipe, tmp_path / "link.json"):
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            write_text(path, "all of it")
            assert os.read(reader, 100) == b"all of it"
        finally:
            os.close(reader)
    assert pipe.is_fifo()
    assert (tmp_path / "link.json").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "pipe"]
