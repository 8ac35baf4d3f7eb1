"""The two checkpoints: what they are, what they weigh, and that they do what their cards say."""

import json
import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F

LIMIT = 8_000_000


def header(path):
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length))


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-captioner"])
def test_a_model_is_small_and_nothing_but_safetensors(bundled, name):
    folder = bundled / "models" / name
    files = sorted(p.name for p in folder.iterdir())
    assert sum(p.stat().st_size for p in folder.iterdir()) < LIMIT
    assert [f for f in files if f.endswith((".bin", ".pt", ".pkl", ".ckpt", ".py"))] == []
    assert {"config.json", "model.safetensors", "tokenizer.json", "preprocessor_config.json", "README.md"} <= set(files)
    tensors = {k: v for k, v in header(folder / "model.safetensors").items() if k != "__metadata__"}
    assert {t["dtype"] for t in tensors.values()} == {"F16"}
    assert sum(int(np.prod(t["shape"])) for t in tensors.values()) > 1_000_000


def test_everything_bundled_stays_under_fourteen_megabytes(bundled):
    files = [p for p in bundled.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert len(files) > 20
    assert sum(p.stat().st_size for p in files) < 14_000_000


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-captioner"])
def test_a_card_says_what_the_model_is(bundled, name):
    card = (bundled / "models" / name / "README.md").read_text()
    for phrase in ("closed world", "one seed", "designed knowing", "hours", "never"):
        assert phrase in card.lower(), phrase


def test_tiny_clip_has_clip_layout(clip):
    model, _, _ = clip
    assert type(model).__name__ == "CLIPModel"
    assert model.dtype == torch.float32
    assert model.text_projection.weight.shape[0] == model.visual_projection.weight.shape[0]
    assert 0 < model.logit_scale.item() <= 4.6052 + 1e-3


def test_text_is_pooled_at_the_end_token_and_padding_changes_nothing(clip):
    model, tokenizer, _ = clip
    assert model.config.text_config.eos_token_id == tokenizer.eos_token_id != 2
    short = tokenizer(["the number seven"], return_tensors="pt").input_ids
    padded = F.pad(short, (0, 9), value=tokenizer.pad_token_id)
    with torch.no_grad():
        a, b = (model.text_model(input_ids=ids) for ids in (short, padded))
    assert torch.allclose(a.pooler_output, b.pooler_output, atol=1e-5)
    assert torch.allclose(a.pooler_output, a.last_hidden_state[:, -1], atol=1e-6)
    assert not torch.allclose(b.pooler_output, b.last_hidden_state[:, -1], atol=1e-2)


def test_the_tokenizer_truncates_and_lowers_case(clip):
    model, tokenizer, _ = clip
    context = model.config.text_config.max_position_embeddings
    ids = tokenizer("three green squares " * 40, truncation=True).input_ids
    assert len(ids) == context == tokenizer.model_max_length
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer("A Red CIRCLE.").input_ids == tokenizer("a red circle.").input_ids
    assert tokenizer.decode(tokenizer("a zebra, ünïcode").input_ids, skip_special_tokens=True) == "a zebra, ünïcode"


@pytest.mark.parametrize("side", [8, 48, 61])
def test_training_saw_images_as_the_processor_gives_them(clip, side):
    from PIL import Image

    from benchmarks.pretraining.augment import pillow_bicubic
    from benchmarks.pretraining.model import normalise

    _, _, processor = clip
    pixels = np.random.default_rng(side).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    given = processor(images=[Image.fromarray(p) for p in pixels], return_tensors="pt")["pixel_values"]
    size = given.shape[-1]
    trained = normalise(pillow_bicubic(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), size).to(torch.uint8))
    assert (given - trained).abs().max() * 127.5 < 3.5  # levels of 255
    assert (given - trained).abs().mean() * 127.5 < 0.2


def zero_shot(clip, images, names, templates):
    model, tokenizer, processor = clip
    pixels = processor(images=[i.convert("RGB") for i in images], return_tensors="pt")["pixel_values"]
    tokens = tokenizer(
        [t.format(n) for n in names for t in templates], padding=True, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        image = F.normalize(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output), dim=1)
        text = F.normalize(model.text_projection(model.text_model(input_ids=tokens.input_ids).pooler_output), dim=1)
    weights = F.normalize(text.view(len(names), len(templates), -1).mean(1), dim=1)
    return (image @ weights.T).argmax(1).numpy()


def accuracy(clip, bundled, name, images, labels):
    meta = json.loads((bundled / "datasets" / name / "dataset.json").read_text())
    return float((zero_shot(clip, images, meta["classnames"], meta["templates"]) == np.array(labels)).mean())


@pytest.fixture(scope="module")
def measured(clip, bundled, read):
    from vlmbench.bundled.digits import load_digits_split

    figures = {"digits": accuracy(clip, bundled, "digits", *load_digits_split("test"))}
    for name in ("shapes", "counting"):
        rows = read(name, "test")[::3]
        figures[name] = accuracy(clip, bundled, name, [r["image"] for r in rows], [r["label"] for r in rows])
    return figures


@pytest.mark.parametrize(("name", "floor"), [("digits", 0.96), ("shapes", 0.94), ("counting", 0.81)])
def test_zero_shot_accuracy_holds(measured, name, floor):
    assert floor < measured[name] < 0.999


def test_counting_is_weaker_than_shapes(measured):
    assert measured["counting"] < measured["shapes"]


def test_the_captioner_describes_scenes(bundled, read):
    from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

    from benchmarks.pretraining import captions as c

    folder = bundled / "models" / "tiny-captioner"
    model = VisionEncoderDecoderModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
    rows = read("scenes", "test", 60)
    pixels = processor(images=[r["image"] for r in rows], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        ids = model.generate(pixel_values=pixels)
    written = tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert (ids == tokenizer.eos_token_id).any(1).all()  # every caption ends of itself
    assert len(set(written)) > 45
    nouns = (
        set(c.SHAPES)
        | set(c.PLURALS)
        | set(c.DIGITS)
        | set(c.LETTERS[1:])
        | {"stripes", "checkerboard", "dots", "rings", "lines"}
    )
    hits = []
    for text, row in zip(written, rows, strict=True):
        said = " ".join(row["captions"]).replace(",", " ").split()
        named = [w for w in text.split() if w in nouns]
        hits.append(bool(named) and all(w in said for w in named))
    assert np.mean(hits) > 0.7
