"""`atomic.exclusive`: one at a time over threads and processes, gone with its holder, no litter, and said where not."""

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest

from vlmbench.foundations.atomic import exclusive
from vlmbench.foundations.errors import OutputError

HOLD = """
import sys, time
from pathlib import Path
from vlmbench.foundations.atomic import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""
COUNT = """
import sys
from pathlib import Path
from vlmbench.foundations.atomic import exclusive
counter = Path(sys.argv[2])
for _ in range(20):
    with exclusive(Path(sys.argv[1])):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def holder(lock: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock), str(seconds)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout.readline() == "held\n"
    return process


def overlaps(lock: Path) -> int:
    """How many of four threads at most are inside at once."""
    inside, most = 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with exclusive(lock):
            with counting:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with counting:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most


def test_threads_go_one_by_one(tmp_path):
    assert overlaps(tmp_path / "a" / "x.lock") == 1


def test_threads_go_one_by_one_where_python_has_no_fcntl(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows, where the lock used to be none
    assert overlaps(tmp_path / "x.lock") == 1


def test_processes_go_one_by_one(tmp_path):
    lock, counter = tmp_path / "x.lock", tmp_path / "counter"
    counter.write_text("0")
    running = [subprocess.Popen([sys.executable, "-c", COUNT, str(lock), str(counter)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert counter.read_text() == "60"


def test_a_lock_waits_for_the_process_that_holds_it(tmp_path):
    process = holder(tmp_path / "x.lock", 0.5)
    started = time.monotonic()
    with exclusive(tmp_path / "x.lock"):
        assert time.monotonic() - started > 0.2
    process.communicate(timeout=30)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_holder_blocks_nobody(tmp_path):
    process = holder(tmp_path / "x.lock", 600)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    started = time.monotonic()
    with exclusive(tmp_path / "x.lock"):
        assert time.monotonic() - started < 10


def test_a_failure_inside_frees_the_lock_and_passes_through(tmp_path):
    for _ in range(3):
        with pytest.raises(OSError, match="inside"), exclusive(tmp_path / "x.lock"):
            raise OSError(errno.ENOLCK, "inside")
    assert {path.name for path in tmp_path.iterdir()} <= {"x.lock"}


def test_many_uses_leave_one_file(tmp_path):
    for _ in range(50):
        with exclusive(tmp_path / "x.lock"):
            pass
    assert len(list(tmp_path.iterdir())) <= 1


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"), exclusive(tmp_path / "file" / "x.lock"):
        pass

    def read_only(*given, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(filelock.FileLock, "acquire", read_only)
    with pytest.raises(OutputError, match="Read-only file system") as caught, exclusive(tmp_path / "x.lock"):
        pass
    assert "cache_dir=" in caught.value.fix


@pytest.mark.skipif(os.name == "nt", reason="flock")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_said_and_the_work_done(tmp_path, monkeypatch, caplog, code):
    import fcntl

    def no_locks(*given):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    done = []
    with caplog.at_level(logging.WARNING), exclusive(tmp_path / "x.lock"):
        done.append("work")
    assert done == ["work"]
    assert "without file locks" in caplog.text
    assert str(tmp_path) in caplog.text
