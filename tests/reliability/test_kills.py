"""Killed anywhere, in short: the same command again writes the same bytes, makes nothing twice and leaves nothing.

The long form is ``python -m benchmarks.reliability.kills``.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.reliability.faults import places
from benchmarks.reliability.kills import EARLY, killed, killed_at
from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.workshop import LIBRARIES, TORCH, VLMBENCH, Workshop, litter
from vlmbench.foundations.atomic import atomic_directory, atomic_path, require_writable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Captions scored: no torch, a second process, a dozen files."""
    folder = tmp_path_factory.mktemp("kills")
    starts = prepare(folder, ("caption-eval",))
    with Workshop(folder / "killed", LIBRARIES, faults=True) as workshop:
        yield Trial(workshop, SCENES["caption-eval"], starts["caption-eval"])


@pytest.mark.long
def test_every_command_of_the_campaigns_runs_where_nothing_disturbs_it(tmp_path: Path) -> None:
    names = tuple(name for name in SCENES if name != "java" or shutil.which("java"))
    starts = prepare(tmp_path, names)
    with Workshop(tmp_path / "sound", f"{TORCH},{VLMBENCH}") as workshop:
        for name in names:
            assert Trial(workshop, SCENES[name], starts[name]).written, name


@pytest.mark.parametrize("number", range(3))
def test_killed_at_a_moment(trial: Trial, number: int) -> None:
    at = random.Random(number).uniform(0.2, 1) * trial.seconds
    assert not killed(trial, at), f"after {at:.3f} s"


@pytest.mark.parametrize("number", range(3))
def test_killed_in_the_midst_of_a_write(trial: Trial, number: int) -> None:
    nth = random.Random(number).choice(places(trial.calls))
    assert not killed_at(trial, nth), trial.calls[nth - 1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_in_the_first_tenth_of_a_second_of_a_process(trial: Trial, number: int) -> None:
    assert not killed(trial, EARLY, number, fresh=True)


def test_nothing_is_imported_before_signals_are_handled() -> None:
    line = [sys.executable, "-X", "importtime", "-m", "vlmbench", "--version"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stderr
    names = [row.rpartition("|")[2].strip() for row in said.splitlines()]
    before = names[names.index("runpy") + 1 : names.index("vlmbench.foundations.interrupts")]
    assert set(before) - set(sys.builtin_module_names) == {"vlmbench", "vlmbench.foundations"}


_WRITING = """
import sys, time
from pathlib import Path
from vlmbench.foundations.atomic import atomic_directory, atomic_path
with atomic_path(Path(sys.argv[1]) / "file.json") as file, atomic_directory(Path(sys.argv[1]) / "folder") as folder:
    file.write_text("half")
    (folder / "part").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def writer(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _WRITING, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    killed_one, living = writer(tmp_path), writer(tmp_path)
    try:
        theirs = set(litter(tmp_path))
        assert len(theirs) == 4
        killed_one.send_signal(signal.SIGKILL)
        killed_one.communicate(timeout=30)
        require_writable(tmp_path)
        assert len(litter(tmp_path)) == 2
        assert set(litter(tmp_path)) < theirs
    finally:
        living.kill()
        living.communicate(timeout=30)


def test_a_directory_on_a_disk_without_locks_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import fcntl

    def no_locks(*given: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    (tmp_path / ".tmp-somebody-s").write_text("may be written at this moment")
    with atomic_path(tmp_path / "a") as file, atomic_directory(tmp_path / "b") as folder:
        file.write_text("a")
        (folder / "b").write_text("b")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-somebody-s", "a", "b"]


_BESIDE = """
import time
from vlmbench.foundations.background import Background
with Background(lambda: time.sleep(600)) as beside:
    print(beside._pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: nothing is forked")
def test_the_second_process_ends_with_one_that_is_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", _BESIDE], stdout=subprocess.PIPE, text=True)
    beside = int(process.stdout.readline())
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 5
    while _lives(beside) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(beside)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
