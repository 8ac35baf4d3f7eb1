"""How long the program takes to start, and a model of ViT-B/32's size, beside the bare libraries.

    python benchmarks/startup.py [--runs 15]

All are whole processes, started in turn; ratios are of medians. ``vlmbench --help`` beside an import of typer and rich;
then ``vlmbench embed`` of one image beside a script that does the same with transformers alone (import, load, prepare,
encode), with random weights of 600 MB. The first run of each is not counted: it hashes the weights, once for good.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.rows import Row

COMMAND = "python benchmarks/startup.py"
BARE = """
import sys, torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel
model = CLIPModel.from_pretrained(sys.argv[1]).eval()
AutoTokenizer.from_pretrained(sys.argv[1])
processor = AutoImageProcessor.from_pretrained(sys.argv[1], backend="pil")
with torch.inference_mode():
    model.get_image_features(**processor(images=[Image.open(sys.argv[2])], return_tensors="pt"))
"""


def seconds(arguments: Sequence[str]) -> float:
    """Wall time of one run of the interpreter with `arguments`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, env=environment)
    return time.perf_counter() - started


def medians(
    ours: Sequence[str], bare: Sequence[str], runs: int, before: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Of so many runs of each, in turn, after one that is not counted; `before` is called ahead of each of ours."""
    times = []
    for _ in range(runs + 1):
        before()
        times.append((seconds(ours), seconds(bare)))
    times = times[1:]
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    return first, second


def rows(quick: bool, runs: int = 15) -> Iterator[Row]:
    """The program's start, and a model's."""
    runs = 1 if quick else runs
    ours, bare = medians(["-m", "vlmbench", "--help"], ["-c", "import typer, rich"], runs)
    yield Row("`vlmbench --help`", ours, bare, "s", "`import typer, rich`", COMMAND, target=0.4)
    with tempfile.TemporaryDirectory() as name:
        from benchmarks.inputs import checkpoint, pictures

        root = Path(name)
        model, folder = str(checkpoint("b32", root, small_text=False)), pictures("medium", 2, root)
        image, features = str(next(folder.rglob("*.jpg"))), root / "cache" / "features"
        places = ["--limit", "1", "--out", str(root / "out"), "--cache-dir", str(root / "cache"), "-q"]
        embed = ["-m", "vlmbench", "embed", "-m", model, "-d", f"folder:{folder}", *places]
        forget = partial(shutil.rmtree, features, ignore_errors=True)
        ours, bare = medians(embed, ["-c", BARE, model, image], max(1, runs // 3), forget)
    yield Row("`vlmbench embed` of one image by a ViT-B/32", ours, bare, "s", "transformers alone", COMMAND)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    for row in rows(False, parser.parse_args().runs):
        print(f"{row.name}: {row.ours:.3f} s; {row.against}: {row.theirs:.3f} s; ratio {row.ours / row.theirs:.2f}")


if __name__ == "__main__":
    main()
