"""Images a second of ``vlmbench embed`` beside a bare loop of the same engine, and where the time goes.

    python benchmarks/extraction.py [--models b32,l14] [--sizes small,medium] [--device cuda --precision bf16]

The models are CLIP's vision towers with random weights, the images JPEGs of noise. Three things are measured beside the
command, on the same files: the usual loop (open a batch of images, transformers' processor, forward, one after the
other), the forward passes alone (pixels lie on the device already), and decoding alone (open, resize and crop with
Pillow, a process per core). No program is faster than the slower of the last two. Loading is counted nowhere; a first
pass over a few images warms everything up. The command and the forward passes take turns; the usual loop, which is only
for comparison, runs once.
"""

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.inputs import SIDE, TOWERS, checkpoint, pictures
from benchmarks.rows import Row
from vlmbench.foundations.cpu import cores


def decoded(paths: Sequence[Path]) -> int:
    """Opens, resizes and crops each image with Pillow, and gives their number."""
    for path in paths:
        image = Image.open(path).convert("RGB")
        scale = SIDE / min(image.size)
        image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BICUBIC)
        np.asarray(image.crop((0, 0, SIDE, SIDE)))
    return len(paths)


def decoding(paths: Sequence[Path]) -> float:
    """Images a second by a process per core."""
    parts = [paths[at : at + 8] for at in range(0, len(paths), 8)]
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
        list(pool.map(decoded, parts[: 4 * cores()]))
        begun = time.perf_counter()
        return sum(pool.map(decoded, parts)) / (time.perf_counter() - begun)


def rate(step: Callable[[int], object], count: int, batch: int, wait: Callable[[], None]) -> float:
    """Images a second of `step` on the batches that begin at 0, `batch` …, after one to warm up."""
    step(0)
    wait()
    begun = time.perf_counter()
    for start in range(0, count, batch):
        step(start)
    wait()
    return count / (time.perf_counter() - begun)


def bare(
    directory: Path, paths: Sequence[Path], given: argparse.Namespace, with_loop: bool
) -> tuple[float | None, float]:
    """Images a second of the usual loop (none: not measured) and of the forward passes alone."""
    import torch
    from transformers import AutoImageProcessor, CLIPVisionModelWithProjection

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[given.precision]
    tower = CLIPVisionModelWithProjection.from_pretrained(directory, dtype=dtype).eval().to(given.device)
    processor = AutoImageProcessor.from_pretrained(directory, backend="pil")

    def loop(start: int) -> None:
        images = [Image.open(path).convert("RGB") for path in paths[start : start + given.batch_size]]
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        tower(pixel_values=pixels.to(given.device, dtype)).image_embeds.float().cpu()

    pixels = torch.randn(given.batch_size, 3, SIDE, SIDE, device=given.device).to(dtype)
    wait = torch.cuda.synchronize if given.device == "cuda" else lambda: None
    few = min(len(paths), given.loop_images)
    many = few * 16 if given.device == "cuda" else len(paths)
    with torch.inference_mode():
        usual = rate(loop, few, given.batch_size, wait) if with_loop else None
        return usual, rate(lambda start: tower(pixel_values=pixels).image_embeds.float(), many, given.batch_size, wait)


def ours(directory: Path, folder: Path, root: Path, given: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Images a second of ``vlmbench embed`` with the model loaded, and the seconds of its stages."""
    from vlmbench.features import encode
    from vlmbench.session.context import Context
    from vlmbench.session.session import Session
    from vlmbench.tasks.embed import EmbedRequest, run_embed

    if given.threads:
        encode.PROCESSES = 1 << 30
    cache = root / f"cache{time.monotonic_ns()}"
    workers = given.workers if given.workers is not None else cores() - (given.device == "cpu")
    context = Context(
        out=cache, cache_dir=cache, device=given.device, precision=given.precision, batch_size=given.batch_size,
        workers=workers,
    )  # fmt: skip
    session = Session(context)
    run_embed(EmbedRequest(str(directory), f"folder:{folder}", limit=given.batch_size), context, session)
    begun = time.perf_counter()
    found = run_embed(EmbedRequest(str(directory), f"folder:{folder}"), context, session)
    took = time.perf_counter() - begun
    stages = getattr(session._features.tallies[-1], "stages", {})
    shutil.rmtree(cache)
    return found["encoded"] / took, {name: round(value, 2) for name, value in stages.items()} | {"all": round(took, 2)}


def flops(name: str) -> float:
    """Floating-point operations of a tower's forward pass per image: two per multiply-add of its matrix products."""
    width, layers, patch = (TOWERS[name][key] for key in ("hidden_size", "num_hidden_layers", "patch_size"))
    tokens = (SIDE // patch) ** 2 + 1
    layer = 2 * tokens * 12 * width**2 + 4 * tokens**2 * width
    return 2 * (tokens - 1) * 3 * patch**2 * width + layers * layer + 2 * width * 512


def gemm(device: str, precision: str) -> float:
    """Operations a second of this machine's product of square matrices in that precision."""
    import torch

    side = 8192 if device == "cuda" else 1024
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a = torch.randn(side, side, device=device).to(dtype)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    return rate(lambda _: a @ a, 20, 1, wait) * 2 * side**3


def rows(quick: bool) -> Iterator[Row]:
    """ViT-B/32 on small and medium JPEGs, beside its forward passes alone."""
    sizes = ["--images", "64", "--pairs", "1"] if quick else ["--images", "128", "--loop-images", "64", "--pairs", "2"]
    for row in measured(parser().parse_args(sizes), 1.0):
        size = "32 to 64 pixels wide" if row["size"] == "small" else "300 x 200"
        yield Row(
            f"ViT-B/32 in fp32, JPEGs of {size}", row["vlmbench"], row["forward"], "images/s",
            "forward passes alone", "python benchmarks/extraction.py", target=0.95, paired=row["to_forward"],
            note=f"{row['to_loop']:.2f} times the usual loop (open, processor, forward in turn)",
        )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="b32")
    parser.add_argument("--sizes", default="small,medium")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--loop-images", type=int, default=512, help="of them, by the usual loop")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--pairs", type=int, default=2, help="runs of the loop and of the command, in turn")
    parser.add_argument("--threads", action="store_true", help="threads decode beside a GPU too")
    parser.add_argument("--only", action="store_true", help="the command alone, nothing to compare it with")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device (default: of a product of matrices)")
    parser.add_argument("--json", type=Path)
    return parser


def measured(given: argparse.Namespace, peak: float) -> Iterator[dict[str, Any]]:
    """A row per model and size."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for size in given.sizes.split(","):
            folder = pictures(size, given.images, root)
            paths = sorted(folder.rglob("*.jpg"))
            pillow = None if given.only else decoding(paths)
            for model in given.models.split(","):
                directory = checkpoint(model, root)
                runs = []
                for turn in range(given.pairs):
                    beside = None if given.only else bare(directory, paths, given, with_loop=turn == 0)
                    runs.append((beside, ours(directory, folder, root, given)))
                yield summary(model, size, runs, pillow, peak)


def main() -> None:
    """Prints a line per model and size, and writes JSON where asked."""
    given = parser().parse_args()
    import torch

    machine = torch.cuda.get_device_name() if given.device == "cuda" else platform.processor() or platform.machine()
    peak = given.peak * 1e12 if given.peak else gemm(given.device, given.precision)
    print(f"{machine}, {cores()} cores, torch {torch.__version__}, {given.precision}, {peak / 1e12:.2f} TFLOP/s")
    found = []
    for row in measured(given, peak):
        found.append(row)
        print(line(row), flush=True)
    if given.json:
        facts = {"machine": machine, "cores": cores(), "torch": torch.__version__, "peak_flops": peak}
        options = {key: value for key, value in vars(given).items() if key != "json"}
        given.json.write_text(json.dumps({**facts, "options": options, "rows": found}, indent=1) + "\n")


def summary(model: str, size: str, runs: list[Any], pillow: float | None, peak: float) -> dict[str, Any]:
    """The best of several runs of each kind."""
    speed, stages = max((mine for _, mine in runs), key=lambda mine: mine[0])
    found = {"model": model, "size": size, "vlmbench": speed, "stages": stages}
    found["utilisation"] = speed * flops(model) / peak
    if pillow is not None:
        loop, forward = runs[0][0][0], max(rates[1] for rates, _ in runs)
        found |= {"loop": loop, "forward": forward, "decoding": pillow}
        found |= {"to_loop": speed / loop, "to_limit": speed / min(forward, pillow)}
        found["to_forward"] = median(mine[0] / rates[1] for rates, mine in runs)
    return found


def line(row: dict[str, Any]) -> str:
    """One row as text."""
    text = f"{row['model']} {row['size']:>6}: vlmbench {row['vlmbench']:.1f}/s"
    if "loop" in row:
        text += f", usual loop {row['loop']:.1f}/s (ratio {row['to_loop']:.2f})"
        text += f", forward alone {row['forward']:.1f}/s, decoding alone {row['decoding']:.1f}/s"
        text += f" (ratio to the slower {row['to_limit']:.2f})"
    stages = ", ".join(f"{name} {seconds} s" for name, seconds in row["stages"].items())
    return f"{text}; {row['utilisation']:.1%} of the peak; {stages}"


if __name__ == "__main__":
    main()
