"""Every architecture from a checkpoint through the command to a table."""

import csv
import json

import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.encoders.families import BACKBONE, DUAL, FAMILIES

DUALS = ["clip", "clip-gelu", "siglip", "siglip2", "siglip2-naflex", "metaclip2", "altclip", "chinese-clip", "align"]
DUALS += ["blip", "vision-text"]
BACKBONES = ["resnet", "vit", "dinov2", "dinov2-registers", "dinov3", "dinov3-convnext", "deit", "convnext"]
BACKBONES += ["convnextv2", "swin", "swinv2", "regnet", "clip-vision", "siglip-vision", "siglip2-vision"]


@pytest.mark.parametrize(
    ("command", "names", "more"),
    [("zeroshot", DUALS, []), ("linear-probe", BACKBONES, ["--shots", "all", "--c", "1", "--no-figures"])],
)
def test_every_architecture_reaches_the_table(command, names, more, checkpoints, colours, tmp_path):
    types = {json.loads((checkpoints(name) / "config.json").read_text())["model_type"] for name in names}
    kind = DUAL if command == "zeroshot" else BACKBONE
    assert types == {name for name, family in FAMILIES.items() if family.kind == kind}
    models = [word for name in names for word in ("-m", str(checkpoints(name)))]
    common = ["-d", f"folder:{colours}", "-o", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache"), "--json"]
    done = CliRunner().invoke(app, [command, *models, *common, *more])
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)["results"]
    assert {item["system"] for item in results} == {f"random-{name}" for name in names}
    assert all(0 <= item["metrics"]["accuracy"]["value"] <= 1 and item["n"] == 15 for item in results)
    with open(tmp_path / "out" / "tables" / "classification.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["model"] for row in rows} >= {f"random-{name}" for name in names}
