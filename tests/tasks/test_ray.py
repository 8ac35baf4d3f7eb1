"""``--ray`` on a cluster of this machine (``make test-extras``): the bytes of one process, also where a worker ends."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

import vlmbench
from vlmbench.session.context import Context
from vlmbench.session.pool import Work
from vlmbench.tasks.cluster import pool as pools

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not here: make test-extras")


@dataclass(frozen=True)
class EndsOnce:
    """A job whose first worker is killed over it."""

    marker: Path
    name: str = "numbers"

    def run(self, session, pieces):
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), 9)
        return [piece[0] for piece in pieces]


def written(place):
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def test_workers_of_a_local_cluster(tmp_path, monkeypatch):
    from ray import cloudpickle

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a worker for each core
    monkeypatch.setattr(pools, "cores", lambda: 2)
    cluster = pools.Cluster("local")
    context = Context(out=tmp_path, cache_dir=tmp_path / "cache", device="cpu", batch_size=4, workers=0)
    cloudpickle.register_pickle_by_value(__import__(EndsOnce.__module__))
    answers = cluster.run(context, [Work(EndsOnce(tmp_path / "marker"), [range(n, n + 1) for n in range(9)])])
    assert sorted(number for answer in answers for number in answer) == list(range(9))
    assert "1 workers were lost" in context.reporter.notes[-1]

    wanted = {"limit": 80, "batch_size": 4, "device": "cpu", "workers": 0}
    monkeypatch.setattr("vlmbench.tasks.cluster.pool.Cluster", lambda address: cluster)  # the one that runs
    found = vlmbench.embed("tiny-clip", "digits", out=tmp_path / "a", cache_dir=tmp_path / "ac", ray="local", **wanted)
    assert cluster._ray is None, "disconnected at the end"
    assert found.encoded == 80
    vlmbench.embed("tiny-clip", "digits", out=tmp_path / "b", cache_dir=tmp_path / "bc", **wanted)
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert not list(tmp_path.rglob(".*"))
