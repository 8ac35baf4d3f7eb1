"""The linear probe on features that are larger than memory: time, memory, and the share of the machine's peak.

    python -m benchmarks.imagenet_probe                    64,000 × 768, 1,000 classes, the whole search
    python -m benchmarks.imagenet_probe --full             1.28 M × 768: a few gradients, the whole extrapolated

Features are synthetic (`probe.synthetic`'s, drawn a block at a time into a file) and stay in the file. The search is
that of ``vlmbench linear-probe``: a stratified fifth of the training images chooses the strength. The peak of the
matrix product is measured between gradients, on the same threads. All shares are of processor time, so that other
programs on the machine distort them little; wall time stands beside it. scikit-learn's `LogisticRegression` (float32,
from zero, at C = 1) is timed on a subsample, and its time per iteration extrapolated in proportion to the images.
"""

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.process import Peak, resident
from vlmbench.features.table import Table
from vlmbench.features.tensors import map_array
from vlmbench.heads.fewshot import holdout
from vlmbench.heads.logistic import TOLERANCE, Fit, Trainer
from vlmbench.heads.search import search_strength
from vlmbench.heads.spec import HeadData, head_columns
from vlmbench.metrics.classification import metrics_from_samples

FULL, TEST = 1_281_167, 50_000
BLOCK, POOL = 10_000, 30_000

say = partial(print, flush=True)


def draw(path: Path, n: int, width: int, classes: int, seed: int) -> tuple[Table, np.ndarray]:
    """Features [n, D] of a power-law spectrum with a large offset, in a file, and labels [n], one in twenty wrong.

    Each is its class's centre and one of `POOL` noise vectors.
    """
    fixed, generator = np.random.default_rng(0), np.random.default_rng([1, seed])
    scale = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    rotation = np.linalg.qr(fixed.normal(size=(width, width)))[0].astype(np.float32)
    norm = 8 / np.sqrt((scale**2).sum() * 2)
    centres = 3 * fixed.standard_normal((classes, width), dtype=np.float32) * scale**2
    centres = (centres @ rotation + rotation[0]) * norm
    noise = generator.standard_normal((POOL, width), dtype=np.float32) * scale @ rotation * norm
    labels = generator.integers(0, classes, n)
    with path.open("wb") as file:
        for start in range(0, n, BLOCK):
            own = labels[start : start + BLOCK]
            file.write((centres[own] + noise[generator.integers(0, POOL, len(own))]).astype(np.float32).data)
    wrong = generator.random(n) < 0.05
    labels[wrong] = generator.integers(0, classes, wrong.sum())
    return Table([map_array(path, np.float32, (n, width), 0)]), labels


def product_peak(size: int = 2048) -> float:
    """GFLOP per second of processor time of the fastest of four products of float32 matrices."""
    one, other = torch.randn(size, size), torch.randn(size, size)
    out, best = torch.empty(size, size), 0.0
    for _ in range(4):
        began = time.process_time()
        torch.mm(one, other, out=out)
        best = max(best, 2 * size**3 / (time.process_time() - began) / 1e9)
    return best


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives; seconds by the wall and of the processor."""
    wall, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - busy


def gradients(trainer: Trainer, width: int, count: int) -> tuple[float, Fit]:
    """Times gradients beside the peak of a matrix product; returns the median processor time, and a classifier."""
    generator, start, rows = torch.Generator().manual_seed(0), trainer._origin(), []
    place = start + 0.01 * torch.randn(start.shape, generator=generator, dtype=torch.float64)
    work = 4 * trainer.n * width * trainer.rows / 1e9
    for _ in range(count):
        peak = product_peak()
        point, wall, busy = timed(lambda: trainer._evaluate(place, 1e-6, torch.float32))
        rows.append((wall, busy, work / busy, 100 * work / busy / peak, peak))
    wall, busy, speed, share, peak = np.median(np.array(rows), axis=0)
    say(f"a gradient ({work:,.0f} GFLOP): {wall:.2f} s, {busy:.2f} s of processor time")
    say(f"{speed:.1f} GFLOP per second of it: {share:.0f} % of the peak of a matrix product ({peak:.1f})")
    return float(busy), trainer._unrotate(point, 1.0, 0, converged=False)


def sklearn_seconds(x: Table, y: np.ndarray, images: int, n: int, iterations: int = 10) -> float:
    """Processor time per iteration of scikit-learn's solver on the first `images` rows, in proportion for all `n`."""
    part = np.asarray(x[:images])
    model = LogisticRegression(C=1.0, tol=TOLERANCE, max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few iterations do not converge
        _, _, busy = timed(lambda: model.fit(part, y[:images]))
    return busy / int(model.n_iter_.max()) * n / images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=FULL // 20)
    parser.add_argument("--test", type=int)
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--gradients", type=int, default=3)
    parser.add_argument("--evaluations", type=float, help="of a whole search, where none is run; see the default size")
    parser.add_argument("--full", action="store_true", help="1,281,167 training and 50,000 test images, no search")
    parser.add_argument("--no-search", action="store_true")
    parser.add_argument("--subsample", type=int, default=10_000, help="images for scikit-learn")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    n, width, classes = FULL if given.full else given.n, given.d, given.classes
    tested = given.test or (TEST if given.full else max(classes, n // 25))
    if given.threads:
        torch.set_num_threads(given.threads)
    say(f"{n:,} × {width} ({n * width * 4 / 2**30:.2f} GiB), {classes:,} classes, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder, Peak() as memory:
        before = resident("RssAnon")
        x, y = draw(Path(folder) / "train", n, width, classes, 0)
        x_test, y_test = draw(Path(folder) / "test", tested, width, classes, 1)
        train, val = holdout(y, 0)
        data = HeadData(x=x[train], y=y[train], classes=classes, x_val=x[val], y_val=y[val], metric="accuracy")
        trainer, wall, _ = timed(lambda: Trainer(data.x, data.y, classes=classes))
        say(f"principal axes: {wall:.1f} s; the rotated copy is {'' if trainer.axes.z is not None else 'not '}held")
        gradient, head = gradients(trainer, width, given.gradients)
        evaluate, seen = trainer._evaluate, [0]

        def counted(x: torch.Tensor, **how: Any) -> Any:
            seen[0] += 1
            return evaluate(x, **how)

        trainer._evaluate = counted
        if given.full or given.no_search:
            _, wall, busy = timed(lambda: data.validate(head))
            say(f"validation on {len(val):,} images: {wall:.1f} s, {busy:.1f} s of processor time")
            if given.evaluations:
                whole = given.evaluations * gradient
                say(f"extrapolated: {given.evaluations:,.0f} gradients take {whole / 3600:.1f} hours of processor time")
        else:
            found, wall, busy = timed(lambda: search_strength(trainer, data.validate))
            best, trials = found.best, found.trials
            print(
                f"whole search: {wall:.0f} s, {busy:.0f} s of processor time; {seen[0]} gradients, {len(trials)} fits"
            )
            say("steps by strength: " + ", ".join(f"{trial.exponent:g}: {trial.iterations}" for trial in trials))
            columns = head_columns(best, x_test, y_test, [""] * tested)
            accuracy = metrics_from_samples(columns, ["accuracy"], 0)["accuracy"].value
            say(f"C {best.c:.3g}, test accuracy {accuracy:.4f} on {tested:,} images")
        theirs = sklearn_seconds(x, y, min(given.subsample, n), len(train))
        say(
            f"scikit-learn, extrapolated from {min(given.subsample, n):,} images: "
            f"{theirs:.1f} s of processor time per iteration"
        )
        say(f"an iteration of ours is mostly one gradient: {theirs / gradient:.1f} times as fast")
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak memory: {rss:,.0f} MiB resident, {memory.anonymous:,.0f} MiB allocated ({before:,.0f} at the start)")


if __name__ == "__main__":
    main()
