"""Commands and this process measured from outside: time, and memory by kind."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        code: its exit status.
        seconds: by the wall.
        busy: seconds of the processor.
        rss: peak resident memory, MiB, pages of mapped files included.
        anonymous: peak of what it allocated itself (RssAnon), MiB, sampled every 50 ms.
        output: its stderr.
    """

    code: int
    seconds: float
    busy: float
    rss: float
    anonymous: float
    output: str


def resident(kind: str = "VmRSS", pid: int | str = "self") -> float:
    """MiB of memory of a kind of ``/proc/PID/status`` that a process has now; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{kind}:")), 0.0)


class Peak:
    """The peak of RssAnon of a process while the block runs; `anonymous` is in MiB."""

    def __init__(self, pid: int | str = "self") -> None:
        self.pid, self.anonymous = pid, 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.anonymous = max(self.anonymous, resident("RssAnon", self.pid))


def run(*arguments: object) -> Measured:
    """Runs ``vlmbench`` with `arguments` in a process of its own."""
    line = [sys.executable, "-m", "vlmbench", *map(str, arguments)]
    began = time.perf_counter()
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    assert running.stderr is not None
    with Peak(running.pid) as peak:
        said = running.stderr.read().decode("utf-8", "backslashreplace")
        _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    return Measured(
        running.returncode,
        time.perf_counter() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        peak.anonymous,
        said,
    )
