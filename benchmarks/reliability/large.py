"""Large inputs and long runs: seconds and memory of each, in a process of its own.

``python -m benchmarks.reliability.large probe --rows 1000000``, ``captions --captions 1000000``, ``records --records
2000``, ``mixed --minutes 60``. Each prints a row per command; ``mixed`` ends with 1 where memory or descriptors grow.
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import process

ROOT = Path(__file__).parents[2]

GROWTH = 64.0
"""MiB that memory may grow by between the first and the last third of a long run."""
WORDS = [
    f"{first}{middle}{last}" for first in "bdfglmprst" for middle in ("a", "e", "i", "o", "u") for last in "lmnrst"
]


def measured(*arguments: object) -> None:
    """Runs a command in a process of its own; prints its time by the wall and of the processor, and its peak memory."""
    done = process.run(*arguments)
    figures = f"{done.seconds:.1f} s | {done.busy:.1f} s | {done.rss:,.0f} MiB"
    print(f"| {arguments[0]} | {done.code} | {figures} |", flush=True)
    if done.code:
        print(done.output[-2000:], file=sys.stderr)


def probe(rows: int, width: int, classes: int, folder: Path) -> None:
    """``linear-probe --features`` of so many training rows and as many test rows, then tables and report of it."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(classes, width)).astype(np.float32)
    arrays = {}
    for split in ("train", "test"):
        labels = generator.integers(0, classes, rows)
        noise = generator.normal(size=(rows, width)).astype(np.float32)
        arrays |= {f"x_{split}": centres[labels] + 2 * noise, f"y_{split}": labels}
    np.savez(folder / "features.npz", **arrays)
    del arrays
    out = ["-o", folder / "out", "--cache-dir", folder / "cache", "--quiet"]
    measured("linear-probe", "--features", folder / "features.npz", "--c", "1", "--no-figures", *out)
    measured("linear-probe", "--features", folder / "features.npz", "--c", "0.01", "--no-figures", *out)
    show(folder)


def show(folder: Path) -> None:
    """Tables, report, baseline, gate and verification of what is in ``out``."""
    measured("compare", folder / "out", "-o", folder / "out", "--quiet")
    measured("check", "--update", "--baseline", folder / "baseline.json", folder / "out")
    measured("check", "--baseline", folder / "baseline.json", folder / "out")
    measured("verify", folder / "out")


def sentences(generator: np.random.Generator, count: int) -> list[str]:
    """So many captions of seven to thirteen words, of which a few are frequent."""
    lengths = generator.integers(7, 14, count)
    words = np.minimum(generator.zipf(1.3, lengths.sum()) - 1, len(WORDS) - 1).tolist()
    ends = np.cumsum(lengths).tolist()
    return [" ".join(WORDS[word] for word in words[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def captions(count: int, references: int, metrics: str, folder: Path) -> None:
    """``caption-eval`` of so many captions, each with so many references, then tables and report of it."""
    generator = np.random.default_rng(0)
    with (folder / "references.jsonl").open("w") as file:
        for number, caption in enumerate(sentences(generator, count * references)):
            file.write(json.dumps({"image_id": number // references, "caption": caption}) + "\n")
    with (folder / "candidates.json").open("w") as file:
        candidates = sentences(generator, count)
        json.dump([{"image_id": number, "caption": caption} for number, caption in enumerate(candidates)], file)
    out = ["-o", folder / "out", "--cache-dir", folder / "cache", "--quiet"]
    given = ["-r", folder / "references.jsonl", "-p", folder / "candidates.json", "--metrics", metrics]
    measured("caption-eval", *given, "--resamples", "200", *out)
    show(folder)


def records(count: int, n: int, folder: Path) -> None:
    """So many records of zero-shot runs and probes, two systems on each of many datasets; tables, report, gate."""
    sys.path.insert(0, str(ROOT / "tests" / "report"))
    import factory

    for number in range(count // 4):
        for model in ("one", "other"):
            for task in ("zeroshot", "linear-probe"):
                accuracy = 0.7 + 0.2 * (task == "linear-probe")
                factory.write_classification(
                    folder / "out", task, model, f"set {number}", n=n, classes=5, accuracy=accuracy, seed=number
                )
    show(folder)


def mixed(minutes: float, folder: Path) -> int:
    """Commands of every kind in one process, again and again; memory and descriptors have to stay flat."""
    import vlmbench

    drawn = sentences(np.random.default_rng(0), 600)
    references = {str(number): drawn[3 * number : 3 * number + 3] for number in range(200)}
    said = {key: own[0] for key, own in references.items()}
    common = {"cache_dir": folder / "cache", "device": "cpu"}

    def turn(out: Path, number: int) -> None:
        vlmbench.zeroshot("tiny-clip", "digits", limit=60, seed=number % 5, out=out, **common)
        vlmbench.linear_probe(
            "tiny-clip", "digits", limit=80, shots=[1, "all"], seeds=2, seed=number % 5, out=out, **common
        )
        vlmbench.retrieval("tiny-clip", "scenes", limit=30, seed=number % 5, out=out, **common)
        vlmbench.linear_probe(
            "tiny-clip", "digits", limit=80, shots=[2], seeds=2, head=["tip-adapter", "prototype"],
            test_on=["digits?corrupt=fog:3"], seed=number % 5, out=out, **common
        )  # fmt: skip
        vlmbench.caption("tiny-captioner", dataset="scenes", limit=10, seed=number % 5, out=out, **common)
        vlmbench.score_captions(references, {"s": said}, metrics=["bleu", "rouge_l", "cider"], out=out, **common)
        vlmbench.compare(out).to_frame()
        vlmbench.save_baseline(out / "baseline.json", out)
        vlmbench.check(out / "baseline.json", out)
        vlmbench.verify(out)

    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    taken: list[tuple[float, int]] = []
    ends = time.monotonic() + 60 * minutes
    while time.monotonic() < ends or len(taken) < 12:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            turn(Path(place), len(taken))
        gc.collect()
        taken.append((process.resident(), descriptors()))
    third = len(taken) // 3
    before = np.mean([memory for memory, _ in taken[third : 2 * third]])
    after = np.mean([memory for memory, _ in taken[2 * third :]])
    opened = max(count for _, count in taken[third:]) - min(count for _, count in taken[third:])
    print(f"| {len(taken)} turns of 10 commands in {minutes:g} min | {before:,.0f} MiB, then {after:,.0f} MiB | "
          f"{taken[third][1]} descriptors, then {taken[-1][1]} |")  # fmt: skip
    return int(after - before > GROWTH or opened > 4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    options: dict[str, Sequence[tuple[str, Callable[[str], object], object]]] = {
        "probe": (("rows", int, 1_000_000), ("width", int, 64), ("classes", int, 10)),
        "captions": (("captions", int, 1_000_000), ("references", int, 1), ("metrics", str, "bleu,rouge_l,cider")),
        "records": (("records", int, 2_000), ("n", int, 100)),
        "mixed": (("minutes", float, 60.0),),
    }
    for name, own in options.items():
        command = commands.add_parser(name)
        for option, kind, usual in own:
            command.add_argument(f"--{option}", type=kind, default=usual)
    given = vars(parser.parse_args())
    name = given.pop("command")
    run = {"probe": probe, "captions": captions, "records": records, "mixed": mixed}[name]
    print(
        "| command | exit | wall | processor | peak memory |\n|---|---|---|---|---|"
        if name != "mixed"
        else "| run | memory | |"
    )
    with tempfile.TemporaryDirectory() as folder:
        return run(*given.values(), Path(folder)) or 0


if __name__ == "__main__":
    sys.exit(main())
