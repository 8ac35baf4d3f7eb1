"""Small repositories in each layout the hub has."""

import io
import json
import tarfile

import numpy as np
from PIL import Image


def png(seed, shift=0, form="PNG"):
    pixels = np.clip(np.random.default_rng(seed).integers(0, 255, (24, 24, 3)) + shift, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
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


def arrow(root, count=6):
    """An Arrow file, in which labels cannot be had without the images."""
    import datasets
    import pyarrow as pa

    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "blue"])})
    rows = {"image": [{"bytes": png(i), "path": None} for i in range(count)], "label": [i % 2 for i in range(count)]}
    table = datasets.Dataset.from_dict(rows, features=kinds).data.table
    (root / "data").mkdir(parents=True)
    path = root / "data" / "test-00000-of-00001.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return root


def webdataset(root, splits, names=(), templates=(), kind=None):
    """What CLIP_benchmark's ``webdataset_builder`` writes with webdataset's ``ShardWriter``.

    `splits` gives for each split its tars, each a list of samples, each a mapping of ending to bytes; `kind` is
    ``retrieval`` or ``multilabel``.
    """
    for split, tars in splits.items():
        (root / split).mkdir(parents=True)
        number = 0
        for part, samples in enumerate(tars):
            with tarfile.open(root / split / f"{part}.tar", "w|") as tar:
                for sample in samples:
                    for ending in sorted(sample):
                        item = tarfile.TarInfo(f"s{number:07d}.{ending}")
                        item.size, item.mtime, item.mode = len(sample[ending]), 1685000000.25, 0o444
                        item.uname = item.gname = "bigdata"
                        tar.addfile(item, io.BytesIO(sample[ending]))
                    number += 1
        (root / split / "nshards.txt").write_text(f"{len(tars)}\n")
    for name, lines in (
        ("classnames.txt", names),
        ("zeroshot_classification_templates.txt", templates),
        ("dataset_type.txt", [kind] if kind else ()),
    ):
        if lines:
            (root / name).write_text("\n".join(lines) + "\n")
    return root


def several(labels):
    """A multi-label ``.npy`` as CLIP_benchmark has it: zeros and ones, float32."""
    buffer = io.BytesIO()
    np.save(buffer, np.array(labels, np.float32))
    return buffer.getvalue()


def shards(root, splits=("train", "test"), tars=1, extra=None, classes=3, kind=None):
    """The same with six samples a tar; `extra` gives the members of a sample in place of an image and its class."""

    def sample(number):
        return extra(number) if extra else {"png": png(number), "cls": str(number % classes).encode()}

    written = {
        split: [[sample(number) for number in range(6 * part, 6 * part + 6)] for part in range(tars)]
        for split in splits
    }
    names = () if kind == "retrieval" else ("red circle", "blue square", "green dog")[:classes]
    templates = () if kind == "retrieval" else ("a photo of {c}.", "an image of the {c}")
    return webdataset(root, written, names, templates, kind)


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
