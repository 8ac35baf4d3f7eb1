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
    assert "--on-bad-image skip" in caught.value.fix


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
