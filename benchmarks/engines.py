"""Encoding images on a CPU by each engine and precision, and what that does to results.

Speed: ViT-B/32 (OpenAI's configuration, random weights), batches of 64, each engine in turn in every round, so that all
share what else the machine does; medians, also of processor time, which other programs disturb least.

Accuracy (`--accuracy`): the bundled CLIP on the bundled sets.

    pip install 'vlmbench-eval[openvino]'
    python benchmarks/engines.py [--rounds 7] [--accuracy]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import vlmbench
from benchmarks.inputs import checkpoint
from benchmarks.rows import Row
from vlmbench.encoders.engine import distance, load_exported
from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.foundations.progress import Silent

ENGINES = [("torch", "fp32"), ("openvino", "fp32"), ("torch", "bf16"), ("openvino", "bf16")]
SETS = ("digits", "shapes", "counting")


@dataclass(frozen=True)
class Speed:
    """What one engine did, beside torch in fp32.

    Attributes:
        rate: images a second.
        wall: the median of ratios of wall time, round by round.
        cpu: of processor time.
        different: the largest difference of a feature; of a row, as a share of its norm; the least cosine.
        start: seconds of loading, exporting where that had to be done.
    """

    rate: float
    wall: float
    cpu: float
    different: tuple[float, float, float]
    start: float


def speeds(rounds: int, batch: int) -> dict[tuple[str, str], Speed]:
    """Of each engine and precision."""
    with tempfile.TemporaryDirectory() as place:
        files = find_model(parse_model(str(checkpoint("b32", Path(place), small_text=False))), Path(place))
        encoders, started = {}, {}
        for engine, precision in ENGINES:
            begun = time.perf_counter()
            encoders[engine, precision] = (
                load_model(files, "cpu", precision, Silent())
                if engine == "torch"
                else load_exported(files, precision, Path(place), Silent())
            )
            started[engine, precision] = time.perf_counter() - begun
        pixels = np.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype=np.float32)
        found = {how: encoder.encode_images(pixels) for how, encoder in encoders.items()}  # warms, checks
        seconds: dict[tuple[str, str], list[np.ndarray]] = {how: [] for how in ENGINES}
        for _ in range(rounds):
            for how in ENGINES:
                begun = np.array([time.perf_counter(), time.process_time()])
                encoders[how].encode_images(pixels)
                seconds[how].append(np.array([time.perf_counter(), time.process_time()]) - begun)
    rows = {}
    for how in ENGINES:
        mine, exact = found[how]["proj"], found[ENGINES[0]]["proj"]
        cosine = (mine * exact).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(exact, axis=1)
        far = distance(torch.from_numpy(mine), torch.from_numpy(exact))
        wall, cpu = np.median(np.array(seconds[ENGINES[0]]) / np.array(seconds[how]), axis=0)
        different = (float(np.abs(mine - exact).max()), far, float(cosine.min()))
        rate = batch / float(np.median(seconds[how], axis=0)[0])
        rows[how] = Speed(rate, float(wall), float(cpu), different, started[how])
    return rows


def rows(quick: bool) -> Iterator[Row]:
    """OpenVINO beside eager torch in fp32, in fp32 and where the CPU has it in bf16."""
    found = speeds(1 if quick else 7, 64)
    for precision, target in (("fp32", 1.9), ("bf16", 3.5)):
        one, base = found["openvino", precision], found[ENGINES[0]]
        yield Row(
            f"ViT-B/32, batches of 64, `--engine openvino --precision {precision}`", one.rate, base.rate, "images/s",
            "eager torch in fp32", "python benchmarks/engines.py", target=target, paired=one.wall,
            note=f"{one.cpu:.2f} in processor time; a feature row {one.different[1]:.0e} of its norm from torch's, "
            f"cosine {one.different[2]:.5f}",
        )  # fmt: skip


def speed(rounds: int, batch: int) -> None:
    print(f"ViT-B/32, batches of {batch}, {rounds} rounds, {torch.get_num_threads()} threads, load {os.getloadavg()}")
    print(
        "engine            images/s   ratio in wall time, processor time  max diff  max row distance  min cosine  start"
    )
    for how, one in speeds(rounds, batch).items():
        most, far, cosine = one.different
        print(
            f"{how[0]:9} {how[1]:5} {one.rate:10.1f} {one.wall:20.2f} {one.cpu:19.2f} {most:9.1e} {far:17.1e} "
            f"{cosine:11.6f} {one.start:5.1f} s"
        )


def accuracy() -> None:
    with tempfile.TemporaryDirectory() as place:
        options = {"cache_dir": Path(place) / "cache"}
        for engine, precision in ENGINES:
            given = {**options, "out": Path(place) / f"{engine}-{precision}", "engine": engine, "precision": precision}
            line = []
            for result in vlmbench.zeroshot("tiny-clip", SETS, **given):
                line.append(f"{result.dataset} {100 * result.metrics['accuracy'].value:.2f}")
            for result in vlmbench.linear_probe("tiny-clip", SETS, **given):
                line.append(f"{result.dataset} probe {100 * result.metrics['accuracy'].value:.2f}")
            for result in vlmbench.retrieval("tiny-clip", "scenes", **given):
                line += [f"scenes {name} {100 * value.value:.2f}" for name, value in result.metrics.items()]
            print(f"{engine} {precision}: {', '.join(line)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--accuracy", action="store_true")
    given = parser.parse_args()
    if given.accuracy:
        accuracy()
    else:
        speed(given.rounds, given.batch)


if __name__ == "__main__":
    main()
