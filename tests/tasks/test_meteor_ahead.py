"""METEOR's index is built beside the captioning, once, and a process that fails or is not needed leaves no trace."""

from pathlib import Path

import pytest

from vlmbench.metrics.captions.meteor import score as meteor
from vlmbench.session.context import Context
from vlmbench.tasks.captions import meteor as ahead


def said(code: str, monkeypatch: pytest.MonkeyPatch, cores: int = 2) -> None:
    monkeypatch.setattr(ahead, "_BUILD", code)
    monkeypatch.setattr(ahead, "cores", lambda: cores)


WRITES = "import pathlib, sys, vlmbench; (pathlib.Path(sys.argv[1]) / 'built').write_text('')"


def test_it_is_there_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said(WRITES, monkeypatch)
    with ahead.meteor_ahead(Context(cache_dir=tmp_path), wanted=True):
        pass
    assert (tmp_path / "built").exists()


@pytest.mark.parametrize("why", ["not wanted", "one core", "there already"])
def test_nothing_is_started_where_it_is_of_no_use(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said(WRITES, monkeypatch, cores=1 if why == "one core" else 2)
    if why == "there already":
        (tmp_path / "meteor").mkdir()
        (tmp_path / "meteor" / "kernel-1.bin").write_text("")
    with ahead.meteor_ahead(Context(cache_dir=tmp_path), wanted=why != "not wanted"):
        pass
    assert not (tmp_path / "built").exists()


def test_its_failure_is_left_to_who_loads_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said("raise SystemExit(70)", monkeypatch)
    with ahead.meteor_ahead(Context(cache_dir=tmp_path), wanted=True):
        pass


def test_an_error_in_the_captions_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    threads = torch.get_num_threads()
    said("import time; time.sleep(600)", monkeypatch)
    with pytest.raises(KeyboardInterrupt), ahead.meteor_ahead(Context(cache_dir=tmp_path), wanted=True):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == threads


def test_what_is_started_is_what_loads_the_index() -> None:
    assert "from vlmbench.metrics.captions.meteor.score import load_index" in ahead._BUILD
    assert callable(meteor.load_index)
