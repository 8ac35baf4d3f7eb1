"""The contract every adapter keeps, on small random checkpoints."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from vlmbench.encoders.files import read_files
from vlmbench.encoders.pretrained import transformers
from vlmbench.encoders.resolve import resolve
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Silent
from vlmbench.records.registry import Registry

DUALS = ["clip", "siglip", "metaclip2", "altclip", "chinese-clip", "align", "blip"]
BACKBONES = ["resnet", "vit", "dinov2", "convnext", "swin"]


def load(directory, tmp_path, precision="fp32"):
    files = resolve(str(directory), tmp_path)
    adapter = Registry("architecture", {"x": files.family.adapter}).load("x")
    return adapter(files, "cpu", precision, Silent())


def pixels(encoder, count=9):
    generator = np.random.default_rng(0)
    images = [Image.fromarray(generator.integers(0, 255, (37, 45, 3)).astype(np.uint8)) for _ in range(count)]
    return np.stack([encoder.preprocess(image) for image in images])


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
@pytest.mark.parametrize("precision", ["bf16"])
def test_lower_precision_stays_near(name, precision, checkpoints, tmp_path):
    exact, rough = load(checkpoints(name), tmp_path), load(checkpoints(name), tmp_path, precision)
    batch = pixels(exact, 4)
    layer = exact.layers[0]
    a, b = exact.encode_images(batch)[layer], rough.encode_images(batch)[layer]
    assert b.dtype == np.float32
    assert (rows_of_unit_norm(a) * rows_of_unit_norm(b)).sum(1).min() > 0.98


TEXTS = ["a photo of a red circle.", "many", "the blue square with an image of a dog"]


@pytest.mark.parametrize("name", DUALS)
def test_logits_are_those_of_transformers(name, checkpoints, tmp_path):
    import torch

    encoder = load(checkpoints(name), tmp_path)
    batch = pixels(encoder, 5)
    library = transformers()
    kind = library.BlipForImageTextRetrieval if name == "blip" else library.AutoModel
    model = kind.from_pretrained(checkpoints(name), dtype=torch.float32).eval()
    padding = {"padding": "max_length", "max_length": 16} if name == "siglip" else {"padding": True}
    tokens = library.AutoTokenizer.from_pretrained(checkpoints(name))(TEXTS, **padding, return_tensors="pt")
    with torch.inference_mode():
        images = torch.from_numpy(batch)
        if name == "blip":
            expected = model(**tokens, pixel_values=images, use_itm_head=False).itm_score
        else:
            expected = model(**tokens, pixel_values=images).logits_per_image
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
    first = read_files(checkpoints("clip"), id="a", system="a", revision=None, cache_dir=tmp_path)
    directory = copied(checkpoints("clip"), tmp_path)
    change(directory / "config.json", transformers_version="0.0.0")
    same = read_files(directory, id="b", system="b", revision=None, cache_dir=tmp_path)
    assert (same.weights_sha256, same.preprocessing_sha256, same.tokenizer_sha256) == (
        first.weights_sha256,
        first.preprocessing_sha256,
        first.tokenizer_sha256,
    )
    change(directory / "preprocessor_config.json", resample=2)
    assert read_files(directory, id="b", system="b", revision=None, cache_dir=tmp_path).preprocessing_sha256 != (
        first.preprocessing_sha256
    )
    data = bytearray((directory / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (directory / "model.safetensors").write_bytes(bytes(data))
    assert read_files(directory, id="b", system="b", revision=None, cache_dir=tmp_path).weights_sha256 != (
        first.weights_sha256
    )
