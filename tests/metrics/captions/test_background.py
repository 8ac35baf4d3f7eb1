import os
import subprocess
import sys
import time

import numpy as np
import pytest

from vlmbench.foundations.background import Background, can_fork
from vlmbench.foundations.errors import AbsentError


@pytest.fixture(params=[True, False], ids=["beside", "here"])
def allowed(request, monkeypatch):
    if request.param and not hasattr(os, "fork"):
        pytest.skip("no fork on this platform")
    monkeypatch.setattr("vlmbench.foundations.background.can_fork", lambda: True)
    return request.param


def test_arrays_come_back_as_they_were(allowed):
    given = [np.arange(6.0).reshape(2, 3), np.zeros(0), np.array([np.pi, np.inf])]
    with Background(lambda: given, allowed=allowed) as beside:
        found = beside.result()
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(given, found, strict=True))


def test_much_data_does_not_block(allowed):
    with Background(lambda: [np.ones(3_000_000)], allowed=allowed) as beside:
        assert beside.result()[0].sum() == 3_000_000


def test_a_users_error_stays_one(allowed):
    def work():
        raise AbsentError("no data", where="there", fix="get it")

    with Background(work, allowed=allowed) as beside, pytest.raises(AbsentError) as caught:
        beside.result()
    assert (caught.value.what, caught.value.where, caught.value.fix) == ("no data", "there", "get it")


def test_a_fault_is_told_with_its_place(allowed):
    with (
        Background(lambda: [1 / 0], allowed=allowed) as beside,
        pytest.raises((RuntimeError, ZeroDivisionError)) as caught,
    ):
        beside.result()
    assert "division by zero" in str(caught.value)


def test_a_process_that_is_killed_is_noticed(monkeypatch):
    monkeypatch.setattr("vlmbench.foundations.background.can_fork", lambda: True)
    with Background(lambda: os.kill(os.getpid(), 9) or []) as beside, pytest.raises(RuntimeError, match="no result"):
        beside.result()


def test_nobody_is_left_behind(monkeypatch):
    monkeypatch.setattr("vlmbench.foundations.background.can_fork", lambda: True)
    started = time.monotonic()
    with Background(lambda: time.sleep(60) or []) as beside:
        pid = beside._pid
    assert time.monotonic() - started < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_fork_beside_torch():
    code = (
        "import sys; sys.modules['torch'] = sys; "
        "from vlmbench.foundations.background import can_fork; print(can_fork())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert can_fork() in (True, False)
