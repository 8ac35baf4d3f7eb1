"""The preparation of images in plain numbers: bit by bit what transformers' own processors give."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vlmbench.encoders.processors import Processor

CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SQUARE = {"height": 224, "width": 224}
SETTINGS = {
    "CLIP": {"size": {"shortest_edge": 224}, "crop_size": SQUARE, "resample": 3, **CLIP},
    "Siglip": {"size": SQUARE, "resample": 3, **HALF},
    "ViT": {"size": SQUARE, "resample": 2, **HALF},
    "ConvNext": {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3, **IMAGENET},  # ResNet's
    "Bit": {"size": {"shortest_edge": 256}, "crop_size": SQUARE, "resample": 3, **IMAGENET},  # DINOv2's
    "DeiT": {"size": {"height": 256, "width": 256}, "crop_size": SQUARE, "resample": 3, **IMAGENET},
    "Blip": {"size": {"height": 384, "width": 384}, "resample": 3, **CLIP},
}
SIZES = [(300, 200), (200, 301), (32, 32), (7, 64), (1000, 90), (224, 224), (255, 257)]


def processor(tmp_path, kind, **settings):
    facts = {"image_processor_type": f"{kind}ImageProcessor", **settings}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(facts))
    return Processor(SimpleNamespace(id="x", directory=tmp_path, own_code=None))


def images():
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (h, w, 3), np.uint8)) for w, h in SIZES]


@pytest.mark.parametrize("kind", SETTINGS)
def test_pixels_are_bit_by_bit_those_of_transformers(kind, tmp_path):
    import torch

    prepare = processor(tmp_path, kind, **SETTINGS[kind])
    assert prepare.resizing is not None
    for image in images():
        theirs = np.asarray(prepare.processor(images=image, return_tensors="np")["pixel_values"][0], np.float32)
        assert prepare(image).tobytes() == np.ascontiguousarray(theirs).tobytes()
        assert prepare.resizing(image).dtype == np.uint8
    small = np.stack([prepare.resizing(image) for image in images()])
    wide = np.stack([prepare(image) for image in images()])
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        one, other = (prepare.inputs(batch, torch.device("cpu"), dtype)["pixel_values"] for batch in (small, wide))
        assert one.dtype == dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("CLIP", {"size": {"shortest_edge": 224}, "do_center_crop": False}),  # the shape depends on the image
        ("EfficientNet", {"size": SQUARE, "rescale_offset": True, "include_top": True, "resample": 0}),
    ],
)
def test_a_processor_that_does_something_else_does_it_itself(kind, settings, tmp_path):
    prepare = processor(tmp_path, kind, **settings)
    for image in images()[:3]:
        theirs = prepare.processor(images=image, return_tensors="np")["pixel_values"][0]
        assert prepare(image).tobytes() == np.ascontiguousarray(theirs, np.float32).tobytes()
    if kind == "CLIP":
        assert prepare.resizing is None
