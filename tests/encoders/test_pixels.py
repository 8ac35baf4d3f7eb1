import numpy as np
from PIL import Image

from vlmbench.encoders.models import find_model
from vlmbench.encoders.names import parse_model
from vlmbench.encoders.pixels import Pixels, pixel_files


def test_pixels_are_the_image_itself(tmp_path):
    files = find_model(parse_model("pixels"), tmp_path)
    assert files == pixel_files()
    assert files.family.layers == ("pre_proj",)
    encoder = Pixels(files, "cpu", "fp32", None)
    values = np.random.default_rng(0).integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
    prepared = encoder.preprocess(Image.fromarray(values))
    features = encoder.encode_images(prepared[None])["pre_proj"]
    assert features.shape == (1, 768)
    np.testing.assert_array_equal(features[0].reshape(3, 16, 16).transpose(1, 2, 0), values.astype(np.float32) / 255)


def test_every_size_gives_the_same_width():
    encoder = Pixels(pixel_files(), "cpu", "fp32", None)
    assert {encoder.preprocess(Image.new("RGB", size)).shape for size in ((8, 8), (300, 20))} == {(3, 16, 16)}
