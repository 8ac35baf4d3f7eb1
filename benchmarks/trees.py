"""Two versions of vlmbench side by side: the whole commands that a user runs, in turns, medians and ratios.

    python benchmarks/trees.py OLD_CHECKOUT [NEW_CHECKOUT] [--only captions help] [--data DIR]

A checkout is a directory that holds ``vlmbench/``; the new one is by default that of this file. Each command is a
process of its own, with ``PYTHONPATH`` set to the tree and its bytecode kept, as pip installs it; the first run of each
tree warms it up (METEOR's index, bytecode) and is not counted. A ratio above 1 says that the new tree is faster.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from captions import corpus, measure

HERE = Path(__file__).resolve().parents[1]


def commands(names: list[str], images: int, data: Path | None, folder: Path) -> Iterator[tuple[str, list[str], bool]]:
    """The names of the benchmarks, their arguments for Python, and whether each run needs an empty cache."""
    run = ["-m", "vlmbench"]
    if "help" in names:
        yield "bare import of typer and rich", ["-c", "import typer, rich"], False
        yield "vlmbench --help", [*run, "--help"], False
    if "captions" in names:
        references, candidates = folder / "references.json", folder / "candidates.json"
        corpus(images, data, references, candidates)
        files = ["-r", str(references), "-p", str(candidates)]
        yield f"caption-eval, {images:,} images", [*run, "caption-eval", *files, "--json", "-q"], False
    if "probe" in names:
        from probe import synthetic  # imports torch

        found = synthetic(4000, 256, 20, 0)
        arrays = {
            f"{axis}_{split}": table[split] for axis, table in (("x", found.x), ("y", found.y)) for split in table
        }
        np.savez(folder / "features.npz", **arrays)
        yield (
            "linear-probe, 4,000 × 256",
            [*run, "linear-probe", "--features", str(folder / "features.npz"), "-q"],
            False,
        )
    if "extraction" in names:
        yield "embed tiny-clip, counting", [*run, "embed", "-m", "tiny-clip", "-d", "counting", "-q"], True


def runner(tree: Path, place: Path) -> Callable[[list[str], bool], dict]:
    """A function that runs Python with arguments on one tree, and gives what `captions.measure` measures."""
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tree), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPYCACHEPREFIX"] = str(place / "bytecode")

    def run(arguments: list[str], fresh: bool) -> dict:
        with tempfile.TemporaryDirectory(dir=place) as out:
            cache = Path(out) / "cache" if fresh else place / "cache"
            extra = ["--cache-dir", str(cache), "--out", out] if len(arguments) > 3 else []
            return measure([sys.executable, *arguments, *extra], env=environment, cwd=out)

    return run


def main() -> None:
    every = ["help", "captions", "probe", "extraction"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="a checkout of the version to compare with")
    parser.add_argument("new", type=Path, nargs="?", default=HERE, help="[default: this one]")
    parser.add_argument("--runs", type=int, default=9, help="of each tree and command")
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    parser.add_argument("--images", type=int, default=1000, help="of caption-eval")
    parser.add_argument("--data", type=Path, help="captions, as for benchmarks/captions.py")
    options = parser.parse_args()
    trees = [path.resolve() for path in (options.old, options.new)]
    for tree in trees:
        if not (tree / "vlmbench" / "__init__.py").is_file():
            parser.error(f"{tree} holds no vlmbench/")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sides = [runner(tree, folder / side) for tree, side in zip(trees, ("old", "new"), strict=True)]
        print(f"{'medians of wall and processor time':<34}{'old':>16}{'new':>16}{'old / new':>16}{'load':>7}")
        for name, arguments, fresh in commands(options.only, options.images, options.data, folder):
            runs: list[list[dict]] = [[], []]
            for turn in range(options.runs + 1):
                for side in (0, 1) if turn % 2 else (1, 0):
                    measured = sides[side](arguments, fresh)
                    runs[side] += [measured] if turn else []
            (a, b), (c, d) = ([median(run[key] for run in side) for key in ("wall", "cpu")] for side in runs)
            row = f"{name:<34}{a:>7.3f}{b:>7.3f} s{c:>7.3f}{d:>7.3f} s{a / c:>9.3f}{b / d:>7.3f}"
            print(f"{row}{os.getloadavg()[0]:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
