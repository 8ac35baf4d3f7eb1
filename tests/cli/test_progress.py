"""Progress tells the time left: in a bar on a terminal, in a line a minute elsewhere."""

import io

import pytest
from rich.console import Console as RichConsole

from vlmbench.cli import console as module
from vlmbench.cli.console import Console, time_left


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (0, 100, 3.0, "3 s"),
        (50, 100, 30.0, "30 s left"),
        (10, 100, 60.0, "9 min left"),
        (1, 100, 60.0, "1 h 39 min left"),
        (100, 100, 60.0, "0 s left"),
        (7, None, 200.0, "3 min"),
    ],
)
def test_the_time_left_in_words(done, total, seconds, said):
    assert time_left(done, total, seconds) == said


def test_a_log_has_a_line_a_minute(monkeypatch, capsys):
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(module, "monotonic", lambda: float(next(clock)))
    with Console().task("encoding digits", 1000) as advance:
        for _ in range(4):
            advance(100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["encoding digits: 200 of 1,000, 4 min left", "encoding digits: 400 of 1,000, 3 min left"]
    with Console(quiet=True).task("encoding digits", 1000) as advance:
        advance(100)
    assert capsys.readouterr().err == ""


def test_a_bar_has_the_time_left(monkeypatch):
    shown = Console()
    out = io.StringIO()
    shown.__dict__["_rich"] = RichConsole(file=out, force_terminal=True, width=100)
    clock = iter([0.0, 60.0, 120.0])
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    with shown.task("encoding digits", 1000) as advance:
        advance(100)
        shown._progress.refresh()
        assert "9 min left" in out.getvalue()
        assert "100/1000" in out.getvalue()
