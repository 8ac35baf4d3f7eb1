"""A package that adds a model family by an entry point: commands use it, and vlmbench is not touched."""

import json
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent / "sample_package"


@pytest.fixture
def model(tmp_path) -> Path:
    """A checkpoint of the sample's family, whose weights put each colour beside its word."""
    import torch
    from safetensors.torch import save_file

    directory = tmp_path / "my-colours"
    directory.mkdir()
    files = {
        "config.json": {"model_type": "colour_words", "width": 3},
        "preprocessor_config.json": {},
        "tokenizer.json": ["red", "green", "blue"],
    }
    for name, value in files.items():
        (directory / name).write_text(json.dumps(value))
    weights = {"image.weight": torch.eye(3), "image.bias": torch.full((3,), 0.3), "text.weight": torch.eye(3)}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def test_zero_shot_and_probe_use_it(model, colours, tmp_path, with_package):
    common = ["-m", model, "-d", f"folder:{colours}", "-o", tmp_path, "--cache-dir", tmp_path / "cache", "--json"]
    (zero,) = json.loads(with_package(SAMPLE, "zeroshot", *common))["results"]
    assert (zero["system"], zero["metrics"]["accuracy"]["value"]) == ("my-colours", 1.0)
    record = json.loads((Path(zero["path"]) / "result.json").read_text())
    assert (record["model"]["kind"], record["protocol"]["logit_scale"]) == ("dual-encoder", 20.0)
    probe = ["linear-probe", *common, "--features-layer", "proj", "--shots", "1", "--seeds", "2", "--c", "1"]
    (few,) = json.loads(with_package(SAMPLE, *probe))["results"]
    assert few["metrics"]["accuracy"]["value"] > 0.9
    assert "0 images encoded, 15 from the store" in with_package(SAMPLE, *probe[:-4], "--c", "2", stream="stderr")


def test_it_is_what_contributing_says():
    """One file with a class and a FAMILY, and an entry point named as the model_type."""
    said = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8").partition("**a model family**")[2]
    facts = (SAMPLE / "sample_models-1.0.dist-info" / "entry_points.txt").read_text("utf-8")
    group, entry = facts.split()[0], facts.split("\n")[1]
    assert group.strip("[]") in said
    assert "`tests/encoders/sample_package`" in said
    (file,) = SAMPLE.glob("*.py")
    assert entry == f"colour_words = {file.stem}:FAMILY"


def test_without_the_package_the_architecture_is_unknown(model, colours, tmp_path, with_package):
    said = with_package(tmp_path, "zeroshot", "-m", model, "-d", f"folder:{colours}", code=3, stream="stderr")
    assert "no adapter for the architecture 'colour_words'" in said


ADAPTER = """
import numpy as np
from vlmbench.encoders.families import BACKBONE, DUAL, Family
FAMILY = Family("colour_words", BACKBONE, "broken:Encoder", ("pre_proj",))
CLIP = Family("clip", BACKBONE, "broken:Encoder", ("pre_proj",))
ABSENT = Family("colour_words", BACKBONE, "broken:Absent", ("pre_proj",))
OTHER = 3
class Encoder:
    layers = ("pre_proj",)
    def __init__(self, files, device, precision, reporter): {init}
    def preprocess(self, image): return np.zeros(3, np.float32)
    def encode_images(self, pixels): return {features}
"""
WHOLE = "{'pre_proj': pixels}"


@pytest.mark.parametrize(
    ("entry", "init", "features", "words"),
    [
        ("colour_words = broken:NOTHING", "pass", WHOLE, "cannot be loaded: AttributeError"),
        ("colour_words = broken:OTHER", "pass", WHOLE, "is not a Family of that name"),
        ("sounds = broken:FAMILY", "pass", WHOLE, "sounds of broken (broken:FAMILY): it is not a Family of that name"),
        ("clip = broken:CLIP", "pass", WHOLE, "clip of broken (broken:CLIP): vlmbench has a model family of this name"),
        ("colour_words = broken:Family('x', 'sound', 'y', ())", "pass", WHOLE, "cannot be loaded"),
        ("colour_words = broken:ABSENT", "pass", WHOLE, "cannot load"),
        ("colour_words = broken:FAMILY", "raise KeyError('width')", WHOLE, "KeyError: 'width'"),
        ("colour_words = broken:FAMILY", "self.layers = ('proj',)", WHOLE, "it has the layers proj"),
        ("colour_words = broken:FAMILY", "pass", "1 / 0", "failed in encode_images: ZeroDivisionError"),
        ("colour_words = broken:FAMILY", "pass", "{'pre_proj': pixels[:1]}", "it gave pre_proj [1, 3] for"),
        ("colour_words = broken:FAMILY", "pass", "{'proj': pixels}", "it gave proj ["),
    ],
)
def test_a_mistake_is_said_of_the_package(
    entry, init, features, words, model, colours, tmp_path, with_package, broken_package
):
    package = broken_package(f"[vlmbench.models]\n{entry}\n", ADAPTER.format(init=init, features=features))
    line = ["linear-probe", "-m", model, "-d", f"folder:{colours}", "--shots", "all", "--c", "1", "-o", tmp_path / "o"]
    said = with_package(package, *line, "--cache-dir", tmp_path / "cache", code=3, stream="stderr")
    said = " ".join(said.split())
    assert words in said
    assert "broken:" in said
