"""Times METEOR by itself, loading included, on synthetic captions: ``python benchmarks/meteor.py [images ...]``.

Each size runs in a fresh process, as a command would: start of the interpreter, imports, opening the index and the
kernel, five references an image. Prints wall seconds, processor seconds and peak memory.
"""

import argparse
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

WORDS = [
    "a",
    "a",
    "a",
    "a",
    "the",
    "the",
    "of",
    "on",
    "in",
    "with",
    "and",
    "is",
    "are",
    "man",
    "woman",
    "people",
    "child",
    "children",
    "dog",
    "cat",
    "horse",
    "bus",
    "train",
    "street",
    "table",
    "plate",
    "food",
    "pizza",
    "kitchen",
    "room",
    "bench",
    "park",
    "beach",
    "field",
    "ball",
    "player",
    "game",
    "tennis",
    "baseball",
    "bat",
    "snow",
    "skis",
    "wave",
    "surfboard",
    "red",
    "white",
    "blue",
    "green",
    "large",
    "small",
    "old",
    "young",
    "sitting",
    "standing",
    "riding",
    "walking",
    "holding",
    "playing",
    "eating",
    "looking",
    "next",
    "to",
    "front",
    "top",
    "side",
    "near",
    "water",
    "grass",
    "building",
    "sign",
    "clock",
    "tower",
    "plane",
    "sky",
    "boat",
    "phone",
    "laptop",
    "computer",
    "bed",
    "bathroom",
    "toilet",
]


def captions(images: int, seed: int = 0) -> tuple[list[list[str]], list[list[list[str]]]]:
    """Candidates and five references for each image, 8 to 14 words that share a few topics."""
    draw = random.Random(seed)
    candidates, references = [], []
    for _ in range(images):
        topic = draw.choices(WORDS, k=12) + WORDS[:12]
        lines = [draw.choices(topic, k=draw.randint(8, 14)) for _ in range(6)]
        candidates.append(lines[0])
        references.append(lines[1:])
    return candidates, references


def once(images: int, cache: Path) -> None:
    """Scores one corpus and prints its line."""
    candidates, references = captions(images)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    from vlmbench.metrics.captions.meteor.score import load_index, meteor_score, meteor_statistics

    index = load_index(cache)
    loaded = time.perf_counter()
    stats, _ = meteor_statistics(candidates, references, index)
    score = float(meteor_score(stats.sum(0)))
    ended = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{images:>6} images: imports and loading {loaded - started:.3f} s, scoring {ended - loaded:.3f} s, "
        f"processor {busy:.3f} s, peak {after.ru_maxrss / 1024:.0f} MB ({before.ru_maxrss / 1024:.0f} MB before), "
        f"METEOR {score:.6f}"
    )


def main() -> None:
    """Runs each size in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", type=int, default=[1000, 5000, 40504])
    parser.add_argument("--cache-dir", type=Path, default=None, help="where the index lies; default: vlmbench's cache")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cache_dir is None:
        from vlmbench.foundations.paths import default_cache_dir

        given.cache_dir = default_cache_dir()
    for images in given.images:
        if given.here:
            once(images, given.cache_dir)
        else:
            command = [sys.executable, __file__, "--here", "--cache-dir", str(given.cache_dir), str(images)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
