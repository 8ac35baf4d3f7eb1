"""``--ray`` on a cluster of this machine (``make test-extras``): the bytes of one process, though a worker ends."""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec

import pytest

import vlmbench
from vlmbench.foundations.progress import Silent
from vlmbench.session.pool import Encoding
from vlmbench.tasks.cluster import pool as pools

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not here: make test-extras")


@dataclass(frozen=True)
class EndsOnce(Encoding):
    """Encoding whose first worker is killed over it."""

    def run(self, session, pieces):
        with suppress(FileExistsError), open(session.context.cache_dir / "ended", "x"):
            os.kill(os.getpid(), 9)
        return super().run(session, pieces)


def written(place):
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def test_workers_of_a_local_cluster(tmp_path, monkeypatch):
    from ray import cloudpickle

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a worker for each core
    monkeypatch.setattr(pools, "cores", lambda: 2)
    cluster, reporter = pools.Cluster("local"), Silent()
    monkeypatch.setattr(pools, "Cluster", lambda address: cluster)
    cloudpickle.register_pickle_by_value(__import__(EndsOnce.__module__))
    monkeypatch.setattr("vlmbench.session.features.Encoding", EndsOnce)
    wanted = {"limit": 80, "batch_size": 4, "device": "cpu", "workers": 0, "reporter": reporter}
    found = vlmbench.embed("tiny-clip", "digits", out=tmp_path / "a", cache_dir=tmp_path / "ac", ray="local", **wanted)
    assert any("1 workers were lost" in note for note in reporter.notes)
    assert cluster._ray is None, "disconnected at the end"
    assert found.encoded == 80
    vlmbench.embed("tiny-clip", "digits", out=tmp_path / "b", cache_dir=tmp_path / "bc", **wanted)
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert not list(tmp_path.rglob(".*"))
