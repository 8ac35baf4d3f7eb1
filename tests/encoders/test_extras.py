"""open_clip and timm, in an environment of their own (``make test-extras``): equal to the libraries themselves."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.progress import Silent

HAVE = all(importlib.util.find_spec(name) for name in ("open_clip", "timm", "torchvision"))
extras = pytest.mark.skipif(not HAVE, reason="open_clip, timm and torchvision are not here: make test-extras")


def images():
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 255, (50, 70, 3)).astype(np.uint8)) for _ in range(3)]


def load(name, tmp_path):
    files = find_model(parse_model(name), tmp_path)
    return files, load_model(files, "cpu", "fp32", Silent())


@extras
@pytest.mark.parametrize("arch", ["RN50", "ViT-B-32"])
def test_open_clip_features_are_its_own(arch, tmp_path):
    import open_clip
    import torch

    torch.manual_seed(0)
    model, _, transform = open_clip.create_model_and_transforms(arch)
    path = tmp_path / "random.pt"
    torch.save(model.state_dict(), path)
    files, encoder = load(f"open-clip:{arch}/{path}", tmp_path)
    batch = np.stack([encoder.preprocess(image) for image in images()])
    texts = ["a photo of a cat.", "a dog"]
    model.eval()
    with torch.inference_mode():
        expected = model.encode_image(torch.stack([transform(image) for image in images()]))
        words = model.encode_text(open_clip.get_tokenizer(arch)(texts))
    np.testing.assert_allclose(encoder.encode_images(batch)["proj"], expected, atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(texts), words, atol=1e-4)
    assert encoder.scale.scale == pytest.approx(model.logit_scale.exp().item())
    assert len(files.weights_sha256) == 64


@extras
def test_timm_features_are_its_own(tmp_path):
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("resnet18", pretrained=False, num_classes=0)
    path = tmp_path / "random.pth"
    torch.save(model.state_dict(), path)
    _, encoder = load(f"timm:resnet18/{path}", tmp_path)
    batch = np.stack([encoder.preprocess(image) for image in images()])
    with torch.inference_mode():
        expected = model.eval()(torch.from_numpy(batch))
    np.testing.assert_allclose(encoder.encode_images(batch)["pre_proj"], expected, atol=1e-4)


@extras
@pytest.mark.parametrize("resample", [2, 3])
def test_dinov3s_preparation_is_that_of_transformers(resample, checkpoints, tmp_path):
    import shutil

    from transformers import AutoImageProcessor

    directory = shutil.copytree(checkpoints("dinov3"), tmp_path / "model")
    path = directory / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"resample": 3', f'"resample": {resample}'))
    _, encoder = load(str(directory), tmp_path)
    own = AutoImageProcessor.from_pretrained(directory)
    for image in images():
        expected = own(images=image, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(encoder.preprocess(image), expected, atol=1e-6)


@extras
def test_names_that_open_clip_does_not_have(tmp_path):
    with pytest.raises(AbsentError, match="no architecture ViT-Z"):
        find_model(parse_model("open-clip:ViT-Z/openai"), tmp_path)
    with pytest.raises(AbsentError, match="no weights nothing"):
        find_model(parse_model("open-clip:RN50/nothing"), tmp_path)
    with pytest.raises(UsageError):
        find_model(parse_model("open-clip:RN50"), tmp_path)


@pytest.mark.skipif(HAVE, reason="the extras are here")
@pytest.mark.parametrize("name", ["open-clip:RN50/openai", "timm:resnet50"])
def test_without_the_extras_the_command_that_gets_them_is_named(name, tmp_path):
    with pytest.raises(AbsentError) as caught:
        find_model(parse_model(name), tmp_path)
    assert caught.value.fix.startswith("pip install 'vlmbench-eval[")
