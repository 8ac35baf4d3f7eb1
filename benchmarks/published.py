"""Makes ``vlmbench/report/published.csv`` from the fact tables: published zero-shot figures by model and dataset.

    python benchmarks/published.py ../shared/facts

Kept: accuracy and mean per class of models with a hub id or an open_clip name, on datasets with a name. A figure's `n`
is the number of test images its source scored, so that it never stands beside a run on another split.
"""

import csv
import sys
from pathlib import Path

TRANSFORMERS = {
    ("ViT-B-32", "openai"): "openai/clip-vit-base-patch32",
    ("ViT-B-16", "openai"): "openai/clip-vit-base-patch16",
    ("ViT-L-14", "openai"): "openai/clip-vit-large-patch14",
    ("ViT-L-14-336", "openai"): "openai/clip-vit-large-patch14-336",
    ("ViT-B-16-SigLIP", "webli"): "google/siglip-base-patch16-224",
    ("ViT-B-16-SigLIP-256", "webli"): "google/siglip-base-patch16-256",
    ("ViT-B-16-SigLIP-384", "webli"): "google/siglip-base-patch16-384",
    ("ViT-B-16-SigLIP-512", "webli"): "google/siglip-base-patch16-512",
    ("ViT-L-16-SigLIP-256", "webli"): "google/siglip-large-patch16-256",
    ("ViT-L-16-SigLIP-384", "webli"): "google/siglip-large-patch16-384",
    ("ViT-SO400M-14-SigLIP-384", "webli"): "google/siglip-so400m-patch14-384",
}
METRICS = {"acc1": "accuracy", "accuracy": "accuracy", "mean_per_class_recall": "mean_per_class_accuracy"}
SOURCES = ("mlfoundations/open_clip", "LAION-AI/CLIP_benchmark", "embeddings-benchmark/results")


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def main():
    facts = Path(sys.argv[1])
    hub = {
        (row["open_clip_model"], row["open_clip_pretrained"]): row["hub_id"] for row in rows_of(facts / "models.csv")
    }
    datasets = {row["name"]: row for row in rows_of(facts / "datasets.csv")}
    found = {}
    for row in rows_of(facts / "published.csv"):
        source = next((name for name in SOURCES if row["source"].startswith(f"{name}@")), None)
        if (
            row["task"] != "zeroshot"
            or row["metric"] not in METRICS
            or source is None
            or row["dataset"] not in datasets
        ):
            continue
        facts_of = datasets[row["dataset"]]
        mteb = source.startswith("embeddings")
        n = facts_of["test_size_mteb" if mteb else "test_size_datacomp"]
        if not n.isdigit():
            continue
        pair = (row["model"], row["pretrained"])
        ids = [row["model"]] if mteb else [TRANSFORMERS.get(pair, ""), hub.get(pair, ""), "open-clip:" + "/".join(pair)]
        value = float(row["value"]) / (100 if row["scale"] == "0-100" else 1)
        key = (" ".join(filter(None, ids)), row["dataset"], METRICS[row["metric"]], n)
        order = SOURCES.index(source)
        if key not in found or order < found[key][0]:
            repository, commit = row["source"].split(":")[0].split("@")
            found[key] = (order, f"{value:.4f}", row["protocol"].split(";")[0], f"{repository}@{commit[:8]}")
    target = Path(__file__).parents[1] / "vlmbench" / "report" / "published.csv"
    with open(target, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["models", "dataset", "metric", "n", "value", "protocol", "source"])
        for key, (_, *rest) in sorted(found.items()):
            writer.writerow([*key, *rest])
    used = {key[1] for key in found}
    with open(target.with_name("published_datasets.csv"), "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["id", "dataset"])
        for name in sorted(used):
            ids = {name, *(datasets[name][column] for column in ("hub_id", "upstream_id", "wds_id"))} - {""}
            writer.writerows([one, name] for one in sorted(ids))
    print(f"{len(found)} figures, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
