"""How fast a WebDataset is streamed from a hub that takes its time for each request, by several ranges at a time.

python benchmarks/streaming.py [--tars 8] [--images 400] [--delay 0.2] [--pairs 3]

A hub on loopback (the tests') serves the tars. Each run is a process of its own with empty caches, which reads labels
and every image; runs of the two kinds take turns.
"""

import argparse
import importlib.util
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from benchmarks.rows import Row

SERVER = Path(__file__).parent.parent / "tests" / "hub" / "server.py"
KINDS = {"several": "", "one": "ranges.CONNECTIONS = 1; ranges.AHEAD = 0; shards.TARS = 1"}
READ = """
import sys, time
import datasets, fsspec, huggingface_hub.hf_file_system
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from vlmbench.data.hub import ranges, shards
from vlmbench.data.open import open_dataset
{settings}
started = time.perf_counter()
split = open_dataset("hf:me/shards?stream=yes", Path(sys.argv[1])).split("test")
with ThreadPoolExecutor(4) as pool:
    total = sum(len(data) for data in pool.map(split.images.read, range(len(split))))
print(len(split), total, time.perf_counter() - started)
"""


def server() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hub_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_server"] = module
    spec.loader.exec_module(module)
    return module


def pack(folder: Path, tars: int, images: int) -> None:
    """Tars of images of noise, 46 kB each, and their classes."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    number = 0
    for part in range(tars):
        with tarfile.open(folder / f"{part}.tar", "w") as tar:
            for _ in range(images):
                buffer = io.BytesIO()
                Image.fromarray(generator.integers(0, 256, (124, 124, 3), np.uint8)).save(buffer, "PNG")
                for ending, data in (("cls", b"%d" % (number % 2)), ("png", buffer.getvalue())):
                    item = tarfile.TarInfo(f"s{number:07d}.{ending}")
                    item.size = len(data)
                    tar.addfile(item, io.BytesIO(data))
                number += 1
    (folder / "nshards.txt").write_text(f"{tars}\n")
    (folder.parent / "classnames.txt").write_text("cat\ndog\n")


def rows(quick: bool) -> Iterator[Row]:
    """Several ranges at a time beside one."""
    options = ["--tars", "2", "--images", "50", "--pairs", "1"] if quick else ["--pairs", "2"]
    given = parser().parse_args(options)
    seconds, facts, size = measured(given)
    ours, one = (statistics.median(seconds[kind]) for kind in KINDS)
    yield Row(
        f"a WebDataset of {size / 1e6:.0f} MB from a hub, {given.delay:g} s per request", ours, one, "s",
        "one range at a time", "python benchmarks/streaming.py", target=None if quick else 3.0,
        note=f"each byte is fetched {facts['several'][2]:.2f} times",
    )  # fmt: skip


def measured(
    given: argparse.Namespace,
) -> tuple[dict[str, list[float]], dict[str, tuple[int, int, float]], int]:
    """Seconds of each run of a kind; images, requests and the share of bytes fetched; the bytes there are."""
    module = server()
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    facts = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "set"
        pack(root / "test", given.tars, given.images)
        size = sum(path.stat().st_size for path in root.rglob("*.tar"))
        hub = module.Hub(repositories={("datasets", "me/shards"): root}, commits={("datasets", "me/shards"): "1" * 40})
        hub.before = lambda path: time.sleep(given.delay) if path.endswith(".tar") else None
        with module.serving(hub):
            for turn in range(given.pairs):
                for kind, settings in KINDS.items():
                    hub.ranges.clear()
                    hub.sent.clear()
                    place = Path(name) / f"{kind}{turn}"
                    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(place), "HF_HUB_OFFLINE": "0"}
                    line = [sys.executable, "-c", READ.format(settings=settings), str(place / "cache")]
                    done = subprocess.run(line, env=env, check=True, capture_output=True, text=True)
                    count, _, took = done.stdout.split()
                    seconds[kind].append(float(took))
                    sent = sum(hub.sent[path] for path in hub.sent if path.endswith(".tar"))
                    facts[kind] = (int(count), len(hub.ranges), sent / size)
    return seconds, facts, size


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tars", type=int, default=8)
    parser.add_argument("--images", type=int, default=400, help="in each tar")
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before a range is sent")
    parser.add_argument("--pairs", type=int, default=3)
    return parser


def main() -> None:
    """Prints a line a kind, and the ratio of their times."""
    given = parser().parse_args()
    seconds, facts, size = measured(given)
    print(f"{given.tars} tars, {size / 1e6:.0f} MB, {given.delay} s before each range is sent")
    for kind, (count, requests, times) in facts.items():
        middle = statistics.median(seconds[kind])
        print(f"{kind:>8} at a time: {count} images, {requests} ranges, each byte {times:.2f} times, {middle:.2f} s")
    ratios = [one / several for one, several in zip(seconds["one"], seconds["several"], strict=True)]
    print(f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
