"""The whole ``vlmbench caption-eval`` command against pycocoevalcap with Java, side by side.

Both are fresh processes, from start-up to scores: vlmbench also draws 1,000 resamples and writes its record,
per-sample file and tables. Wall time, processor time and peak memory (proportional set size of the process and all
its children, sampled twenty times a second) are measured in turns, and the scores compared.

    python benchmarks/captions.py --data ../shared/data/captions --sizes 1000 5000 40504 --repeats 3

Sizes beyond the data are filled with images of the data whose captions have words exchanged, so that every caption is
new. Without ``--data`` the captions come from a small grammar.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import Row

BASELINE = """
import json, sys
from collections import defaultdict
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.cider.cider import Cider
wanted, given = defaultdict(list), {}
for entry in json.load(open(sys.argv[1]))["annotations"]:
    wanted[entry["image_id"]].append(entry)
for entry in json.load(open(sys.argv[2])):
    given[entry["image_id"]] = [entry]
tokenizer = PTBTokenizer()
wanted, given = tokenizer.tokenize(wanted), tokenizer.tokenize(given)
found = {}
for scorer, name in ((Bleu(4), "bleu"), (Meteor(), "meteor"), (Rouge(), "rouge_l"), (Cider(), "cider")):
    if name == "bleu":
        found.update({f"bleu_{n}": s for n, s in enumerate(scorer.compute_score(wanted, given, verbose=0)[0], 1)})
    else:
        found[name] = float(scorer.compute_score(wanted, given)[0])
print(json.dumps(found))
"""


def rows(quick: bool) -> Iterator[Row]:
    """The whole command beside pycocoevalcap's four scorers; fewer repeats of what takes longer."""
    for size, repeats, target in ((200, 1, None),) if quick else ((1000, 3, 12.0), (5000, 2, 12.0), (40_504, 1, 12.0)):
        options = parser().parse_args(["--repeats", str(repeats)])
        with tempfile.TemporaryDirectory() as folder:
            found = compare(size, Path(folder), options)
        yield Row(
            f"`caption-eval`, {size:,} images with 5 references", found["vlmbench"]["wall"], found["java"]["wall"], "s",
            "pycocoevalcap 1.2", f"python benchmarks/captions.py --sizes {size}", target=target,
            note=f"{found['memory_share']:.2f} of the memory, {found['faster_cpu']:.1f} times in processor time, "
            f"scores differ by {found['largest_difference']:.0e}",
        )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with coco_*_references.json and their systems' results")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000, 40504], help="images")
    parser.add_argument("--repeats", type=int, default=3, help="of each side; the best of each is compared")
    parser.add_argument("--cache-dir", type=Path, help="of vlmbench [default: the platform's]")
    parser.add_argument("--only", choices=["vlmbench", "java"], help="measure one side only")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser


def main() -> None:
    options = parser().parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            found.append(compare(size, Path(folder), options))
            print(line(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def compare(size: int, folder: Path, options: argparse.Namespace) -> dict:
    references, candidates = folder / f"references-{size}.json", folder / f"candidates-{size}.json"
    corpus(size, options.data, references, candidates)
    cache = ["--cache-dir", str(options.cache_dir)] if options.cache_dir else []
    ours = [
        sys.executable,
        "-m",
        "vlmbench",
        "caption-eval",
        "-r",
        str(references),
        "-p",
        str(candidates),
        "--json",
        "-q",
    ]
    theirs = [sys.executable, "-c", BASELINE, str(references), str(candidates)]
    runs: dict[str, list[dict]] = {"vlmbench": [], "java": []}
    if options.only != "java":
        measure([*ours, *cache, "-o", str(folder / "warm")])  # builds METEOR's index and compiles, once for good
    for turn in range(options.repeats):
        if options.only != "java":
            runs["vlmbench"].append(measure([*ours, *cache, "-o", str(folder / f"out-{size}-{turn}")]))
        if options.only != "vlmbench":
            runs["java"].append(measure(theirs))
    result = {"images": size, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    for side, measured in runs.items():
        if measured:
            result[side] = {key: min(run[key] for run in measured) for key in ("wall", "cpu", "memory")}
            result[side]["walls"] = [round(run["wall"], 3) for run in measured]
    if all(runs.values()):
        mine = json.loads(runs["vlmbench"][0]["output"])["results"][0]["metrics"]
        other = json.loads(runs["java"][0]["output"].splitlines()[-1])
        result["largest_difference"] = max(abs(mine[name]["value"] - other[name]) for name in other)
        result["faster"] = result["java"]["wall"] / result["vlmbench"]["wall"]
        result["faster_cpu"] = result["java"]["cpu"] / result["vlmbench"]["cpu"]
        result["memory_share"] = result["vlmbench"]["memory"] / result["java"]["memory"]
    return result


def line(result: dict) -> str:
    parts = [f"{result['images']:>6,} images"]
    for side in ("vlmbench", "java"):
        if side in result:
            found = result[side]
            parts.append(f"{side} {found['wall']:.2f} s wall, {found['cpu']:.2f} s CPU, {found['memory'] / 1e6:.0f} MB")
    if "faster" in result:
        parts.append(
            f"{result['faster']:.1f} x faster ({result['faster_cpu']:.1f} x in CPU), "
            f"{result['memory_share']:.2f} of the memory, scores differ by {result['largest_difference']:.1e}"
        )
    return " | ".join(parts)


def measure(command: list[str], **place: Any) -> dict:
    """Wall and processor seconds, peak bytes of the process tree, and standard output; bytecode is kept, as pip does.

    Args:
        command: the program and its arguments.
        place: `env` and `cwd`, as `subprocess.Popen` takes them.
    """
    place["env"] = {**place.get("env", os.environ), "PYTHONDONTWRITEBYTECODE": ""}
    started, before = time.perf_counter(), os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **place)
    peak = [0]
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(process.pid, peak, over))
    watcher.start()
    output, errors = process.communicate()
    wall = time.perf_counter() - started
    after = os.times()
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{command[:6]} ended with {process.returncode}:\n{errors[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "memory": peak[0], "output": output}


def watch(root: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(0.05):
        peak[0] = max(peak[0], sum(proportional(pid) for pid in tree(root)))


def tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def proportional(pid: int) -> int:
    """Bytes of a process, shared pages divided among those that share them."""
    try:
        for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if row.startswith("Pss:"):
                return int(row.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def corpus(size: int, data: Path | None, references: Path, candidates: Path) -> None:
    """Writes `size` images with five references and one candidate each, as COCO files."""
    rng = random.Random(size)
    pool = list(read(data)) if data else [grammar(rng) for _ in range(min(size, 5000))]
    words = [word for captions, _ in pool[:2000] for caption in captions for word in caption.split() if word.isalpha()]

    def changed(caption: str) -> str:
        parts = caption.split()
        for index in range(len(parts)):
            if parts[index].isalpha() and rng.random() < 0.15:
                parts[index] = rng.choice(words)
        return " ".join(parts)

    annotations, results = [], []
    for image in range(size):
        captions, caption = pool[image % len(pool)]
        if image >= len(pool):
            captions, caption = [changed(text) for text in captions], changed(caption)
        annotations += [
            {"id": len(annotations) + n, "image_id": image, "caption": text} for n, text in enumerate(captions)
        ]
        results.append({"image_id": image, "caption": caption})
    images = [{"id": image} for image in range(size)]
    references.write_text(json.dumps({"images": images, "annotations": annotations}))
    candidates.write_text(json.dumps(results))


def read(data: Path):
    for name, system in (("coco_val2017", "nearest_neighbour"), ("coco_karpathy_test", "magic")):
        given = {
            entry["image_id"]: entry["caption"] for entry in json.loads((data / f"{name}_{system}.json").read_text())
        }
        wanted: dict[int, list[str]] = {}
        for entry in json.loads((data / f"{name}_references.json").read_text())["annotations"]:
            wanted.setdefault(entry["image_id"], []).append(entry["caption"])
        yield from ((captions[:5], given[image]) for image, captions in wanted.items() if image in given)


def grammar(rng: random.Random) -> tuple[list[str], str]:
    things = ["dog", "cat", "man", "woman", "horse", "car", "bus", "train", "plate", "pizza", "beach", "street", "kite"]
    kinds = ["small", "large", "red", "blue", "old", "young", "black", "white", "busy", "empty"]
    acts = ["sitting on", "standing near", "walking past", "looking at", "next to", "in front of"]

    def sentence() -> str:
        return (
            f"A {rng.choice(kinds)} {rng.choice(things)} {rng.choice(acts)} a {rng.choice(kinds)} "
            f"{rng.choice(things)}, {rng.choice(['with', 'and', 'behind'])} the {rng.choice(things)}."
        )

    return [sentence() for _ in range(5)], sentence()


if __name__ == "__main__":
    main()
