"""Small repositories in each layout the hub has."""

import io
import json
import tarfile

import numpy as np
from PIL import Image


def png(seed, shift=0):
    pixels = np.clip(np.random.default_rng(seed).integers(0, 255, (24, 24, 3)) + shift, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(root, splits=(("train", 8), ("test", 6)), files=1, group=None, **columns):
    """Parquet files of a split each, or of `files` parts, with row groups of `group` rows."""
    import datasets

    datasets.disable_progress_bars()
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "blue"])}
    features = datasets.Features({**kinds, **{name: kind for name, (kind, _) in columns.items()}})
    (root / "data").mkdir(parents=True, exist_ok=True)
    for split, count in splits:
        for part in range(files):
            numbers = range(part * count // files, (part + 1) * count // files)
            rows = {
                "image": [{"bytes": png(i), "path": f"{i}.png" if files > 1 else None} for i in numbers],
                "label": [i % 2 for i in numbers],
                **{name: [value(i) for i in numbers] for name, (_, value) in columns.items()},
            }
            table = datasets.Dataset.from_dict(rows, features=features)
            table.to_parquet(root / "data" / f"{split}-{part:05d}-of-{files:05d}.parquet", batch_size=group)
    return root


def shards(root, splits=("train", "test"), tars=1, extra=None, classes=3):
    """WebDataset shards, with class names and templates beside them; `extra` gives further members of a sample."""
    for split in splits:
        (root / split).mkdir(parents=True)
        for part in range(tars):
            with tarfile.open(root / split / f"{part}.tar", "w") as tar:
                for number in range(6 * part, 6 * part + 6):
                    members = {"png": png(number), "cls": str(number % classes).encode()}
                    for ending, data in (extra(number) if extra else members).items():
                        item = tarfile.TarInfo(f"s{number:04d}.{ending}")
                        item.size = len(data)
                        tar.addfile(item, io.BytesIO(data))
    names = ("red circle", "blue square", "green dog")[:classes]
    (root / "classnames.txt").write_text("\n".join(names) + "\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of {c}.\nan image of the {c}\n")
    return root


def pictures(root):
    """Images in folders named after their classes."""
    for split in ("train", "test"):
        for place, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for number in range(2):
                (root / split / name / f"{number}.png").write_bytes(png(place * 2 + number))
    return root


def captioned(root):
    """Images with captions in a metadata.jsonl."""
    (root / "test").mkdir(parents=True)
    lines = []
    for number in range(4):
        (root / "test" / f"{number}.png").write_bytes(png(number))
        lines.append(
            json.dumps({"file_name": f"{number}.png", "captions": [f"a photo of {w} dog" for w in ("a", "the")]})
        )
    (root / "test" / "metadata.jsonl").write_text("\n".join(lines))
    return root
