"""METEOR's index and kernel as they are built from the full data: is a flipped byte or a cut found every time?

    python -m benchmarks.reliability.meteor_cache [--cache-dir DIR] --flips 100 --cuts 30

Changes copies, one file at a time, in the proportion of their sizes but each at least twice, and asks the reader.
"""

import argparse
import logging
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from vlmbench.metrics.captions.meteor import index, native


def main() -> None:
    """Prints what was tried and believed, and ends with 1 where anything was believed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache-dir", type=Path, help="with an index in it; none: it is built in a temporary one")
    parser.add_argument("--flips", type=int, default=100)
    parser.add_argument("--cuts", type=int, default=30)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    believed = 0
    with tempfile.TemporaryDirectory(prefix="meteor-") as place:
        sound = index.load_index(given.cache_dir or Path(place) / "cache").folder
        native.load_kernel(sound.parent)
        copy = Path(place) / "copy" / sound.name
        shutil.copytree(sound, copy)
        [kernel, *_] = sorted(sound.parent.glob("kernel-*.bin"), key=lambda path: -path.stat().st_mtime_ns)
        code = Path(shutil.copy(kernel, copy.parent / kernel.name))
        parts = [(path, lambda: index._open(copy) is None) for path in sorted(copy.iterdir())]
        parts.append((code, lambda: native._sound_code(code) is None))
        for found in (index._open(copy), native._sound_code(code)):
            if found is None:
                raise SystemExit("the copy itself is not read")
        for how, count in (("flips", given.flips), ("cuts", given.cuts)):
            wrong = _tried(parts, how, count, random.Random(how))
            print(f"{how}: {max(count, 2 * len(parts))} tried, {wrong} believed")
            believed += wrong
    sys.exit(1 if believed else 0)


def _tried(parts: list[tuple[Path, Callable[[], bool]]], how: str, count: int, chance: random.Random) -> int:
    sizes = [path.stat().st_size for path, _ in parts]
    chosen = parts * 2 + chance.choices(parts, sizes, k=max(0, count - 2 * len(parts)))
    believed = 0
    for path, is_found in chosen:
        size = path.stat().st_size
        at = chance.randrange(size)
        with open(path, "r+b") as file:
            file.seek(at)
            rest = file.read() if how == "cuts" else file.read(1)
            file.seek(at)
            if how == "cuts":
                file.truncate()
            else:
                file.write(bytes([rest[0] ^ 1 << chance.randrange(8)]))
            file.flush()
            believed += not is_found()
            file.seek(at)
            file.write(rest)
    return believed


if __name__ == "__main__":
    main()
