import io

import numpy as np
import pytest
from PIL import Image

from vlmbench.data import images
from vlmbench.data.images import BadImage, decode


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corner(image: Image.Image) -> tuple[int, ...]:
    return image.getpixel((0, 0))


def test_every_mode_becomes_rgb():
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"):
        image = decode(encoded(Image.new(mode, (5, 4)), "TIFF" if mode == "I" else "PNG"), mode)
        assert (image.mode, image.size) == ("RGB", (5, 4))


def test_sixteen_bits_are_scaled_and_not_clipped():
    pixels = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    image = decode(encoded(Image.fromarray(pixels)), "wide.png")
    assert np.asarray(image)[..., 0].tolist() == [[0, 100], [200, 255]]


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (200.0, 200)])
def test_floating_point_greyscale(value, expected):
    image = decode(encoded(Image.fromarray(np.full((3, 3), value, np.float32)), "TIFF"), "float.tiff")
    assert corner(image) == (expected, expected, expected)


def test_cmyk_is_converted():
    image = decode(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG", quality=95), "cmyk.jpg")
    red, green, blue = corner(image)
    assert red > 200
    assert max(green, blue) < 60


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = Image.new("RGB", (8, 4), "red")
    assert decode(encoded(wide, "JPEG", exif=exif), "turned.jpg").size == (4, 8)


def test_transparency_is_laid_on_white():
    assert corner(decode(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0))), "clear.png")) == (255, 255, 255)
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert corner(decode(encoded(palette, transparency=1), "palette.png")) == (255, 255, 255)
    assert corner(decode(encoded(palette, transparency=0), "palette.png")) == (10, 20, 30)
    assert corner(decode(encoded(Image.new("LA", (2, 2), (9, 255))), "grey.png")) == (9, 9, 9)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert corner(decode(data, "moving.gif")) == (255, 0, 0)


def test_pixels_pass_through():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.asarray(decode(pixels, "array"))[..., 1].tolist() == pixels.tolist()


@pytest.mark.parametrize("keep", [10, 200])
def test_a_truncated_image_names_itself(keep):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    with pytest.raises(BadImage, match=r"cat/7\.jpg") as caught:
        decode(data[:keep], "cat/7.jpg")
    assert caught.value.exit_code == 3
    assert "skip" in caught.value.fix  # spelled for a command line or for Python


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"\x89PNG\r\n\x1a\nrubbish", b"GIF89a"])
def test_what_is_no_image_is_an_error(data):
    with pytest.raises(BadImage, match=r"notes\.jpg"):
        decode(data, "notes.jpg")


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(BadImage, match="too large"):
        decode(encoded(Image.new("L", (20, 20))), "bomb.png")


def test_a_line_of_pixels_is_no_picture():
    with pytest.raises(BadImage, match="no picture"):
        decode(encoded(Image.new("L", (3000, 1))), "line.png")


def test_control_characters_in_a_name_are_shown():
    with pytest.raises(BadImage) as caught:
        decode(b"", "a\x1b[31m.jpg")
    assert "\x1b" not in caught.value.what


def photograph(width: int, height: int) -> Image.Image:
    """Smooth waves, a mark in the top left corner."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 100 * np.sin(x / 90), 127 + 100 * np.cos(y / 70), (x + y) % 256], axis=-1)
    waves[: height // 4, : width // 4] = (250, 10, 10)
    return Image.fromarray(waves.astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "kind", "expected"),
    [
        ((4032, 3024), "JPEG", (1008, 756)),  # 12 megapixels, a quarter
        ((3024, 4032), "JPEG", (756, 1008)),
        ((2100, 2100), "JPEG", (1050, 1050)),  # a third would be enough, libjpeg has a half
        ((2100, 2100), "PNG", (700, 700)),
        ((1343, 2000), "JPEG", (1343, 2000)),  # half of it would be too small
        ((300, 200), "JPEG", (300, 200)),
        ((9000, 670), "JPEG", (9000, 670)),
    ],
)
def test_a_large_image_is_reduced_as_far_as_its_shorter_side_allows(size, kind, expected):
    raw = encoded(photograph(*size), kind)
    small, whole = decode(raw, "photograph", reduced=True), decode(raw, "photograph")
    assert (whole.size, small.size) == (size, expected)
    if expected == size:
        assert small.tobytes() == whole.tobytes()
    target = (size[0] // 12, size[1] // 12)
    near = np.asarray(whole.resize(target, Image.Resampling.BICUBIC), int)
    assert np.abs(near - np.asarray(small.resize(target, Image.Resampling.BICUBIC), int)).mean() < 2


def test_a_reduced_image_is_turned_as_its_orientation_says():
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        raw = encoded(photograph(2016, 1512), "JPEG", exif=exif)
        small, whole = decode(raw, "turned.jpg", reduced=True), decode(raw, "turned.jpg")
        assert small.size == (whole.width // 2, whole.height // 2)
        assert np.abs(np.asarray(small, int) - np.asarray(whole.resize(small.size), int)).mean() < 3


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_jpegs_of_every_mode_are_reduced(mode):
    small = decode(encoded(photograph(2700, 1400).convert(mode), "JPEG"), mode, reduced=True)
    assert (small.mode, small.size) == ("RGB", (1350, 700))


def test_a_truncated_photograph_is_an_error_at_reduced_scale_too():
    raw = encoded(photograph(2700, 1400), "JPEG")
    with pytest.raises(BadImage):
        decode(raw[: len(raw) // 2], "half.jpg", reduced=True)
