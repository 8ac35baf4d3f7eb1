"""Encoding on Ray clusters of real processes on this machine, run by hand: ``python -m benchmarks.ray_cluster``.

1. A plan on two nodes of one core, one of which is killed in mid-run: results and features beside those of one
   process, and whether a shard that was stored was written again.
2. ``embed`` in 1, 2 and 8 shards: hashes of the merged file.
3. One worker against two, in pairs, one after the other: matrix products per second.
4. The same for images by a ViT-B/32 with random weights; and with all starts, which are the serial part.
5. What a piece of work costs beside the work.
6. What lies in Ray's object store at the end (nothing travels through it, so nothing has to be spilled); and a worker
   that takes memory until Ray ends it.
7. The messages for a node with another version of vlmbench, a cluster without a GPU, and an address where none is.

Workers have one core and one thread each. Needs the extra ``vlmbench-eval[ray]``.
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

from benchmarks.inputs import checkpoint, pictures
from vlmbench.data.names import DatasetRef
from vlmbench.encoders.names import parse_model
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.pool import Encoding, Work
from vlmbench.session.session import Session
from vlmbench.tasks.cluster import crew
from vlmbench.tasks.cluster.pool import Cluster

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
    from ray.cluster_utils import Cluster as Nodes

    found = Nodes(initialize_head=True, head_node_args={"num_cpus": cpus[0], **head})
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


@dataclass(frozen=True)
class Timed:
    """A job that encodes, a piece at a time."""

    job: Any
    name: str = "images"

    def run(self, session: Any, pieces: Sequence[range]) -> list[tuple[int, float]]:
        """The process, and when each piece was stored."""
        return [(self.job.run(session, [piece]) and os.getpid(), time.time()) for piece in pieces]


@dataclass(frozen=True)
class Hungry:
    """A job whose first worker takes memory until it is ended."""

    marker: Path
    name: str = "numbers"

    def run(self, session: Any, pieces: Sequence[range]) -> list[int]:
        """The numbers of its pieces."""
        taken = []
        while not self.marker.exists() or taken:
            self.marker.touch()
            taken.append(b"x" * 2**26)
            time.sleep(0.05)
        return [piece[0] for piece in pieces]


def rate(address: str, workers: int, work: Work, context: Context | None = None) -> tuple[float, float]:
    """Pieces per second of all workers together, each from its first piece to its last; and the seconds of all of it,
    from before the cluster is connected to until after it was left."""
    pool, begun = Cluster(address), time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        context = context or Context(cache_dir=Path(cache), device="cpu", workers=0)
        answers = list(pool.run(context, [work]))
    pool.close()
    whole, done = time.perf_counter() - begun, dict[int, list[float]]()
    for process, when in (item for answer in answers for item in answer):
        done.setdefault(process, []).append(when)
    assert len(done) == workers, f"{len(done)} of {workers} workers had work"
    return sum((len(own) - 1) / (max(own) - min(own)) for own in done.values()), whole


def in_pairs(what: str, unit: str, rates: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    """Prints one worker beside two."""
    one, two = (statistics.median(rate for rate, _ in side) for side in zip(*rates, strict=True))
    ratios = [two / one for (one, _), (two, _) in rates]
    print(
        f"{what}: {one:.2f} {unit} by one worker, {two:.2f} by two; in pairs "
        f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}, median {statistics.median(ratios):.2f}; with all starts "
        + ", ".join(f"{one:.1f} and {two:.1f} s ({one / two:.2f})" for (_, one), (_, two) in rates),
        flush=True,
    )


def spin(rounds: int, pieces: int) -> Work:
    return Work(Spin(rounds), [range(1)] * pieces)


def speed(pairs: int, pieces: int) -> None:
    rates = []
    for _ in range(pairs):
        with cluster(1) as found:
            one = rate(found.address, 1, spin(200, pieces))
        with cluster(1, 1) as found:
            rates.append((one, rate(found.address, 2, spin(200, pieces))))
    in_pairs("3. matrix products", "pieces/s", rates)


def encoding(base: Path, pairs: int, images: int, piece: int = 8) -> None:
    model, folder, rates = str(checkpoint("b32", base)), f"folder:{pictures('small', images, base)}", []

    def encode(*nodes: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory(dir=base) as cache:
            context = Context(cache_dir=Path(cache), device="cpu", workers=0, batch_size=piece)
            session = Session(context)
            selection = Selection(folder, session.choose_split(DatasetRef.parse(folder), None))
            job = Encoding(selection, (parse_model(model),), tuple(session.keys([parse_model(model)], selection)))
            pieces = [range(start, min(start + piece, images)) for start in range(0, images, piece)]
            with cluster(*nodes) as found:
                done, whole = rate(found.address, len(nodes), Work(Timed(job), pieces), context)
                return piece * done, whole

    for _ in range(pairs):
        rates.append((encode(1), encode(1, 1)))
    in_pairs(f"4. {images} images by ViT-B/32", "images/s", rates)


def overhead() -> None:
    with cluster(1) as found:
        (shared, _), before = rate(found.address, 1, spin(0, 3000)), crew.SPAN
        crew.SPAN = 1
        try:
            alone, _ = rate(found.address, 1, spin(0, 300))
        finally:
            crew.SPAN = before
    print(f"5. a piece costs {1e3 / alone:.2f} ms where each is handed out alone, {1e3 / shared:.3f} ms as they are")


def memory(base: Path) -> None:
    import ray

    place, least = base / "memory", 80 * 2**20
    with cluster(2, object_store_memory=least) as found:
        words = command(place, "embed", "-m", "tiny-clip", "-d", "shapes", "--batch-size", 8, "--ray", found.address)
        subprocess.run([*words, "-q"], check=True, stdout=subprocess.DEVNULL)
        ray.init(address=found.address, logging_level="ERROR", log_to_driver=False)
        used = least - ray.available_resources().get("object_store_memory", least)
        ray.shutdown()
    print(f"6. bytes in Ray's object store after the run: {used:,.0f} of {least:,}")
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[name].split()[0]) / 2**20 for name in ("MemTotal", "MemAvailable"))
    limit = (total - free + 2) / total
    with cluster(1, _system_config={"memory_usage_threshold": limit, "memory_monitor_refresh_ms": 100}) as found:
        context = Context(cache_dir=base / "hungry", device="cpu", workers=0)
        pool, job = Cluster(found.address), Hungry(base / "marker")
        answers = list(pool.run(context, [Work(job, [range(n, n + 1) for n in range(100)])]))
        pool.close()
    whole = sorted(number for answer in answers for number in answer) == list(range(100))
    print(f"   a worker that outgrew memory: {context.reporter.notes[-1]}; all answers came: {whole}")


def messages(base: Path) -> None:
    other = base / "other"
    package = Path(__file__).parent.parent / "vlmbench"
    shutil.copytree(package, other / "vlmbench", ignore=shutil.ignore_patterns("bundled"))
    text = (other / "vlmbench/__init__.py").read_text()
    (other / "vlmbench/__init__.py").write_text(text.replace("__version__ = ", "__version__ = 'other' + "))
    before = os.environ.get("PYTHONPATH", "")
    embed = command(base / "messages", "embed", "-m", "tiny-clip", "-d", "digits")
    for name, path, more in (("another version", other, []), ("no GPU", package.parent, ["--device", "cuda"])):
        os.environ["PYTHONPATH"] = f"{path}{os.pathsep}{before}"
        with cluster(1) as found:
            os.environ["PYTHONPATH"] = before
            refused(name, base, [*embed, "--ray", found.address, *more])
    refused("an address where no cluster is", base, [*embed, "--ray", "127.0.0.1:1"])


def refused(name: str, place: Path, words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=place)  # workers see the directory's
    print(f"7. {name}: exit code {done.returncode}: {' '.join(done.stderr.split())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="1,2,3,4,5,6,7", help="which of them")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--pieces", type=int, default=200, help="of matrix products")
    parser.add_argument("--images", type=int, default=320)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        parts = {
            "1": lambda: killed(base),
            "2": lambda: shards(base),
            "3": lambda: speed(given.pairs, given.pieces),
            "4": lambda: encoding(base, given.pairs, given.images),
            "5": overhead,
            "6": lambda: memory(base),
            "7": lambda: messages(base),
        }
        for part in given.parts.split(","):
            parts[part]()


if __name__ == "__main__":
    main()
