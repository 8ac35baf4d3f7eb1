"""How fast is the linear probe's whole A.3 search, and does it find what scikit-learn finds?

    python benchmarks/probe.py                       10,000 × 512, 100 classes: ours, scikit-learn, an AdamW sweep
    python benchmarks/probe.py --features mine.npz   on features of your own
    python benchmarks/probe.py --imagenet            1.28 M × 768, 1,000 classes, on a GPU, ours alone, peak memory

The features are synthetic and made to look like an encoder's: a power-law spectrum, class centres, a large common
offset, un-normalised, one label in twenty wrong. Every solver makes the same
search and stops at the same tolerance (largest entry of the gradient of the mean loss). `native` is what vlmbench runs,
which asks for more besides (`vlmbench.heads.logistic.RELATIVE`); `native-tol` stops by the tolerance alone, as
scikit-learn does.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row
from vlmbench.heads import logistic
from vlmbench.heads.logistic import Fit, Trainer
from vlmbench.heads.oracle import SklearnTrainer
from vlmbench.heads.search import search_strength

MISLABELLED = 0.05
SEPARATION = 3.0


@dataclass
class Data:
    """Features `[N, D]` float32 and labels `[N]` of three splits."""

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    classes: int


@dataclass
class Search:
    """What one solver did."""

    solver: str
    seconds: float
    cpu_seconds: float
    fits: int
    steps: int
    c: float
    val: float
    test: float
    converged: int


def synthetic(n: int, d: int, classes: int, seed: int) -> Data:
    generator = np.random.default_rng(seed)
    scale = (np.arange(1, d + 1) ** -0.5).astype(np.float32)
    rotation = np.linalg.qr(generator.normal(size=(d, d)))[0].astype(np.float32)
    centres = (SEPARATION * generator.standard_normal((classes, d), dtype=np.float32)) * scale**2
    norm = 8 / np.sqrt((scale**2).sum() * 2)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        y = generator.integers(0, classes, count)
        noise = generator.standard_normal((count, d), dtype=np.float32) * scale
        shown = np.where(generator.random(count) < MISLABELLED, generator.integers(0, classes, count), y)
        return ((centres[y] + noise) @ rotation + rotation[0]) * norm, shown

    parts = {"train": draw(n), "val": draw(max(2000, n // 25)), "test": draw(max(5000, n // 25))}
    return Data({name: x for name, (x, _) in parts.items()}, {name: y for name, (_, y) in parts.items()}, classes)


def from_file(path: Path) -> Data:
    from vlmbench.foundations.progress import Silent
    from vlmbench.heads.fewshot import holdout
    from vlmbench.tasks.probe.features_file import read_features

    file = read_features(path, Silent())
    x, y = {split: np.asarray(table) for split, table in file.x.items()}, dict(file.y)
    if "val" not in x:
        train, val = holdout(y["train"], 0)
        x["val"], y["val"] = x["train"][val], y["train"][val]
        x["train"], y["train"] = x["train"][train], y["train"][train]
    return Data(x, y, len(file.classnames))


def whole_search(name: str, make: Callable[[], Any], data: Data, tol: float, log: Callable[[str], None]) -> Search:
    started, used = time.perf_counter(), time.process_time()

    def validate(fit: Fit) -> tuple[float, float]:
        probabilities = fit.probabilities(data.x["val"])
        own = probabilities[np.arange(len(probabilities)), data.y["val"]]
        score = float((probabilities.argmax(axis=1) == data.y["val"]).mean())
        log(f"  {name}: C {fit.c:.3g}, {fit.iterations} steps, val {score:.4f}, {time.perf_counter() - started:.1f} s")
        return score, float(-np.log(np.maximum(own, 1e-300)).mean())

    found = search_strength(make(), validate, tol=tol)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    test = float((found.best.logits(data.x["test"]).argmax(axis=1) == data.y["test"]).mean())
    return Search(
        name,
        seconds,
        used,
        len(found.trials),
        sum(trial.iterations for trial in found.trials),
        found.best.c,
        max(trial.score for trial in found.trials),
        test,
        sum(trial.converged for trial in found.trials),
    )


def adamw_sweep(data: Data, log: Callable[[str], None], epochs: int = 10, batch: int = 64, rate: float = 0.1) -> Search:
    """A sweep of AdamW's weight decay in the manner of CLIP_benchmark: 7 of 97 values of 1e-6 … 1e2, then halving."""
    started, used = time.perf_counter(), time.process_time()
    parts = {name: (torch.as_tensor(data.x[name]), torch.as_tensor(data.y[name])) for name in data.x}
    decays = np.logspace(-6, 2, 97)
    scores: dict[int, tuple[float, float]] = {}
    steps = 0

    def attempt(index: int) -> None:
        nonlocal steps
        if index in scores or not 0 <= index < len(decays):
            return
        torch.manual_seed(0)
        x, y = parts["train"]
        layer = torch.nn.Linear(x.shape[1], data.classes)
        optimiser = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=float(decays[index]))
        total = epochs * -(-len(x) // batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + np.cos(np.pi * step / total)))
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(batch):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(layer(x[rows]), y[rows]).backward()
                optimiser.step()
                schedule.step()
                steps += 1
        with torch.inference_mode():
            val, test = (
                float((layer(parts[name][0]).argmax(1) == parts[name][1]).float().mean()) for name in ("val", "test")
            )
        scores[index] = (val, test)
        log(f"  adamw: weight decay {decays[index]:.3g}, val {val:.4f}, {time.perf_counter() - started:.1f} s")

    for index in range(0, 97, 16):
        attempt(index)
    step = 8
    while step:
        peak = max(scores, key=lambda index: scores[index])
        attempt(peak - step)
        attempt(peak + step)
        step //= 2
    peak = max(scores, key=lambda index: scores[index][0])
    return Search(
        "adamw sweep", time.perf_counter() - started, time.process_time() - used, len(scores), steps,
        float(1 / decays[peak]), scores[peak][0], scores[peak][1], 0,
    )  # fmt: skip


def show(rows: list[Search], reference: str = "native") -> None:
    heads = ("seconds", "cpu s", "fits", "steps", "conv.", "C", "val", "test", "× ours")
    widths = (9, 9, 5, 7, 5, 10, 7, 7, 7)
    print("solver        ", *(head.rjust(width) for head, width in zip(heads, widths, strict=True)))
    ours = next((row.seconds for row in rows if row.solver == reference), None)
    for row in rows:
        cells = (
            f"{row.seconds:.2f}", f"{row.cpu_seconds:.2f}", row.fits, row.steps, row.converged,
            f"{row.c:.4g}", f"{row.val:.4f}", f"{row.test:.4f}", f"{row.seconds / ours:.1f}" if ours else "",
        )  # fmt: skip
        print(row.solver.ljust(14), *(str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)))


def rows(quick: bool) -> Iterator[Row]:
    """The whole search beside scikit-learn's fits at the same tolerance."""
    n, d, classes = (300, 16, 5) if quick else (5000, 512, 50)
    data = synthetic(n, d, classes, 0)
    train = data.x["train"], data.y["train"]
    mine = whole_search("native", lambda: Trainer(*train, classes=classes), data, 1e-6, print)
    other = whole_search("sklearn", lambda: SklearnTrainer(*train, classes=classes), data, 1e-6, print)
    same = "same C, same accuracy" if (mine.c, mine.test) == (other.c, other.test) else (
        f"C {mine.c:.3g} and {other.c:.3g}, accuracy {mine.test:.4f} and {other.test:.4f}"
    )  # fmt: skip
    yield Row(
        f"the whole A.3 strength search, {n:,} x {d}, {classes} classes", mine.seconds, other.seconds, "s",
        "scikit-learn, tolerance 1e-6", f"python benchmarks/probe.py --n {n} --d {d} --classes {classes} "
        "--solvers native,sklearn", note=f"{same}; {torch.get_num_threads()} threads",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--solvers", default="native,native-tol,sklearn,adamw")
    parser.add_argument("--imagenet", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    given = parser.parse_args()
    if given.imagenet:
        given.n, given.d, given.classes, given.solvers, given.device = 1_281_167, 768, 1000, "native", "cuda"
    data = from_file(given.features) if given.features else synthetic(given.n, given.d, given.classes, given.seed)
    cores = len(os.sched_getaffinity(0))
    shape = " × ".join(map(str, data.x["train"].shape))
    print(f"train {shape}, {data.classes} classes, tol {given.tol}; {cores} cores, {torch.get_num_threads()} threads")
    train = data.x["train"], data.y["train"]
    makers: dict[str, Callable[[], Any]] = {
        "native": lambda: Trainer(*train, classes=data.classes, device=given.device),
        "native-tol": lambda: Trainer(*train, classes=data.classes, device=given.device),
        "sklearn": lambda: SklearnTrainer(*train, classes=data.classes),
    }
    rows = []
    asked = logistic.RELATIVE
    for solver in given.solvers.split(","):
        if given.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        if solver == "adamw":
            rows.append(adamw_sweep(data, print))
        else:
            logistic.RELATIVE = math.inf if solver == "native-tol" else asked
            rows.append(whole_search(solver, makers[solver], data, given.tol, print))
        if given.device == "cuda":
            print(
                f"peak GPU memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB ({torch.cuda.get_device_name()})"
            )
    show(rows)
    if given.json:
        given.json.write_text(json.dumps([vars(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
