"""Carries the fact tables over into the package: ``python -m benchmarks.facts.carry FACTS_DIRECTORY``.

Nothing is made up on the way: what the facts lack stays empty. Written are ``vlmbench/data/datasets.csv``,
``vlmbench/data/captioned.csv`` and ``vlmbench/encoders/models.csv``.
"""

import csv
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "vlmbench"

GROUPS = {
    "fine_grained": "fine-grained",
    "general": "natural",
    "counting_systematic": "abstract",
    "specialised": "specialised",
    "ocr": "text",
    "imagenet": "imagenet",
    "imagenet_variant": "imagenet-variants",
}
METRICS = {
    "accuracy": "accuracy",
    "mean_per_class": "mean_per_class_accuracy",
    "map11": "map11",
    "mean_average_precision": "map",
    "roc_auc": "roc_auc",
}
# Few patches or slides in practice are tumours: what is reported of such binary sets is the area under the ROC curve,
# which needs no threshold and does not move with the share of positives (Veeling et al. 2018; HatefulMemes likewise).
# The sources of the facts score PatchCamelyon by accuracy (ELEVATER's yaml, DataComp), which every binary set's record
# still holds beside it; their figures stand in metric_in_source and published.csv.
MAIN_METRIC = {"patch_camelyon": "roc_auc", "camelyon17": "roc_auc"}
# Sets with the classes of the first (or some of them) that shift from it: Taori et al. 2020; Radford et al. 2021, 3.3.
SHIFTS = {
    "imagenet": ("imagenet1k", "imagenetv2", "imagenet_sketch", "imagenet-a", "imagenet-r", "objectnet"),
    "cifar10": ("cifar10", "cinic10"),
    "digits": ("mnist", "svhn", "usps"),
}
# Members that the facts lack, from a public page each; CIFAR-10.1's copy on the hub has no files, and of CIFAR-10.2, of
# Camelyon17 by hospital and of iWildCam by camera none was found.
SHIFTED_ELSEWHERE = [
    {
        "name": "cinic10",
        "group": "natural",
        "hub_id": "flwrlabs/cinic10",
        "revision": "44c23bab233087df95aad862c5b6fa0e5e6030cf",
        "train_split": "train",
        "test_split": "test",
        "image_column": "image",
        "label_column": "label",
        "classes": "10",
        "test_size": "90000",
        "source": "https://huggingface.co/datasets/flwrlabs/cinic10/commit/44c23bab233087df95aad862c5b6fa0e5e6030cf",
    },
    {
        "name": "usps",
        "group": "text",
        "hub_id": "flwrlabs/usps",
        "train_split": "train",
        "test_split": "test",
        "classes": "10",
        "source": "https://flower.ai/docs/datasets/recommended-fl-datasets.html",
    },
]
FAMILIES = {
    "openai/clip": "CLIP",
    "laion/CLIP-ViT": "CLIP, OpenCLIP",
    "google/siglip2": "SigLIP 2",
    "google/siglip": "SigLIP",
    "kakaobrain/align": "ALIGN",
    "Salesforce/blip-itm": "BLIP, matching head",
    "facebook/metaclip-2": "MetaCLIP 2",
    "facebook/dinov2": "DINOv2",
    "facebook/dinov3": "DINOv3",
    "facebook/webssl-dino": "Web-SSL DINOv2",
}
# The facts give the width of a tower here; what vlmbench compares is the shared space, as transformers configures it.
WIDTHS = {
    "ALIGN": ("640", "transformers 5.23.0 AlignConfig.projection_dim"),
    "BLIP, matching head": ("256", "transformers 5.23.0 BlipConfig.image_text_hidden_size"),
}
# Sources other than the facts name these; they state no revision and no size, and no width but where one stands here.
NAMED_ELSEWHERE = [
    ("resnet-50", "microsoft/resnet-50", "backbone", "", "ResNet-50, ImageNet-1k", "resnet"),
    ("vit-base-patch16-224", "google/vit-base-patch16-224", "backbone", "", "ViT-B/16, ImageNet-21k, then 1k", "vit"),
    ("convnext-tiny-224", "facebook/convnext-tiny-224", "backbone", "", "ConvNeXt-T, ImageNet-1k", "convnext"),
    (
        "swin-tiny-patch4-window7-224",
        "microsoft/swin-tiny-patch4-window7-224",
        "backbone",
        "",
        "Swin-T, ImageNet-1k",
        "swin",
    ),
    ("altclip", "BAAI/AltCLIP", "dual-encoder", "", "AltCLIP", "altclip"),
    (
        "chinese-clip-vit-base-patch16",
        "OFA-Sys/chinese-clip-vit-base-patch16",
        "dual-encoder",
        "",
        "Chinese-CLIP ViT-B/16",
        "chinese_clip",
    ),
    (
        "metaclip-2-worldwide-huge-quickgelu",
        "facebook/metaclip-2-worldwide-huge-quickgelu",
        "dual-encoder",
        "",
        "MetaCLIP 2 ViT-H/14",
        "metaclip_2",
    ),
    (
        "siglip2-base-patch16-naflex",
        "google/siglip2-base-patch16-naflex",
        "dual-encoder",
        "768",
        "SigLIP 2 NaFlex",
        "siglip2",
    ),
    (
        "metaclip-b32-400m",
        "facebook/metaclip-b32-400m",
        "dual-encoder",
        "",
        "MetaCLIP ViT-B/32",
        "facebookresearch/MetaCLIP@00c39e82919c5f1cd42c59db0a0aa4d6d901ea62:README.md",
    ),
    (
        "dinov3-convnext-tiny-pretrain-lvd1689m",
        "facebook/dinov3-convnext-tiny-pretrain-lvd1689m",
        "backbone",
        "768",
        "DINOv3 ConvNeXt",
        "dinov3_convnext",
    ),
]
"""Alias, hub id, kind, width, what it is, and its source: a page of transformers' models, or a place."""


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(path.relative_to(PACKAGE.parent), len(rows))


def datasets(facts: Path) -> list[dict[str, str]]:
    rows = []
    for fact in read(facts / "datasets.csv"):
        copies = [
            (fact["name"], fact["hub_id"], fact["revision"], fact["train_split"], fact["test_split"]),
            (f"wds/{fact['name']}", fact["wds_id"], "", "", ""),
            (f"datacomp/{fact['name']}", fact["datacomp_id"], "", "", ""),
        ]
        # a copy whose source lists ids only serves where there is no other
        present = [copy for copy in copies if copy[1]] or [(fact["name"], fact["unibench_id"], "", "", "")]
        present = [copy for copy in present if copy[1]]
        for place, (name, hub_id, revision, train, test) in enumerate(present):
            pinned = hub_id == fact["hub_id"]
            metric = MAIN_METRIC.get(fact["name"]) or METRICS.get(fact["metric"], "accuracy")
            # CLIP_benchmark's VOC2007 is objects cut out of the images, a class each, and scored by acc1
            cut_out = not pinned and metric == "map11" and fact["metric_clip_benchmark"].startswith("acc1")
            tags = [tag for tag, column in (("clip27", "in_clip27"), ("vtab", "vtab19")) if fact[column] == "1"]
            rows.append(
                {
                    "name": fact["name"] if place == 0 else name,
                    "group": GROUPS[fact["group"]],
                    "tags": "|".join(tags) if place == 0 else "",
                    "hub_id": hub_id,
                    "revision": revision,
                    "train_split": train,
                    "test_split": test,
                    "image_column": fact["image_column"] if pinned else "",
                    "label_column": fact["label_column"] if pinned else "",
                    "classes": fact["num_classes"],
                    "test_size": fact["test_size_mteb" if pinned else "test_size_datacomp"],
                    "metric": "accuracy" if cut_out else metric,
                    "metric_in_source": fact["metric"],
                    "wds_id": fact["wds_id"],
                    "metric_source": fact["metric_source"],
                    "source": fact["source"],
                    "note": fact["note"],
                }
            )
    rows += [{**dict.fromkeys(rows[0], ""), "metric": "accuracy", **row} for row in SHIFTED_ELSEWHERE]
    for row in rows:
        row["family"] = next((name for name, members in SHIFTS.items() if row["name"] in members), "")
    return rows


def captioned(facts: Path) -> list[dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for fact in read(facts / "captions.csv"):
        usable = (
            fact["hub_id"]
            and fact["image_column"]
            and fact["caption_form"] in {"list", "five_columns", "newline_separated"}
        )
        if not usable or fact["purpose"] == "compositionality" or "per language" in fact["split"]:
            continue
        name = fact["name"] if fact["name"] not in rows else f"{fact['hub_id'].split('/')[0].lower()}/{fact['name']}"
        if name in rows:
            rows[name]["splits"] += "|" + fact["split"] if fact["hub_id"] == rows[name]["hub_id"] else ""
            continue
        rows[name] = {
            "name": name,
            "hub_id": fact["hub_id"],
            "revision": fact["revision"],
            "splits": fact["split"],
            "image_column": fact["image_column"],
            "caption_column": fact["caption_column"],
            "form": fact["caption_form"],
            "id_column": fact["id_column"],
            "images": fact["n_images"],
            "source": fact["source"],
            "note": fact["note"],
        }
    return list(rows.values())


def models(facts: Path) -> list[dict[str, str]]:
    rows = {
        "tiny-clip": {
            "alias": "tiny-clip",
            "hub_id": "",
            "revision": "",
            "kind": "dual-encoder",
            "parameters": "1332097",
            "width": "128",
            "about": "CLIP, small, ships with vlmbench: digits, letters, shapes",
            "source": "vlmbench/bundled/models/tiny-clip",
        }
    }
    for fact in read(facts / "models.csv"):
        about = next((text for start, text in FAMILIES.items() if fact["hub_id"].startswith(start)), None)
        if about is None or not fact["revision"] or fact["kind"] == "captioner":
            continue
        alias = fact["hub_id"].split("/")[1].lower()
        width, why = WIDTHS.get(about, (fact["embed_dim"], ""))
        rows.setdefault(
            alias,
            {
                "alias": alias,
                "hub_id": fact["hub_id"],
                "revision": fact["revision"],
                "kind": fact["kind"].replace("_", "-"),
                "parameters": fact["params"] if fact["params"].isdigit() else "",
                "width": width,
                "about": about,
                "source": fact["source"] + (f" ; width: {why}" if why else ""),
            },
        )
    for alias, hub_id, kind, width, about, where in NAMED_ELSEWHERE:
        rows.setdefault(
            alias,
            {
                "alias": alias,
                "hub_id": hub_id,
                "revision": "",
                "kind": kind,
                "parameters": "",
                "width": width,
                "about": about,
                "source": where if "/" in where else f"transformers 5.23.0: models/{where}/configuration_{where}.py",
            },
        )
    return list(rows.values())


if __name__ == "__main__":
    source = Path(sys.argv[1])
    write(PACKAGE / "data" / "datasets.csv", datasets(source))
    write(PACKAGE / "data" / "captioned.csv", captioned(source))
    write(PACKAGE / "encoders" / "models.csv", models(source))
