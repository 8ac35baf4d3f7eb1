"""What corrupting costs: time with each corruption beside that of decoding and preparing the clean image.

Run ``python benchmarks/corruptions.py DIR`` on a directory of photographs. Times are the thread's own, clean and
corrupted images take turns, and of each image and kind the median of several rounds counts. Preparing is CLIP's: the
shorter side to 224 by a bicubic filter, and the centre.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from vlmbench.data.corruptions.apply import corrupt
from vlmbench.data.corruptions.kinds import KINDS, Corruption
from vlmbench.data.images import decode
from vlmbench.data.resizing import Resizing

PREPARE = Resizing(224, Image.Resampling.BICUBIC, (224, 224))


def seconds(raw: bytes, name: str, corruption: Corruption | None) -> float:
    begun = time.thread_time()
    image = decode(raw, name)
    PREPARE(image if corruption is None else corrupt(image, corruption, name))
    return time.thread_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--severity", type=int, default=3)
    options = parser.parse_args()
    raws = {path.name: path.read_bytes() for path in sorted(options.directory.glob("*.jpg"))}
    width, height = np.mean([decode(raw, name).size for name, raw in raws.items()], axis=0)
    print(f"{len(raws)} photographs, {width:.0f} x {height:.0f} on average")
    print(f"{'corruption':20s} {'clean, ms':>10s} {'corrupted, ms':>14s} {'ratio':>6s}")
    for kind in KINDS:
        corruption = Corruption(kind, options.severity)
        seconds(next(iter(raws.values())), "first", corruption)  # imports
        times: list[tuple[float, float]] = []
        for name, raw in raws.items():
            both = [(seconds(raw, name, None), seconds(raw, name, corruption)) for _ in range(options.rounds)]
            times.append((median(one for one, _ in both), median(other for _, other in both)))
        clean, corrupted = (1000 * float(np.mean([pair[i] for pair in times])) for i in (0, 1))
        print(f"{kind:20s} {clean:10.2f} {corrupted:14.2f} {corrupted / clean:6.2f}")


if __name__ == "__main__":
    main()
