"""12-megapixel photographs: images a second and features with ``--decode full`` and ``reduced``, beside a bare loop.

    python benchmarks/photographs.py [--photographs DIR] [--model tiny-clip] [--count 52] [--rounds 3]

The photographs of DIR (by default the two that come with scikit-learn) are made 4032 x 3024 pixels large, with the
noise of a sensor, and saved as JPEGs of quality 92 (about 4 MB); one that is as large already is taken as it is.
Timed in turn, round after round: vlmbench's pass over
them (decoding, preparing, encoding, storing; the model is loaded before), in both ways; and a loop that decodes and
resizes to 224 with Pillow on all cores and does nothing else, in both ways. Ratios are medians over rounds. Then what
reduced scale does to features: cosines between both ways, and the accuracy of zero-shot on the bundled ``shapes``,
blown up to 1512 x 1512 pixels.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image

import vlmbench
from benchmarks.rows import Row
from vlmbench.api.options import run_context
from vlmbench.data.images import REDUCED_SIDE, decode
from vlmbench.foundations.cpu import cores
from vlmbench.session.images import Selection
from vlmbench.session.session import Session

WAYS = ("full", "reduced")
SIZE = (4032, 3024)


def draw(source: Path, out: Path, count: int) -> list[Path]:
    """So many large photographs from those in a directory, mirrored where there are too few."""
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    for name in ("even", "odd"):
        (out / name).mkdir(parents=True)
    for number in range(count):
        path, place = found[number % len(found)], out / ("even", "odd")[number % 2] / f"{number:04d}.jpg"
        image = Image.open(path)
        if max(image.size) >= max(SIZE):
            place.write_bytes(path.read_bytes())
            continue
        image = image.convert("RGB")
        if number // len(found) % 2:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        large = image.resize(SIZE if image.width >= image.height else SIZE[::-1], Image.Resampling.BICUBIC)
        noise = np.random.default_rng(number).normal(0, 6, (large.height, large.width, 1)).astype(np.float32)
        pixels = np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place, quality=92)
    return sorted(out.rglob("*.jpg"))


def bare(paths: list[Path], way: str) -> float:
    """Seconds of decoding and resizing on all cores."""

    def one(path: Path) -> np.ndarray:
        with Image.open(BytesIO(path.read_bytes())) as image:
            if way == "reduced":
                image.draft(None, (REDUCED_SIDE, REDUCED_SIDE))
            factor = 224 / min(image.size)
            small = (round(image.width * factor), round(image.height * factor))
            return np.asarray(image.convert("RGB").resize(small, Image.Resampling.BICUBIC))

    begun = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(one, paths):
            pass
    return time.perf_counter() - begun


def ours(session: Session, model: str, data: str) -> tuple[float, np.ndarray]:
    """Seconds of a pass, and unit features [N, D] float64."""
    selection = Selection(data, "all")
    session.images.open(selection)  # the fingerprint, which is kept
    session.model(model).encoder.preprocess(Image.new("RGB", (64, 64)))
    begun = time.perf_counter()
    session.prepare([model], selection)
    seconds = time.perf_counter() - begun
    x = session.features(model, selection).x.astype(np.float64)
    return seconds, x / np.linalg.norm(x, axis=1, keepdims=True)


def accuracy(model: str, place: Path, way: str, count: int) -> float:
    """Of zero-shot on blown-up shapes."""
    found = vlmbench.zeroshot(
        model, f"folder:{place}", limit=count, decode=way, out=place.parent, cache_dir=place.parent
    )
    return found[0].metrics["accuracy"].value


def blow_up(place: Path, count: int) -> None:
    """The bundled shapes as large PNGs, a directory per class."""
    session = Session(run_context())
    split = session.images.open(Selection("shapes", "test", count)).split
    names = session.dataset("shapes").info.classnames
    for row, id in enumerate(split.ids):
        path = place / names[split.labels[row]] / f"{Path(id).stem}-{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = decode(split.images.read(row), id)
        image.resize((1512, 1512), Image.Resampling.BICUBIC).save(path, quality=92)


def measured(
    options: argparse.Namespace, root: Path
) -> tuple[dict[tuple[str, str], list[float]], dict[str, np.ndarray]]:
    """Seconds of both sides in both ways, round by round; unit features of each way."""
    seconds: dict[tuple[str, str], list[float]] = {(side, way): [] for side in ("bare", "ours") for way in WAYS}
    features: dict[str, np.ndarray] = {}
    paths = draw(options.photographs, root / "photographs", options.count)
    for number in range(options.rounds):
        for way in WAYS:
            seconds["bare", way].append(bare(paths, way))
            context = run_context(cache_dir=root / f"{number}", decode=way, workers=options.workers)
            took, features[way] = ours(Session(context), options.model, f"folder:{root / 'photographs'}")
            seconds["ours", way].append(took)
    return seconds, features


def rows(quick: bool) -> Iterator[Row]:
    """The pass over them beside decoding and resizing alone."""
    options = parser().parse_args(["--count", "6", "--rounds", "1"] if quick else ["--count", "32"])
    with tempfile.TemporaryDirectory() as place:
        seconds, features = measured(options, Path(place))
    cosine = (features["full"] * features["reduced"]).sum(axis=1).min()
    for way in WAYS:
        pairs = list(zip(seconds["bare", way], seconds["ours", way], strict=True))
        loop, own = (options.count / statistics.median(column) for column in zip(*pairs, strict=True))
        yield Row(
            f"JPEGs of 12 megapixels, `--decode {way}`", own, loop, "images/s", "decoding and resizing on all cores",
            "python benchmarks/photographs.py", target=0.9 if way == "full" else None,
            paired=statistics.median(bare / mine for bare, mine in pairs),
            note="" if way == "full" else f"cosine with `full` {cosine:.4f} at least",
        )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=Path(sklearn.datasets.__file__).parent / "images")
    parser.add_argument("--model", default="tiny-clip")
    parser.add_argument("--count", type=int, default=52)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=None)
    return parser


def main() -> None:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        seconds, features = measured(options, root)
        print(f"{options.count} JPEGs of {SIZE[0]} x {SIZE[1]}, {cores()} cores, {options.rounds} rounds")
        for (side, way), times in seconds.items():
            print(f"{side:5} {way:8} {options.count / statistics.median(times):6.2f} images/s")
        for way in WAYS:
            ratios = [loop / own for loop, own in zip(seconds["bare", way], seconds["ours", way], strict=True)]
            print(f"{options.model} against the bare loop, {way}: {statistics.median(ratios):.2f}")
        gain = [a / b for a, b in zip(seconds["ours", "full"], seconds["ours", "reduced"], strict=True)]
        print(f"reduced against full: {statistics.median(gain):.2f} times as fast")
        cosines = (features["full"] * features["reduced"]).sum(axis=1)
        print(f"cosine of features, full and reduced: mean {cosines.mean():.7f}, least {cosines.min():.7f}")
        blow_up(root / "shapes", 240)
        full, reduced = (accuracy(options.model, root / "shapes", way, 240) for way in WAYS)
        print(f"zero-shot on 240 shapes of 1512 x 1512: {full:.4f} full, {reduced:.4f} reduced")


if __name__ == "__main__":
    main()
