"""Encoding images on a CPU by each engine and precision, and what that does to results.

Speed: ViT-B/32 (OpenAI's configuration, random weights), batches of 64, each engine in turn in every round, so that all
share what else the machine does; medians, also of processor time, which other programs disturb least. Beside them
OpenVINO alone (the tower converted and compiled for this batch, one request, nothing else), and the fastest product of
matrices that OpenVINO reaches here, of the size of ViT-B/32's: no engine is faster than that.

Accuracy (`--accuracy`): the bundled CLIP on the bundled sets.

    pip install 'vlmbench-eval[openvino]'
    python benchmarks/engines.py [--rounds 7] [--accuracy]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vlmbench
from benchmarks.extraction import flops
from benchmarks.inputs import checkpoint
from benchmarks.rows import Row
from vlmbench.encoders.engine import distance, load_exported
from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.foundations.progress import Silent

ENGINES = [("torch", "fp32"), ("openvino", "fp32"), ("torch", "bf16"), ("openvino", "bf16")]
BARE = "openvino alone"
SETS = ("digits", "shapes", "counting")


@dataclass(frozen=True)
class Speed:
    """What one engine did, beside torch in fp32.

    Attributes:
        rate: images a second.
        seconds: of each round.
        wall: the median of ratios of wall time, round by round.
        cpu: of processor time.
        different: the largest difference of a feature; of a row, as a share of its norm; the least cosine.
        start: seconds of loading, exporting where that had to be done.
    """

    rate: float
    seconds: np.ndarray
    wall: float
    cpu: float
    different: tuple[float, float, float]
    start: float


def speeds(rounds: int, batch: int) -> dict[tuple[str, str], Speed]:
    """Of each engine and precision."""
    with tempfile.TemporaryDirectory() as place:
        directory = checkpoint("b32", Path(place), small_text=False)
        files = find_model(parse_model(str(directory)), Path(place))
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
        runs = {how: partial(encoder.encode_images, pixels) for how, encoder in encoders.items()}
        alone = bare(directory, pixels)
        for precision in ("fp32", "bf16"):
            runs[BARE, precision], started[BARE, precision] = alone(precision), 0.0
        found = {how: run() for how, run in runs.items()}  # warms, checks
        seconds: dict[tuple[str, str], list[np.ndarray]] = {how: [] for how in runs}
        for _ in range(rounds):
            for how, run in runs.items():
                begun = np.array([time.perf_counter(), time.process_time()])
                run()
                seconds[how].append(np.array([time.perf_counter(), time.process_time()]) - begun)
    rows = {}
    for how in runs:
        mine, exact = found[how]["proj"], found[ENGINES[0]]["proj"]
        cosine = (mine * exact).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(exact, axis=1)
        far = distance(torch.from_numpy(mine), torch.from_numpy(exact))
        wall, cpu = np.median(np.array(seconds[ENGINES[0]]) / np.array(seconds[how]), axis=0)
        different = (float(np.abs(mine - exact).max()), far, float(cosine.min()))
        rate = batch / float(np.median(seconds[how], axis=0)[0])
        rows[how] = Speed(rate, np.array(seconds[how])[:, 0], float(wall), float(cpu), different, started[how])
    return rows


def _compiled(model: Any, precision: str) -> Any:
    import openvino

    hint = {"fp32": "f32"}.get(precision, precision)
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint, **threads})


def bare(directory: Path, pixels: np.ndarray) -> Callable[[str], Callable[[], dict[str, np.ndarray]]]:
    """OpenVINO alone, by precision: one request, compiled for this batch, that reads the pixels where they are."""
    import openvino
    from transformers import CLIPVisionModelWithProjection

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = CLIPVisionModelWithProjection.from_pretrained(directory).eval()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.model(pixel_values=pixels).image_embeds

    with torch.inference_mode():
        model = openvino.convert_model(Tower(), example_input=torch.from_numpy(pixels[:2]))
    model.reshape({0: openvino.PartialShape(pixels.shape)})

    def encode(request: Any) -> dict[str, np.ndarray]:
        request.infer([pixels], share_inputs=True, share_outputs=True)
        return {"proj": request.get_output_tensor(0).data}

    return lambda precision: partial(encode, _compiled(model, precision).create_infer_request())


def product(precision: str, rows: int = 3200, width: int = 768, inner: int = 3072) -> float:
    """Operations a second of OpenVINO's product of matrices, at best: of ViT-B/32's widest layer for 64 images."""
    import openvino
    from openvino import opset13

    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal(shape, dtype=np.float32) for shape in ((rows, width), (width, inner)))
    given = opset13.parameter([rows, width], np.float32)
    model = openvino.Model([opset13.matmul(given, opset13.constant(b), False, False)], [given])
    request, seconds = _compiled(model, precision).create_infer_request(), []
    for _ in range(30):
        begun = time.perf_counter()
        request.infer([a], share_inputs=True, share_outputs=True)
        seconds.append(time.perf_counter() - begun)
    return 2 * rows * width * inner / min(seconds)


def rows(quick: bool) -> Iterator[Row]:
    """OpenVINO beside eager torch in fp32, in fp32 and where the CPU has it in bf16; beside OpenVINO alone."""
    found = speeds(1 if quick else 3, 64)
    base = found[ENGINES[0]]
    for precision, target in (("fp32", 1.9), ("bf16", 3.5)):
        one, alone, most = found["openvino", precision], found[BARE, precision], product(precision) / flops("b32")
        yield Row(
            f"ViT-B/32, batches of 64, `--engine openvino --precision {precision}`", one.rate, base.rate, "images/s",
            "eager torch in fp32", "python benchmarks/engines.py", target=target, paired=one.wall,
            note=f"a feature row {one.different[1]:.0e} of its norm from torch's, cosine {one.different[2]:.5f}; "
            f"OpenVINO alone {alone.wall:.2f}; the machine's fastest product of matrices in {precision} would do "
            f"{most:.1f} images per second, {most / base.rate:.2f} times torch",
        )  # fmt: skip
        yield Row(
            f"the same, `--precision {precision}`", one.rate, alone.rate, "images/s", "OpenVINO alone",
            "python benchmarks/engines.py", target=0.95, paired=float(np.median(alone.seconds / one.seconds)),
        )  # fmt: skip


def speed(rounds: int, batch: int) -> None:
    print(f"ViT-B/32, batches of {batch}, {rounds} rounds, {torch.get_num_threads()} threads, load {os.getloadavg()}")
    print(
        "engine                 images/s   ratio in wall time, processor time  max diff  max row distance  min cosine"
        "  start"
    )
    for how, one in speeds(rounds, batch).items():
        most, far, cosine = one.different
        print(
            f"{how[0]:14} {how[1]:5} {one.rate:10.1f} {one.wall:20.2f} {one.cpu:19.2f} {most:9.1e} {far:17.1e} "
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
