"""The figures of the model cards, from the finished checkpoints through transformers' own classes and image processor.

    python -m benchmarks.pretraining.final_figures --bundled vlmbench/bundled --out benchmarks/pretraining/figures.json

This is the only script here that opens UCI digits. It was run after the training had ended; nothing was chosen by it.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.linear_model import LogisticRegression
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, VisionEncoderDecoderModel

SHOTS = (1, 2, 5, 10, 20, 40)
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
SEEDS = 10


def load_split(bundled: Path, name: str, split: str) -> tuple[list[Image.Image], np.ndarray]:
    """Images and labels of a bundled data set."""
    if name == "digits":
        from vlmbench.bundled.digits import load_digits_split

        images, labels = load_digits_split(split)
        return images, np.array(labels)
    rows = pq.read_table(bundled / "datasets" / name / f"{split}.parquet").to_pylist()
    images = [Image.open(io.BytesIO(r["image"]["bytes"])).convert("RGB") for r in rows]
    return images, np.array([r["label"] for r in rows])


class Clip:
    """A checkpoint behind the two calls that the figures need."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = AutoImageProcessor.from_pretrained(folder, backend="pil")

    def pixels(self, images: list[Image.Image]) -> torch.Tensor:
        """[N, 3, S, S] float32 as the image processor makes them."""
        return self.processor(images=[i.convert("RGB") for i in images], return_tensors="pt")["pixel_values"]

    @torch.no_grad()
    def image(self, images: list[Image.Image]) -> tuple[torch.Tensor, np.ndarray]:
        """Projected features [N, D] of unit norm, and features before the projection [N, W]."""
        pooled = self.model.vision_model(pixel_values=self.pixels(images)).pooler_output
        return F.normalize(self.model.visual_projection(pooled), dim=1), pooled.numpy()

    @torch.no_grad()
    def classes(self, names: list[str], templates: list[str]) -> torch.Tensor:
        """[K, D] unit norm: the mean of the normalised embeddings of the templates."""
        texts = [t.format(n) for n in names for t in templates]
        tokens = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        pooled = self.model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
        text = F.normalize(self.model.text_projection(pooled), dim=1)
        return F.normalize(text.view(len(names), len(templates), -1).mean(1), dim=1)


def probe(x: np.ndarray, y: np.ndarray, xv: np.ndarray, yv: np.ndarray, xt: np.ndarray, yt: np.ndarray) -> float:
    """Test accuracy of logistic regression whose strength the validation split chose."""
    best, chosen = -1.0, 0.0
    for c in STRENGTHS:
        fitted = LogisticRegression(C=c, max_iter=1000).fit(x, y)
        if (score := fitted.score(xv, yv)) > best:
            best, chosen = score, float(fitted.score(xt, yt))
    return round(chosen, 4)


def curve(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Mean test accuracy by shots a class, and with all of the training split."""
    (x, y), (xv, yv), (xt, yt) = parts["train"], parts["val"], parts["test"]
    rng = np.random.default_rng(0)
    figures = {}
    for shots in SHOTS:
        if shots > np.bincount(y).min():
            continue
        runs = []
        for _ in range(SEEDS):
            rows = np.concatenate([rng.permutation(np.flatnonzero(y == k))[:shots] for k in np.unique(y)])
            runs.append(probe(x[rows], y[rows], xv, yv, xt, yt))
        figures[str(shots)] = round(float(np.mean(runs)), 4)
    figures["all"] = probe(x, y, xv, yv, xt, yt)
    return figures


def classification(clip: Clip, bundled: Path, name: str) -> dict[str, Any]:
    meta = json.loads((bundled / "datasets" / name / "dataset.json").read_text())
    weights = clip.classes(meta["classnames"], meta["templates"])
    plain = clip.classes(meta["classnames"], ["a photo of a {}."])
    figures: dict[str, Any] = {}
    features, pixels, right, total = {}, {}, 0.0, 0
    for split in ("train", "val", "test"):
        images, labels = load_split(bundled, name, split)
        projected, pooled = clip.image(images)
        features[split] = pooled, labels
        pixels[split] = np.stack([np.asarray(i, dtype=np.float32).ravel() / 255 for i in images]), labels
        predicted = (projected @ weights.T).argmax(1).numpy()
        right, total = right + float((predicted == labels).sum()), total + len(labels)
        if split == "test":
            figures["zero_shot_test"] = round(float((predicted == labels).mean()), 4)
            bare = (projected @ plain.T).argmax(1).numpy()
            figures["zero_shot_test_a_photo_of_a"] = round(float((bare == labels).mean()), 4)
            figures["zero_shot_test_by_class"] = {
                meta["classnames"][k]: round(float((predicted[labels == k] == k).mean()), 3) for k in np.unique(labels)
            }
    figures["zero_shot_all_splits"] = round(right / total, 4)
    figures["probe_test_by_shots"] = curve(features)
    if name == "digits":
        figures["raw_pixels_test_by_shots"] = curve(pixels)
    return figures


@torch.no_grad()
def captioning(clip: Clip, bundled: Path) -> dict[str, Any]:
    """CIDEr of greedy captions, and of the training captions nearest to each test image."""
    from pycocoevalcap.cider.cider import Cider

    folder = bundled / "models" / "tiny-captioner"
    model = VisionEncoderDecoderModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    read = {s: pq.read_table(bundled / "datasets" / "scenes" / f"{s}.parquet").to_pylist() for s in ("train", "test")}
    images = {s: [Image.open(io.BytesIO(r["image"]["bytes"])) for r in rows] for s, rows in read.items()}
    written = tokenizer.batch_decode(model.generate(pixel_values=clip.pixels(images["test"])), skip_special_tokens=True)
    features = {s: clip.image(x)[0] for s, x in images.items()}
    nearest = [read["train"][int(j)]["captions"][0] for j in (features["test"] @ features["train"].T).argmax(1)]
    pool = sorted({text for r in read["train"] for text in r["captions"]})
    by_text = [pool[int(j)] for j in (features["test"] @ clip.classes(pool, ["{}"]).T).argmax(1)]
    references = {i: r["captions"] for i, r in enumerate(read["test"])}
    first = zip(written[:6], read["test"][:6], strict=True)
    examples = [{"written": text, "reference": row["captions"][0]} for text, row in first]
    figures: dict[str, Any] = {"n": len(written), "examples": examples}
    for name, texts in {"tiny-captioner": written, "nearest_image": nearest, "nearest_caption": by_text}.items():
        score, _ = Cider().compute_score(references, {i: [t] for i, t in enumerate(texts)})
        figures[f"cider_{name}"] = round(float(score), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundled", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=["digits", "shapes", "counting", "scenes"])
    args = parser.parse_args()
    clip = Clip(args.bundled / "models" / "tiny-clip")
    figures = json.loads(args.out.read_text()) if args.out.exists() else {}
    for name in args.only:
        figures[name] = captioning(clip, args.bundled) if name == "scenes" else classification(clip, args.bundled, name)
        print(name, json.dumps(figures[name], indent=1), flush=True)
        args.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
