"""What `vlmbench list` shows: names and facts from tables, without importing or downloading anything."""

import os
from pathlib import Path
from typing import Any

from vlmbench.captioners.registry import CAPTIONERS
from vlmbench.data.bundled import bundled_names, open_bundled
from vlmbench.data.catalogue import listed
from vlmbench.data.elsewhere import ELSEWHERE
from vlmbench.data.open import kinds
from vlmbench.encoders.families import BACKBONE, DUAL
from vlmbench.encoders.models import MODELS
from vlmbench.encoders.pixels import NAME as PIXELS
from vlmbench.foundations.paths import user_path
from vlmbench.heads.prompt_sets import SETS
from vlmbench.heads.prompts import DATASET
from vlmbench.heads.spec import heads as head_names
from vlmbench.heads.spec import load_head
from vlmbench.metrics.choice import multilabel_only
from vlmbench.metrics.spec import CaptionSpec, specs
from vlmbench.records.task import task_specs

CAPTIONS = {
    "datasets": "also: group:GROUP, hf:owner/name[@revision][:config][?label=COLUMN], hf:./directory, folder:PATH, "
    "file:PATH; ?stream=yes after a hub dataset's name streams it. Family: linear-probe --test-on family. "
    f"No copy on the hub is known of {', '.join(ELSEWHERE)}: name one to see how to evaluate on it",
    "models": "also: any CLIP, SigLIP …, backbone or captioner by hub id (owner/name@revision), or ./directory; "
    "asif:VISION+TEXT@ANCHORS; with the extras open-clip:ARCH/PRETRAINED and timm:NAME. Hub ids: --json or 120 columns",
    "metrics": "fractions are 0 to 1 in JSON and records, CIDEr 0 to 10; tables show 100 times that. Usual: scored "
    "without --metrics. What each is blind to, its range and source: --json",
    "tasks": "each is a command, and a table in a plan for vlmbench run. Metrics: --json",
    "heads": "for vlmbench linear-probe --head; other packages add heads by entry points in the group vlmbench.heads",
    "prompts": "imagenet is another name for clip80. Also: a file (.txt, one template per line; .json: a list, an "
    "object of class names, or one of datasets as in CLIP_benchmark), or a template such as 'a photo of a {}.'",
}

_KINDS = {
    DUAL: "Dual encoders: zeroshot, retrieval, linear-probe",
    BACKBONE: "Image backbones: linear-probe",
    "captioner": "Captioners: caption, caption-eval",
}


def datasets() -> list[dict[str, Any]]:
    """One row per named dataset."""
    rows = []
    for name in bundled_names():
        facts = open_bundled(name).facts
        rows.append(
            {
                "name": name,
                "group": facts.get("group", ""),
                "classes": len(facts.get("classnames", ())) or None,
                "metric": facts.get("metric", ""),
                "family": "",
                "where": "bundled with vlmbench",
                "revision": "",
            }
        )
    for name, entry in listed().items():
        rows.append(
            {
                "name": name,
                "group": "|".join((entry.group, *entry.tags)),
                "classes": entry.classes,
                "metric": entry.metric,
                "family": entry.family or "",
                "where": entry.hub_id,
                "revision": (entry.revision or "")[:8],
            }
        )
    nothing = {"group": "", "classes": None, "metric": "", "family": "", "revision": ""}
    return [*rows, *({**nothing, "name": f"{kind}:…", "where": it.source} for kind, it in kinds().added.items())]


def models() -> list[dict[str, Any]]:
    """One row per named model."""
    pixels = {
        "name": PIXELS,
        "kind": BACKBONE,
        "parameters": 0,
        "width": None,
        "here": True,
        "about": "no model: raw pixels, the baseline that a probe should beat",
        "id": "",
    }
    encoders = [
        {
            "name": entry.alias,
            "kind": entry.kind,
            "parameters": entry.parameters,
            "width": entry.width,
            "here": _here(entry.hub_id),
            "about": entry.about,
            "id": entry.hub_id,
        }
        for entry in MODELS.values()
    ]
    captioners = [
        {
            "name": alias,
            "kind": "captioner",
            "parameters": None,
            "width": None,
            "here": _here(captioner.hub_id),
            "about": captioner.about,
            "id": captioner.hub_id,
        }
        for alias, captioner in CAPTIONERS.items()
    ]
    return [pixels, *encoders, *captioners]


def parts(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The models grouped by kind, each group with a heading."""
    return [(heading, [row for row in rows if row["kind"] == kind]) for kind, heading in _KINDS.items()]


def metrics() -> list[dict[str, Any]]:
    """One row per metric, with how to read it, what it is blind to, and whether it is scored by default."""
    return [
        {
            "name": spec.name,
            "of": spec.family + (", multi-label" if multilabel_only(spec.name) else ""),
            "what": spec.definition,
            "usual": spec.usual if isinstance(spec, CaptionSpec) else None,
            "range": list(spec.range),
            "better": "higher" if spec.higher_is_better else "lower",
            "blind_to": spec.blind_to,
            "source": spec.source,
        }
        for spec in specs().values()
    ]


def heads() -> list[dict[str, Any]]:
    """One row per head."""
    return [
        {
            "name": name,
            "what": spec.definition,
            "settings": ", ".join(
                f"{key} {'chosen' if value is None else value}" for key, value in spec.settings.items()
            ),
            "source": spec.source,
        }
        for name, spec in ((name, load_head(name)) for name in head_names())
    ]


def prompts() -> list[dict[str, Any]]:
    """One row per prompt set."""
    rows = [{"name": name, "templates": len(items), "first": items[0]} for name, items in SETS.items()]
    return [
        *rows,
        {"name": DATASET, "templates": None, "first": "the dataset's own, else those of its clip-benchmark copy"},
    ]


def tasks() -> list[dict[str, Any]]:
    """One row per task, with its metrics and what the gate compares."""
    return [
        {
            "name": spec.name,
            "what": spec.definition,
            "metrics": [metric.name for metric in specs().values() if metric.family == spec.family],
            "gated": {"main": "its main metric", "all": "all of its metrics", "none": ""}[spec.gated],
        }
        for spec in task_specs()
    ]


def _here(hub_id: str) -> bool:
    """Whether a model is in the hub's cache on this machine (or ships with the package)."""
    if not hub_id:
        return True
    home = Path(os.environ.get("HF_HOME") or user_path("~/.cache/huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    return snapshots.is_dir() and any(snapshots.glob("*/config.json"))
