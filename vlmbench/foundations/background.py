"""Work on a second core: a forked process that computes arrays while this one goes on.

A fork shares what is in memory, so tokens are not sent anywhere; the arrays come back through a pipe in NumPy's own
format. Where a fork is not safe (not Linux, several threads, one core) the work is done in this process when its
result is asked for.
"""

import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations import errors
from vlmbench.foundations.cpu import cores

Arrays = list[NDArray[np.float64]]

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


class Background:
    """Runs `work` beside this process; a context manager that leaves no process behind. `work` takes nothing, returns
    arrays, and must not touch files that this process writes."""

    def __init__(self, work: Callable[[], Arrays], *, allowed: bool = True) -> None:
        self._work = work
        self._pid: int | None = None
        self._pipe: io.BufferedReader | None = None
        if allowed and can_fork():
            self._start()

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None

    def _start(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        read, write = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            os.close(write)
            self._pipe = os.fdopen(read, "rb")
            return
        code = 1
        try:
            end_with_parent(parent)
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                _send(pipe, self._work)
            code = 0
        except BrokenPipeError:
            code = 0  # the parent gave up
        finally:
            os._exit(code)

    def result(self) -> Arrays:
        """Waits for the arrays; a `VlmbenchError` that `work` raised is raised here, any other failure of the second
        process as a `RuntimeError` with its traceback."""
        if self._pid is None or self._pipe is None:
            return self._work()
        data = self._pipe.read()
        status = os.waitpid(self._pid, 0)[1]
        self._pid = None
        head, _, body = data.partition(b"\n")
        try:
            message = json.loads(head)
        except ValueError:
            raise RuntimeError(f"the second process ended with status {status} and no result") from None
        if "arrays" in message:
            stream = io.BytesIO(body)
            return [np.load(stream, allow_pickle=False) for _ in range(message["arrays"])]
        kind = getattr(errors, message["kind"], None)
        if kind is not None:
            raise kind(message["what"], where=message["where"], fix=message["fix"])
        raise RuntimeError(message["what"])


def end_with_parent(parent: int) -> None:
    """From now on this process ends when `parent`, the one that started it, ends, even if that is killed (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended
            os._exit(1)


def can_fork() -> bool:
    """Whether a fork is safe and of use: Linux, a second core, one thread, no library with threads of its own."""
    return (
        sys.platform == "linux"
        and cores() > 1
        and threading.active_count() == 1
        and "torch" not in sys.modules
        and os.environ.get("VLMBENCH_NO_FORK") is None
    )


def _send(pipe: io.BufferedWriter, work: Callable[[], Arrays]) -> None:
    try:
        arrays = work()
    except errors.VlmbenchError as error:
        message = {"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        pipe.write(json.dumps(message).encode() + b"\n")
        return
    except KeyboardInterrupt:
        return
    except BaseException:
        pipe.write(json.dumps({"kind": "", "what": traceback.format_exc()}).encode() + b"\n")
        return
    buffer = io.BytesIO()  # np.save would seek in a file, which a pipe cannot
    for array in arrays:
        np.save(buffer, array, allow_pickle=False)
    pipe.write(json.dumps({"arrays": len(arrays)}).encode() + b"\n")
    pipe.write(buffer.getbuffer())
