"""The contract every adapter keeps, on small random checkpoints."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from vlmbench.encoders.families import FAMILIES, TEXT
from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.encoders.pretrained import transformers
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Silent

SIGLIPS = ["siglip", "siglip2", "siglip2-naflex"]
DUALS = ["clip", "clip-gelu", *SIGLIPS, "metaclip2", "altclip", "chinese-clip", "align", "blip", "vision-text"]
BACKBONES = ["resnet", "vit", "dinov2", "convnext", "swin", "dinov2-registers", "dinov3", "dinov3-convnext", "deit"]
BACKBONES += ["convnextv2", "swinv2", "regnet", "clip-vision", "siglip-vision", "siglip2-vision"]
SIZES = [(45, 37), (90, 20), (16, 70), (33, 33)]


def load(directory, tmp_path, precision="fp32"):
    files = find_model(parse_model(str(directory)), tmp_path)
    return load_model(files, "cpu", precision, Silent())


def pictures(count):
    """Noise of several aspect ratios."""
    generator = np.random.default_rng(0)
    shapes = [(*SIZES[i % len(SIZES)][::-1], 3) for i in range(count)]
    return [Image.fromarray(generator.integers(0, 255, shape).astype(np.uint8)) for shape in shapes]


def pixels(encoder, count=9):
    return np.stack([encoder.preprocess(image) for image in pictures(count)])


def test_every_family_is_held_to_the_contract(checkpoints):
    kinds = {json.loads((checkpoints(name) / "config.json").read_text())["model_type"] for name in DUALS + BACKBONES}
    assert kinds == {name for name, family in FAMILIES.items() if family.kind != TEXT}


def rows_of_unit_norm(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("name", DUALS + BACKBONES)
def test_features_are_float32_finite_and_independent_of_the_batch(name, checkpoints, tmp_path):
    encoder = load(checkpoints(name), tmp_path)
    batch = pixels(encoder)
    assert batch.dtype == np.float32
    whole = encoder.encode_images(batch)
    assert set(whole) == set(encoder.layers)
    alone = [encoder.encode_images(batch[i : i + 1]) for i in range(len(batch))]
    again = encoder.encode_images(batch)
    for layer, values in whole.items():
        assert values.shape[0] == len(batch)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (again[layer] == values).all()
        one = np.concatenate([item[layer] for item in alone])
        np.testing.assert_allclose(rows_of_unit_norm(one), rows_of_unit_norm(values), atol=1e-5)
        assert np.ptp(values, axis=0).max() > 0


@pytest.mark.parametrize("name", DUALS)
def test_texts_do_not_depend_on_their_neighbours(name, checkpoints, tmp_path):
    encoder = load(checkpoints(name), tmp_path)
    texts = ["a red circle", "many", "a photo of the blue square with an image of a dog"]
    together = encoder.encode_texts(texts)
    assert together.shape == (3, encoder.encode_images(pixels(encoder, 1))["proj"].shape[1])
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(rows_of_unit_norm(together), rows_of_unit_norm(alone), atol=1e-5)
    assert encoder.scale.scale > 0


@pytest.mark.parametrize("name", DUALS + BACKBONES)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_stays_near(name, precision, checkpoints, tmp_path):
    exact, rough = load(checkpoints(name), tmp_path), load(checkpoints(name), tmp_path, precision)
    batch = pixels(exact, 4)
    layer = exact.layers[0]
    a, b = exact.encode_images(batch)[layer], rough.encode_images(batch)[layer]
    assert b.dtype == np.float32
    assert (rows_of_unit_norm(a) * rows_of_unit_norm(b)).sum(1).min() > 0.98


TEXTS = ["a photo of a Red circle.", "many", "the blue square with an image of a dog"]


@pytest.mark.parametrize("name", DUALS)
def test_logits_are_those_of_transformers(name, checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints(name), tmp_path)
    library = transformers()
    kind = library.BlipForImageTextRetrieval if name == "blip" else library.AutoModel
    model = kind.from_pretrained(checkpoints(name), dtype=torch.float32).eval()
    processor = library.AutoImageProcessor.from_pretrained(checkpoints(name), backend="pil")
    images = processor(images=pictures(5), return_tensors="pt")
    tokenizer = library.AutoTokenizer.from_pretrained(checkpoints(name))
    padding = {"padding": "max_length", "max_length": 16} if name in SIGLIPS else {"padding": True}
    tokens = tokenizer([text.lower() for text in TEXTS], **padding, return_tensors="pt")
    assert ("attention_mask" in tokens) == (name not in SIGLIPS)
    with torch.inference_mode():
        if name == "blip":
            expected = model(**tokens, **images, use_itm_head=False).itm_score
        else:
            expected = model(**tokens, **images).logits_per_image
    batch = pixels(encoder, 5)
    found = rows_of_unit_norm(encoder.encode_images(batch)["proj"]) @ rows_of_unit_norm(encoder.encode_texts(TEXTS)).T
    found = found * encoder.scale.scale + encoder.scale.bias
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.ptp(found, axis=1).max() > 1e-3


def test_blips_matching_head_is_transformers_own(checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints("blip"), tmp_path)
    batch = pixels(encoder, 3)
    library = transformers()
    model = library.BlipForImageTextRetrieval.from_pretrained(checkpoints("blip")).eval()
    tokens = library.AutoTokenizer.from_pretrained(checkpoints("blip"))(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        image = torch.from_numpy(np.repeat(batch[1:2], 3, axis=0))
        expected = model(**tokens, pixel_values=image).itm_score[:, 1]
    np.testing.assert_allclose(encoder.match(batch[1], TEXTS), expected, atol=1e-5)


def test_a_vit_gives_its_class_token_after_the_last_norm(checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints("vit"), tmp_path)
    batch = pixels(encoder, 3)
    model = transformers().ViTForImageClassification.from_pretrained(checkpoints("vit")).eval()
    with torch.inference_mode():
        expected = model.vit(pixel_values=torch.from_numpy(batch)).last_hidden_state[:, 0]
        found = encoder.encode_images(batch)["pre_proj"]
        logits = model(pixel_values=torch.from_numpy(batch)).logits
        np.testing.assert_allclose(model.classifier(torch.from_numpy(found)), logits, atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_resnet_gives_the_mean_of_its_last_feature_map(checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints("resnet"), tmp_path)
    batch = pixels(encoder, 3)
    model = transformers().AutoModel.from_pretrained(checkpoints("resnet")).eval()
    with torch.inference_mode():
        expected = model(pixel_values=torch.from_numpy(batch)).last_hidden_state.mean((2, 3))
    np.testing.assert_allclose(encoder.encode_images(batch)["pre_proj"], expected, atol=1e-5)


def test_clip_before_its_projection_is_the_pooled_class_token(checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints("clip"), tmp_path)
    batch = pixels(encoder, 3)
    model = transformers().CLIPModel.from_pretrained(checkpoints("clip")).eval()
    with torch.inference_mode():
        pooled = model.vision_model(pixel_values=torch.from_numpy(batch)).pooler_output
    found = encoder.encode_images(batch)
    np.testing.assert_allclose(found["pre_proj"], pooled, atol=1e-5)
    np.testing.assert_allclose(found["proj"], pooled @ model.visual_projection.weight.T.detach(), atol=1e-5)


def test_naflex_keeps_the_aspect_ratio_and_fills_no_more_than_its_patches(checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints("siglip2-naflex"), tmp_path)
    batch = pixels(encoder, 4)
    assert batch.shape == (4, 21, 8 * 8 * 3)
    inputs = encoder.preprocess.inputs(batch, torch.device("cpu"), torch.float32)
    shapes = inputs["spatial_shapes"].tolist()
    assert shapes[1][0] < shapes[1][1], "wide"
    assert shapes[2][0] > shapes[2][1], "high"
    counts = [high * wide for high, wide in shapes]
    assert inputs["pixel_attention_mask"].sum(1).tolist() == counts
    assert max(counts) <= 20
    assert len(set(counts)) > 1, "some are padded"


def test_patches_of_another_size_than_the_models_are_refused(checkpoints, tmp_path):
    directory = copied(checkpoints("siglip2-naflex"), tmp_path)
    first = find_model(parse_model(str(directory)), tmp_path).preprocessing_sha256
    change(directory / "preprocessor_config.json", max_num_patches=30)
    assert find_model(parse_model(str(directory)), tmp_path).preprocessing_sha256 != first
    assert pixels(load(directory, tmp_path), 1).shape == (1, 31, 192)
    change(directory / "preprocessor_config.json", patch_size=16)
    with pytest.raises(InputError, match=r"patches of 8 pixels.*patches of 16"):
        load(directory, tmp_path)


@pytest.mark.parametrize("resample", [2, 3])
def test_dinov3s_preparation_is_rescale_then_resize_then_normalise(resample, checkpoints, tmp_path):
    directory = copied(checkpoints("dinov3"), tmp_path)
    change(directory / "preprocessor_config.json", resample=resample)
    flat = Image.new("RGB", (50, 20), (51, 102, 204))
    made = load(directory, tmp_path).preprocess(flat)
    assert made.shape == (3, 32, 32)
    expected = (np.array([0.2, 0.4, 0.8]) - [0.48, 0.46, 0.41]) / [0.27, 0.26, 0.28]
    np.testing.assert_allclose(made.mean((1, 2)), expected, atol=1e-5)
    if resample == 2:
        exact = np.asarray(pictures(4)[3].resize((32, 32), resample), np.float64) / 255  # Pillow rounds after each axis
        exact = ((exact - [0.48, 0.46, 0.41]) / [0.27, 0.26, 0.28]).transpose(2, 0, 1)
        near = load(directory, tmp_path).preprocess(pictures(4)[3])
        np.testing.assert_allclose(near, exact, atol=1.1 / 255 / 0.26)
    change(directory / "preprocessor_config.json", size={"shortest_edge": 32})
    with pytest.raises(InputError, match="does not have for DINOv3"):
        load(directory, tmp_path)


def test_dinov3_gives_its_class_token_and_the_convolutional_one_its_pooled_map(checkpoints, tmp_path):
    import torch

    for name in ("dinov3", "dinov3-convnext"):
        encoder = load(checkpoints(name), tmp_path)
        batch = pixels(encoder, 3)
        with torch.inference_mode():
            output = transformers().AutoModel.from_pretrained(checkpoints(name)).eval()(torch.from_numpy(batch))
        np.testing.assert_allclose(encoder.encode_images(batch)["pre_proj"], output.pooler_output, atol=1e-5)
        np.testing.assert_allclose(output.pooler_output, output.last_hidden_state[:, 0], atol=1e-5)


def copied(directory, tmp_path):
    return shutil.copytree(directory, tmp_path / "copy")


def change(path, **fields):
    data = json.loads(path.read_text())
    data.update(fields)
    path.write_text(json.dumps({name: value for name, value in data.items() if value is not None}))


def test_weights_that_are_missing_are_never_made_up(checkpoints, tmp_path):
    from safetensors.numpy import load_file, save_file

    directory = copied(checkpoints("clip"), tmp_path)
    tensors = load_file(directory / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 weights.*visual_projection"):
        load(directory, tmp_path)


def test_damaged_weights_are_bad_input(checkpoints, tmp_path):
    directory = copied(checkpoints("clip"), tmp_path)
    (directory / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="cannot load the weights"):
        load(directory, tmp_path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", "it has no config.json"),
        ("model.safetensors", "no weights in"),
        ("preprocessor_config.json", "does not say how its images are prepared"),
        ("tokenizer.json", "cannot load the tokenizer"),
    ],
)
def test_a_checkpoint_without_a_file(file, message, checkpoints, tmp_path):
    directory = copied(checkpoints("clip"), tmp_path)
    (directory / file).unlink()
    with pytest.raises(InputError, match=message):
        load(directory, tmp_path)


def test_an_unknown_architecture_names_the_known_ones(checkpoints, tmp_path):
    directory = copied(checkpoints("clip"), tmp_path)
    change(directory / "config.json", model_type="gpt2")
    with pytest.raises(InputError, match=r"'gpt2'; it knows .*clip.*siglip"):
        load(directory, tmp_path)


def test_a_checkpoints_own_code_is_never_run(checkpoints, tmp_path):
    directory = copied(checkpoints("clip"), tmp_path)
    change(directory / "config.json", auto_map={"AutoModel": "evil.Model"}, model_type="evil")
    (directory / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InputError):
        load(directory, tmp_path)


def test_hashes_tell_weights_preprocessing_and_tokenizer_apart(checkpoints, tmp_path):
    first = find_model(parse_model(str(checkpoints("clip"))), tmp_path)
    directory = copied(checkpoints("clip"), tmp_path)
    change(directory / "config.json", transformers_version="0.0.0")
    same = find_model(parse_model(str(directory)), tmp_path)
    assert (same.weights_sha256, same.preprocessing_sha256, same.tokenizer_sha256) == (
        first.weights_sha256,
        first.preprocessing_sha256,
        first.tokenizer_sha256,
    )
    change(directory / "preprocessor_config.json", resample=2)
    assert find_model(parse_model(str(directory)), tmp_path).preprocessing_sha256 != (first.preprocessing_sha256)
    data = bytearray((directory / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (directory / "model.safetensors").write_bytes(bytes(data))
    assert find_model(parse_model(str(directory)), tmp_path).weights_sha256 != (first.weights_sha256)
