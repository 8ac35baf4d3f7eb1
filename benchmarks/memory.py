"""Does peak memory stay flat as images grow, and how many bytes does a caption take?

    python -m benchmarks.memory images   [--sizes 2000,50000]      embed, zeroshot and linear-probe on small PNGs
    python -m benchmarks.memory captions [--sizes 10000,500000]    caption-eval

Each command runs in a process of its own, by the bundled ``tiny-clip`` on generated images. Both the peak of resident
memory (pages of mapped files included) and of what the process allocated itself (RssAnon) are printed.
"""

import argparse
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.process import Measured, run
from benchmarks.reliability.large import sentences

CLASSES = 10


def write_images(folder: Path, count: int) -> Path:
    """Two splits of so many PNGs of 32 × 32 pixels, each of a class's colour with noise."""
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (CLASSES, 3))
    for split in ("train", "test"):
        for label in range(CLASSES):
            (folder / split / f"class {label}").mkdir(parents=True)
        for number in range(count):
            label, buffer = number % CLASSES, io.BytesIO()
            pixels = colours[label] + generator.integers(-60, 60, (8, 8, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).resize((32, 32), Image.Resampling.NEAREST)
            image.save(buffer, "png", compress_level=1)
            (folder / split / f"class {label}" / f"{number:07d}.png").write_bytes(buffer.getvalue())
    return folder


def images(count: int, folder: Path) -> dict[str, Measured]:
    """Encoding and storing, zero-shot with all features stored, a probe at a fixed strength and one with a search."""
    data = f"folder:{write_images(folder / 'images', count)}"
    common = ["-m", "tiny-clip", "-d", data, "-o", folder / "out", "--cache-dir", folder / "cache", "--quiet"]
    return {
        "embed": run("embed", *common, "--split", "test"),
        "zeroshot": run("zeroshot", *common),
        "linear-probe": run("linear-probe", *common, "--no-figures", "--c", "0.1"),
        "linear-probe, stored": run("linear-probe", *common, "--no-figures", "--c", "0.01"),
    }


def captions(count: int, folder: Path) -> dict[str, Measured]:
    """BLEU, ROUGE-L and CIDEr of so many captions with two references each."""
    generator = np.random.default_rng(0)
    with (folder / "references.jsonl").open("w") as file:
        for number, caption in enumerate(sentences(generator, 2 * count)):
            file.write(json.dumps({"image_id": number // 2, "caption": caption}) + "\n")
    with (folder / "candidates.json").open("w") as file:
        said = sentences(generator, count)
        json.dump([{"image_id": number, "caption": caption} for number, caption in enumerate(said)], file)
    del said
    out = ["-o", folder / "out", "--cache-dir", folder / "cache", "--quiet"]
    given = ["-r", folder / "references.jsonl", "-p", folder / "candidates.json", "--metrics", "bleu,rouge_l,cider"]
    return {"caption-eval": run("caption-eval", *given, *out)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "captions"])
    parser.add_argument("--sizes", help="two, separated by a comma")
    given = parser.parse_args()
    default = "2000,50000" if given.what == "images" else "10000,500000"
    small, large = map(int, (given.sizes or default).split(","))
    found = {}
    print("| command | size | exit | wall | processor | resident | allocated |\n|---|---|---|---|---|---|---|")
    for size in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            found[size] = {"images": images, "captions": captions}[given.what](size, Path(folder))
        for name, one in found[size].items():
            print(
                f"| {name} | {size:,} | {one.code} | {one.seconds:.0f} s | {one.busy:.0f} s | "
                f"{one.rss:,.0f} MiB | {one.anonymous:,.0f} MiB |",
                flush=True,
            )
            if one.code:
                print(one.output[-2000:], file=sys.stderr)
    for name in found[small]:
        one, other = found[small][name], found[large][name]
        grown = (other.rss - one.rss) * 2**20 / (large - small)
        print(f"{name}: {100 * (other.rss / one.rss - 1):+.0f} % resident, {grown:,.0f} bytes per added item")
    return max(one.code for own in found.values() for one in own.values())


if __name__ == "__main__":
    sys.exit(main())
