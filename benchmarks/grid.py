"""A grid of 2 models x 3 datasets x (zero-shot + probe), beside CLIP_benchmark 1.6.2; cold, and warm.

    pip install 'vlmbench-eval[open-clip]' clip-benchmark==1.6.2 requests 'numpy<2.4'
    python benchmarks/grid.py

Both sides read the same WebDatasets (train and test, class names, templates, as CLIP_benchmark exports them) and the
same checkpoints of open_clip (random weights), in fp32, in processes of their own, from start to results. Ours is one
``vlmbench run`` of a plan, cold with an empty cache, then warm: the same command again. Theirs is one
``clip_benchmark eval`` of zero-shot over the grid, and a script that takes features by CLIP_benchmark's loaders and its
`Featurizer` for the probe: its own asks for a GPU, so the probe is scikit-learn's `LogisticRegression` (defaults, 1,000
iterations), searched over the same strengths on the same share of the training images. Their features of one model and
dataset are taken once, and models are loaded once for all datasets, which `clip_benchmark eval` does not do. On NumPy
2.4 and newer that ends with a TypeError.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.rows import Row

ARCHITECTURES = ("ViT-S-32", "ViT-M-32")
DATASETS = {"shades": 10, "blots": 20, "grains": 37}
"""Classes of each."""
TARS = 4
"""Of each split: CLIP_benchmark reads a tar in each of its four workers."""
TEMPLATES = ("a photo of a {c}.", "a blurry photo of a {c}.", "a drawing of a {c}.", "a close-up of the {c}.")
TEST = """
import sys
from clip_benchmark.cli import main
main()
"""
PROBE = """
import json, sys, warnings
import numpy as np, torch
from sklearn.linear_model import LogisticRegression
from clip_benchmark.datasets.builder import build_dataset
from clip_benchmark.metrics.linear_probe import Featurizer
from clip_benchmark.models import load_clip
warnings.simplefilter("ignore")
root, weights, names, archs = sys.argv[1], *map(json.loads, sys.argv[2:5])
found = {}
for arch in archs:
    model, transform, _ = load_clip("open_clip", arch, weights[arch], None, "cpu")
    featurizer = Featurizer(model.eval(), normalize=False)
    for name in names:
        x, y = {}, {}
        for split in ("train", "test"):
            data = build_dataset("wds/" + name, root=f"{root}/{name}", transform=transform, split=split)
            loader = torch.utils.data.DataLoader(data.batched(64), batch_size=None, num_workers=int(sys.argv[5]))
            parts = []
            with torch.no_grad():
                for images, labels in loader:
                    parts.append((featurizer(images).numpy(), np.asarray(labels)))
            x[split], y[split] = (np.concatenate(column) for column in zip(*parts))
        held = np.random.default_rng(0).random(len(y["train"])) < 0.2
        def fit(c):
            probe = LogisticRegression(C=c, max_iter=1000).fit(x["train"][~held], y["train"][~held])
            return probe.score(x["train"][held], y["train"][held]), -c, probe
        scores = {power: fit(10.0**power) for power in range(-6, 7, 2)}
        step = 1.0
        while step >= 0.125:  # to 8 steps per decade, as A.3 of Radford et al. 2021
            peak = max(scores, key=lambda power: scores[power][:2])
            for power in (peak - step, peak + step):
                if -6 <= power <= 6 and power not in scores:
                    scores[power] = fit(10.0**power)
            step /= 2
        found[f"{arch} {name}"] = max(scores.values(), key=lambda item: item[:2])[2].score(x["test"], y["test"])
print(json.dumps(found))
"""


def dataset(root: Path, name: str, classes: int, images: dict[str, int]) -> None:
    """A WebDataset of coloured noise, a hue and a grain for each class."""
    generator = np.random.default_rng(classes)
    hues = generator.integers(40, 216, (classes, 3))
    for split, count in images.items():
        folder = root / name / split
        folder.mkdir(parents=True)
        for tar_number in range(TARS):
            with tarfile.open(folder / f"{tar_number}.tar", "w") as tar:
                for number in range(tar_number, count, TARS):
                    label = number % classes
                    noise = generator.normal(0, 30, (12 + label % 5, 16, 3)) + hues[label]
                    buffer = io.BytesIO()
                    picture = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
                    picture.resize((300, 200), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
                    for ending, data in (("cls", b"%d" % label), ("jpg", buffer.getvalue())):
                        item = tarfile.TarInfo(f"s{number:07d}.{ending}")
                        item.size = len(data)
                        tar.addfile(item, io.BytesIO(data))
        (folder / "nshards.txt").write_text(f"{TARS}\n")
    (root / name / "classnames.txt").write_text("".join(f"kind {number}\n" for number in range(classes)))
    (root / name / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES) + "\n")


def checkpoints(root: Path, archs: tuple[str, ...]) -> dict[str, str]:
    """A file of random weights for each architecture."""
    import open_clip
    import torch

    torch.manual_seed(0)
    found = {}
    for arch in archs:
        found[arch] = str(root / f"{arch}.pt")
        torch.save(open_clip.create_model(arch).state_dict(), found[arch])
    return found


def seconds(command: list[str], folder: Path) -> tuple[float, str]:
    """Wall time of a process, and what it printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # both sides are compiled once, as where they are installed
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[:6]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return time.perf_counter() - begun, done.stdout


def measured(archs: tuple[str, ...], names: dict[str, int], images: dict[str, int]) -> dict[str, float | str]:
    """Seconds of each side, and how far their accuracies are apart."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name, classes in names.items():
            dataset(root, name, classes, images)
        weights = checkpoints(root, archs)
        models = [f"open-clip:{arch}/{path}" for arch, path in weights.items()]
        rows = {"model": models, "dataset": [f"hf:{root / name}" for name in names]}
        lines = [f"{key} = {json.dumps(value)}" for key, value in rows.items()]
        plan = root / "plan.toml"
        plan.write_text(
            "\n".join(
                ["[[zeroshot]]", *lines, 'prompts = "dataset"', "[[linear-probe]]", *lines, 'features-layer = "proj"']
            )
            + "\n"
        )
        program = [sys.executable, "-m", "vlmbench"]
        seconds([*program, "--version"], root)
        run = [*program, "run", str(plan), "--json", "--cache-dir", str(root / "cache"), "--out", str(root / "out")]
        cold, printed = seconds(run, root)
        print(f"ours, cold: {cold:.1f} s", flush=True)
        eval_ = [sys.executable, "-c", TEST, "eval", "--task", "zeroshot_classification", "--no_amp", "--quiet"]
        eval_ += ["--pretrained_model", *(f"{arch},{path}" for arch, path in weights.items())]
        eval_ += ["--dataset", *(f"wds/{name}" for name in names), "--dataset_root", f"{root}/{{dataset}}"]
        zeroshot, _ = seconds([*eval_, "--output", "{dataset}_{model}.json"], root)
        print(f"their zero-shot: {zeroshot:.1f} s", flush=True)
        probe = [sys.executable, "-c", PROBE, str(root), *map(json.dumps, (weights, [*names], archs)), "4"]
        probed, other = seconds(probe, root)
        print(f"their probe: {probed:.1f} s", flush=True)
        warm, again = min((seconds(run, root) for _ in range(3)), key=lambda one: one[0])
        start = min(seconds([*program, "--version"], root)[0] for _ in range(3))
        ours = [(item["task"], item["metrics"]["accuracy"]["value"]) for item in json.loads(printed)["results"]]
        same = [item["metrics"] for item in json.loads(again)["results"]]
        if same != [item["metrics"] for item in json.loads(printed)["results"]]:
            raise SystemExit("the warm run gave other figures than the cold one")
        theirs = {
            "zeroshot": [
                json.loads((root / f"{name}_{arch}.json").read_text())["metrics"]["acc1"]
                for arch in archs
                for name in names
            ],
            "linear-probe": list(json.loads(other.splitlines()[-1]).values()),
        }
    apart = {
        task: float(np.abs(np.sort([v for kind, v in ours if kind == task]) - np.sort(values)).max())
        for task, values in theirs.items()
    }
    note = f"largest difference in accuracy: zero-shot {apart['zeroshot']:.4f}, probe {apart['linear-probe']:.4f}"
    return {"cold": cold, "warm": warm, "start": start, "zeroshot": zeroshot, "probe": probed, "note": note}


def rows(quick: bool) -> Iterator[Row]:
    """Cold, and warm beyond start-up."""
    sizes = ((ARCHITECTURES[:1], {"shades": 10}, {"train": 60, "test": 30}) if quick else
             (ARCHITECTURES, DATASETS, {"train": 100, "test": 60}))  # fmt: skip
    found = measured(*sizes)
    what = f"{len(sizes[0])} models x {len(sizes[1])} datasets x (zero-shot + probe)"
    theirs = float(found["zeroshot"]) + float(found["probe"])
    command = "python benchmarks/grid.py"
    yield Row(
        f"{what}, cold", float(found["cold"]), theirs, "s", "CLIP_benchmark's zero-shot, scikit-learn on its features",
        command, target=None if quick else 5.0,
        note=f"theirs: zero-shot {found['zeroshot']:.0f} s, probe {found['probe']:.0f} s; {found['note']}",
    )  # fmt: skip
    beyond = float(found["warm"]) - float(found["start"])
    yield Row(
        f"{what}, warm: the same command again, beyond start-up (`--version`)", beyond, 2.0, "s",
        "what was allowed", command, target=None if quick else 1.0,
        note=f"{found['warm']:.2f} s, of them {found['start']:.2f} s of start-up; no model is loaded; theirs stores "
        f"nothing, so {theirs / float(found['warm']):.0f} times as fast",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one model, one dataset, few images")
    for row in rows(parser.parse_args().quick):
        print(f"{row.name}: {row.ours:.1f} s; {row.against}: {row.theirs:.1f} s; ratio {row.ratio:.1f}; {row.note}")


if __name__ == "__main__":
    main()
