"""A plan on Ray clusters of real processes on this machine, run by hand: ``python benchmarks/ray_cluster.py``.

1. Two nodes of one core, one of which is killed in mid-run: results and features beside those of one process, and
   whether a shard that was stored was written again.
2. ``embed`` in 1, 2 and 8 shards: hashes of the merged file.
3. One worker against two, in pairs, one after the other: pieces per second.
4. What a piece of work costs beside the work.
5. What lies in Ray's object store at the end: nothing travels through it, so nothing has to be spilled.
6. A node with another version of vlmbench, and a cluster without a GPU: the messages.

Needs the extra ``vlmbench-eval[ray]``.
"""

import argparse
import hashlib
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

PLAN = """
batch-size = 8
[[zeroshot]]
model = "tiny-clip"
dataset = ["digits", "shapes", "counting"]
[[linear-probe]]
model = "tiny-clip"
dataset = ["shapes"]
"""


@contextmanager
def cluster(*cpus: int, **head: Any) -> Iterator[Any]:
    """A cluster with a node of so many cores each; its ``address``."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus[0], **head})
    try:
        found.others = [found.add_node(num_cpus=count) for count in cpus[1:]]
        yield found
    finally:
        found.shutdown()


def command(place: Path, *words: Any) -> list[str]:
    places = ["-o", place / "out", "--cache-dir", place / "cache", "--device", "cpu"]
    return [sys.executable, "-m", "vlmbench", *map(str, [*words, *places])]


def hashes(place: Path) -> dict[str, str]:
    """Of results and stored features, but for what says when and how fast it was."""
    from vlmbench.features.store import FeatureEntry  # noqa: F401 - fails early where vlmbench is not there

    found = {}
    for path in sorted((place / "out").rglob("*")):
        if path.is_file() and path.name not in ("run.json", "report.html"):
            found[str(path.relative_to(place))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for entry in sorted((place / "cache/features").iterdir()):
        found[entry.name] = features(entry)
    return found


def features(entry: Path) -> str:
    """Of the features of an entry; where its shards end says how long they took."""
    from safetensors.numpy import load_file

    total = hashlib.sha256()
    shards = [load_file(path) for path in sorted(entry.glob("*.safetensors"))]
    for name in sorted(shards[0]):
        for shard in shards:
            total.update(shard[name].tobytes())
    return total.hexdigest()


def stamps(place: Path) -> dict[str, int]:
    found = place.glob("cache/features/*/[0-9]*.safetensors")
    return {str(path): path.stat().st_mtime_ns for path in found}


def killed(base: Path) -> None:
    plan = base / "plan.toml"
    plan.write_text(PLAN)
    subprocess.run(command(base / "alone", "run", plan, "-q"), check=True, stdout=subprocess.DEVNULL)
    place = base / "killed"
    with cluster(1, 1) as found:
        words = command(place, "run", plan, "--ray", found.address)
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            while len(stored := stamps(place)) < 4 and process.poll() is None:
                time.sleep(0.01)
            found.remove_node(found.others[0], allow_graceful=False)
            said = process.communicate()[1]
    again = [path for path, stamp in stored.items() if stamps(place).get(path) != stamp]
    same = hashes(place) == hashes(base / "alone")
    print("1. a node killed with", len(stored), "shards stored, of", len(stamps(place)), "in the end")
    print("   exit code", process.returncode, "|", *(line for line in said.splitlines() if line.startswith("ray:")))
    print("   results and features equal to one process's:", same, "| shards written again:", len(again))


def shards(base: Path) -> None:
    found = {}
    for count in (1, 2, 8):
        place = base / f"shards-{count}"
        for number in range(1, count + 1):
            words = command(place, "embed", "-m", "tiny-clip", "-d", "digits", "--batch-size", 8, "-q")
            subprocess.run([*words, "--shard", f"{number}/{count}"], check=True, stdout=subprocess.DEVNULL)
        whole = [path for path in place.glob("out/embeddings/*.safetensors") if "-of-" not in path.name]
        found[count] = hashlib.sha256(whole[0].read_bytes()).hexdigest()
    print("2. shards:", {count: text[:16] for count, text in found.items()}, "equal:", len(set(found.values())) == 1)


@dataclass(frozen=True)
class Spin:
    """A job that works as a CPU encodes: matrix products, on one thread."""

    rounds: int
    name: str = "matrix products"

    def run(self, session: Any, pieces: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
        """The process, and when each piece was done."""
        import torch

        torch.set_num_threads(1)
        values, done = torch.ones(256, 256), []
        for _ in pieces:
            for _ in range(self.rounds):
                values = (values @ values).clamp(max=1)
            done.append((os.getpid(), time.time()))
        return done


def rate(address: str, workers: int, job: Spin, pieces: int) -> float:
    """Pieces per second, from when all workers are at work until the first has no more."""
    from vlmbench.session.context import Context
    from vlmbench.session.pool import Work
    from vlmbench.tasks.cluster.pool import Cluster

    pool = Cluster(address)
    with tempfile.TemporaryDirectory() as cache:
        context = Context(cache_dir=Path(cache), device="cpu", workers=0)
        answers = list(pool.run(context, [Work(job, [range(1)] * pieces)]))
    pool.close()
    done: dict[int, list[float]] = {}
    for process, when in (item for answer in answers for item in answer):
        done.setdefault(process, []).append(when)
    assert len(done) == workers, f"{len(done)} of {workers} workers had work"
    first, last = max(map(min, done.values())), min(map(max, done.values()))
    return sum(first < when <= last for own in done.values() for when in own) / (last - first)


def speed(pairs: int, pieces: int) -> None:
    ratios = []
    for _ in range(pairs):
        with cluster(1) as found:
            one = rate(found.address, 1, Spin(200), pieces // 2)
        with cluster(1, 1) as found:
            ratios.append(rate(found.address, 2, Spin(200), pieces) / one)
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"3. two workers against one, in pairs: {shown}; median {statistics.median(ratios):.2f}")


def overhead() -> None:
    from vlmbench.tasks.cluster import crew

    with cluster(1) as found:
        shared, before = rate(found.address, 1, Spin(0), 3000), crew.SPAN
        crew.SPAN = 1
        try:
            alone = rate(found.address, 1, Spin(0), 300)
        finally:
            crew.SPAN = before
    print(f"4. a piece costs {1e3 / alone:.2f} ms where each is handed out alone, {1e3 / shared:.3f} ms as they are")


def memory(base: Path) -> None:
    import ray

    place, least = base / "memory", 80 * 2**20
    with cluster(2, object_store_memory=least) as found:
        words = command(place, "embed", "-m", "tiny-clip", "-d", "shapes", "--batch-size", 8, "--ray", found.address)
        subprocess.run([*words, "-q"], check=True, stdout=subprocess.DEVNULL)
        ray.init(address=found.address, logging_level="ERROR", log_to_driver=False)
        used = least - ray.available_resources().get("object_store_memory", least)
        ray.shutdown()
    print(f"5. bytes in Ray's object store after the run: {used:,.0f} of {least:,}")


def messages(base: Path) -> None:
    other = base / "other"
    package = Path(__file__).parent.parent / "vlmbench"
    shutil.copytree(package, other / "vlmbench", ignore=shutil.ignore_patterns("bundled"))
    text = (other / "vlmbench/__init__.py").read_text()
    (other / "vlmbench/__init__.py").write_text(text.replace("__version__ = ", "__version__ = 'other' + "))
    before = os.environ.get("PYTHONPATH", "")
    for name, path, more in (("another version", other, []), ("no GPU", package.parent, ["--device", "cuda"])):
        os.environ["PYTHONPATH"] = f"{path}{os.pathsep}{before}"
        with cluster(1) as found:
            os.environ["PYTHONPATH"] = before
            words = command(base / "messages", "embed", "-m", "tiny-clip", "-d", "digits", "--ray", found.address)
            done = subprocess.run([*words, *more], capture_output=True, text=True, check=False)
        print(f"6. {name}: exit code {done.returncode}: {' '.join(done.stderr.split())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="1,2,3,4,5,6", help="which of them")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--pieces", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        parts = {
            "1": lambda: killed(base),
            "2": lambda: shards(base),
            "3": lambda: speed(given.pairs, given.pieces),
            "4": overhead,
            "5": lambda: memory(base),
            "6": lambda: messages(base),
        }
        for part in given.parts.split(","):
            parts[part]()


if __name__ == "__main__":
    main()
