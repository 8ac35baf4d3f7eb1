"""Builds the data sets that ship with the package: shapes, counting, scenes, and the split of digits.

python -m benchmarks.pretraining.build_datasets --cache CACHE --out vlmbench/bundled/datasets
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Pillow
from sklearn.datasets import load_digits

from benchmarks.pretraining import captions as c
from benchmarks.pretraining.compose import Renderer
from benchmarks.pretraining.scenes import references

SEED = 20_000
SPLITS = ("train", "val", "test")
LICENSE = "Apache-2.0"
HELD = sorted(c.HELD_OUT)


class CleanRenderer(Renderer):
    """Without the training's noise and light (files stay small); a quarter of the images are a little soft."""

    def finish(self, images: torch.Tensor) -> torch.Tensor:
        """A little softness, nothing else."""
        soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(images, [1] * 4, mode="replicate"), 3, 1)
        return torch.where(torch.rand(len(images), 1, 1, 1, generator=self.gen) < 0.25, soft, images).clamp(0, 1)


def png(image: torch.Tensor, name: str) -> dict[str, Any]:
    """[3, H, W] in 0..1 -> the struct that the Image feature stores."""
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return {"bytes": buffer.getvalue(), "path": name}


def balanced(draw: Any, label_of: Any, classes: int, per_class: int) -> tuple[list[torch.Tensor], list[int]]:
    """Draws until every class has `per_class` images; in random order of class."""
    images: list[torch.Tensor] = []
    labels: list[int] = []
    room = [per_class] * classes
    while any(room):
        full, facts = draw(200)
        for image, fact in zip(full, facts, strict=True):
            label = label_of(fact)
            if label is not None and room[label]:
                room[label] -= 1
                images.append(image)
                labels.append(label)
    return images, labels


def write_classification(
    folder: Path, meta: dict[str, Any], parts: dict[str, tuple[list[torch.Tensor], list[int]]]
) -> None:
    features = Features({"image": Image(), "label": ClassLabel(names=meta["classnames"])})
    folder.mkdir(parents=True, exist_ok=True)
    for split, (images, labels) in parts.items():
        rows = {"image": [png(x, f"{split}-{i:04d}.png") for i, x in enumerate(images)], "label": labels}
        Dataset.from_dict(rows, features=features).to_parquet(folder / f"{split}.parquet")
    write_meta(folder, {**meta, "splits": {split: len(labels) for split, (_, labels) in parts.items()}})


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(meta, indent=1) + "\n")


def build_shapes(cache: Path, out: Path) -> None:
    names = [f"{c.COLOURS[k]} {c.SHAPES[s]}" for s, k in HELD]
    index = {pair: i for i, pair in enumerate(HELD)}
    parts = {}
    for number, (split, per_class) in enumerate({"train": 40, "val": 10, "test": 50}.items()):
        r = CleanRenderer(cache, SEED + number, 24, held_out=True, pairs="held")
        r.sides, r.tint_sd, r.turn_sd = (0.17, 0.6), 0.07, 0.22
        parts[split] = balanced(
            lambda n, r=r: r.shape_canvases(n, False),
            lambda f: index[(int(f[c.LABEL]), int(f[c.COLOUR]))],
            24,
            per_class,
        )
    meta = {
        "name": "shapes",
        "description": "One coloured shape on a coloured background, rendered: the 24 pairs of colour and shape "
        "that tiny-clip's training left out.",
        "source": "benchmarks/pretraining/build_datasets.py",
        "license": LICENSE,
        "group": "synthetic",
        "metric": "accuracy",
        "classnames": names,
        "templates": ["a photo of a {}.", "a {}.", "an image of a {}.", "a picture of a {}.", "a drawing of a {}."],
        "seed": SEED,
    }
    write_classification(out / "shapes", meta, parts)


def build_counting(cache: Path, out: Path) -> None:
    names = ["one object", "two objects", "three objects", "four objects", "five objects"]
    parts = {}
    for number, (split, per_class) in enumerate({"train": 200, "val": 50, "test": 200}.items()):
        r = CleanRenderer(cache, SEED + 100 + number, 24, held_out=True)
        r.equal_area, r.spread, r.gap, r.mixed, r.tint_sd, r.turn_sd = 1.0, 0.45, (0.92, 0.02), 0.75, 0.07, 0.25
        r.layouts = {n: [r.layout(n) for _ in range(400)] for n in range(1, 6)}
        parts[split] = balanced(lambda n, r=r: r.shape_canvases(n, True), lambda f: int(f[c.COUNT]) - 1, 5, per_class)
    meta = {
        "name": "counting",
        "description": "One to five rendered shapes; the painted area is balanced against the count.",
        "source": "benchmarks/pretraining/build_datasets.py",
        "license": LICENSE,
        "group": "synthetic",
        "metric": "accuracy",
        "classnames": names,
        "templates": ["a photo of {}.", "{}.", "an image of {}.", "a picture of {}.", "a photo of a {}."],
        "seed": SEED + 100,
    }
    write_classification(out / "counting", meta, parts)


def build_scenes(cache: Path, out: Path) -> None:
    folder = out / "scenes"
    folder.mkdir(parents=True, exist_ok=True)
    features = Features({"image": Image(), "captions": List(Value("string")), "image_id": Value("int64")})
    sizes = {"train": 2000, "val": 200, "test": 300}
    for number, (split, n) in enumerate(sizes.items()):
        seed = SEED + 200 + number
        rng = np.random.default_rng(seed)
        halves = [
            CleanRenderer(cache, seed, 24, held_out=split != "train").scene_canvases(n if split == "train" else n // 2)
        ]
        if split != "train":  # half of the images of val and test may show only the pairs that training left out
            halves.append(CleanRenderer(cache, seed + 50, 24, held_out=True, pairs="held").scene_canvases(n - n // 2))
        full, facts = torch.cat([h[0] for h in halves]), np.concatenate([h[1] for h in halves])
        ids = [10_000 * number + i for i in range(n)]
        order = rng.permutation(n)
        rows = {
            "image": [png(full[j], f"{ids[i]:06d}.png") for i, j in enumerate(order)],
            "captions": [references(facts[j], rng) for j in order],
            "image_id": ids,
        }
        Dataset.from_dict(rows, features=features).to_parquet(folder / f"{split}.parquet")
    write_meta(
        folder,
        {
            "name": "scenes",
            "description": "Rendered scenes with five reference captions each, worded by a grammar of which "
            "tiny-captioner saw a part; half of "
            "val and test show the pairs of colour and shape that training left out.",
            "source": "benchmarks/pretraining/build_datasets.py",
            "license": LICENSE,
            "group": "captioned",
            "metric": "cider",
            "classnames": [],
            "templates": [],
            "splits": sizes,
            "seed": SEED + 200,
        },
    )


def build_digits(out: Path) -> None:
    """Only the split: 80 test and 20 validation images of each class, drawn by the seed; the rest is for training."""
    labels = load_digits().target
    rng = np.random.default_rng(SEED + 300)
    indices: dict[str, list[int]] = {split: [] for split in SPLITS}
    for digit in range(10):
        order = rng.permutation(np.flatnonzero(labels == digit))
        indices["test"] += order[:80].tolist()
        indices["val"] += order[80:100].tolist()
        indices["train"] += order[100:].tolist()
    indices = {split: sorted(rows) for split, rows in indices.items()}
    meta = {
        "name": "digits",
        "description": "UCI handwritten digits as scikit-learn ships them: 1,797 real digits of 8 x 8 pixels, "
        "17 grey levels; never used in training.",
        "source": "sklearn.datasets.load_digits; E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, "
        "UCI, 1998",
        "license": "CC BY 4.0",
        "group": "real",
        "metric": "accuracy",
        "classnames": c.DIGITS,
        "templates": [
            "a photo of the number {}.",
            'a photo of the number: "{}".',
            "the digit {}.",
            "a handwritten {}.",
            "a photo of a {}.",
        ],
        "splits": {split: len(indices[split]) for split in SPLITS},
        "seed": SEED + 300,
    }
    text = json.dumps(meta, indent=1)[:-2] + ',\n "indices": ' + json.dumps(indices) + "\n}\n"
    (out / "digits").mkdir(parents=True, exist_ok=True)
    (out / "digits" / "dataset.json").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    build_digits(args.out)
    for build in (build_shapes, build_counting, build_scenes):
        build(args.cache, args.out)


if __name__ == "__main__":
    main()
