"""What breaks first at a hundred million images: the store's bookkeeping, simulated on small shards.

    python benchmarks/scale.py [--shards 10000]

A store of so many shards (few rows each, so that only their number counts) is written, looked through when whole and
when every second shard is missing, and merged; then what a split's ids and labels take in memory, and how long handing
out its units and its fingerprint take. Processor time, which other programs disturb least. docs/scale.md reckons with
these.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.data.base import Split
from vlmbench.data.bundled import Arrays
from vlmbench.data.fingerprint import fingerprint
from vlmbench.features.encode import read_layer
from vlmbench.features.store import ROWS, FeatureEntry, FeatureKey
from vlmbench.features.units import Share, in_units, unit_of
from vlmbench.foundations.progress import Silent

EACH, WIDTH = 4, 8
"""Rows of a shard and numbers in a row here; a real shard has `ROWS` rows."""


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and what the work gave."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def store(shards: int, root: Path) -> dict[str, float]:
    """Milliseconds of processor time per shard, of each thing that is done to a store."""
    images = shards * EACH
    entry = FeatureEntry(root, FeatureKey("w", "p", "fp32", "c", "test", {"torch": "0"}), images)
    x = np.random.default_rng(0).standard_normal((EACH, WIDTH), dtype=np.float32)

    def write() -> None:
        for start in range(0, images, EACH):
            entry.write_shard(range(start, start + EACH), np.arange(start, start + EACH), {"proj": x})

    found = {"write": spent(write)[0], "look through, whole": spent(lambda: entry.complete)[0]}
    entry.finish((), {"proj": WIDTH})
    found["merge"], merged = spent(lambda: read_layer(entry, "proj"))
    assert merged is not None
    assert len(merged[0]) == images
    found["list"] = spent(lambda: list(entry._starts()))[0]
    for start in range(EACH, images, 2 * EACH):
        (entry.directory / f"{start:09d}.safetensors").unlink()
    entry.reopen()
    found["look through, every second one missing"] = spent(lambda: sum(1 for _ in entry.shards()))[0]
    return {name: 1000 * seconds / shards for name, seconds in found.items()}


def split(images: int) -> dict[str, float]:
    """Of a split of so many images, per image: bytes in memory, microseconds of bookkeeping."""
    ids = tuple(f"{number // 10_000:05d}/{number:09d}.jpg" for number in range(images))
    labels = np.zeros(images, np.int64)
    taken = (sys.getsizeof(ids) + sum(map(sys.getsizeof, ids)) + labels.nbytes) / images
    whole = Split("test", ids, labels, Arrays(()), checksum="0" * 64)
    hashing = spent(lambda: fingerprint(whole, Path(), Silent()))[0]
    units = spent(lambda: in_units([range(images * 100)], images * 100, unit_of(images * 100, 64), Share(3, 64)))[0]
    return {"bytes": taken, "fingerprint_us": 1e6 * hashing / images, "units_us": 1e6 * units / (images * 100)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=1_000_000)
    given = parser.parse_args()
    for shards in (given.shards // 10, given.shards):
        with tempfile.TemporaryDirectory() as place:
            parts = ", ".join(f"{name} {value:.4f} ms" for name, value in store(shards, Path(place)).items())
        print(f"{shards:,} shards (a real one: {ROWS:,} images), processor time per shard: {parts}", flush=True)
    found = split(given.images)
    print(
        f"{given.images:,} images whose hub has checksums: {found['bytes']:.0f} bytes of ids and labels per image, "
        f"fingerprint {found['fingerprint_us']:.2f} us per image, handing out units {found['units_us']:.4f} us"
    )


if __name__ == "__main__":
    main()
