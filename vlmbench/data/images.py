"""Decoding: whatever an image file holds becomes 8-bit RGB, upright, or an error that names it.

Nothing is repaired silently: a truncated file is an error (Pillow's ``LOAD_TRUNCATED_IMAGES`` stays off), and an image
larger than `MAX_PIXELS` is refused before its pixels are read. A large photograph can be decoded at reduced scale
(`decode`), which is several times as fast and gives nearly the same features (``benchmarks/photographs.py``).
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vlmbench.foundations.errors import InputError, VlmbenchError
from vlmbench.foundations.files import read_bytes
from vlmbench.foundations.text import visible

MAX_PIXELS = 128 * 1024 * 1024
"""Above this many pixels an image is taken for a decompression bomb."""

LARGEST = 512 * 1024**2
"""Bytes of an image's file."""

MAX_RATIO = 1000
"""A side this many times the other becomes a bomb when the short one is resized."""

REDUCED_SIDE = 672
"""The shorter side in pixels that decoding at reduced scale leaves an image, at least: three times the 224 that most
encoders resize to. That is Pillow's ``reducing_gap`` of 3, from which on its documentation calls the result of a resize
nearly indistinguishable."""

FIX = "fix or remove the image, or leave such images out with --on-bad-image skip"

ENDINGS = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"),
    *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "ico", "tga"),
)
"""The endings by which files, and members of archives, are taken for images."""

Raw = bytes | np.ndarray
"""An image as a reader hands it over: a file's bytes, or pixels [H, W] or [H, W, 3] uint8."""


class BadImage(InputError):
    """An image that cannot be decoded; `--on-bad-image skip` leaves it out."""


def is_image(name: str) -> bool:
    """Whether the ending of a file's name (``cat.JPG``) is an image's."""
    _, dot, ending = name.rpartition(".")
    return bool(dot) and ending.lower() in ENDINGS


def read_image(path: Path) -> bytes:
    """The bytes of an image's file. Raises `BadImage` where there is none, it is no regular file, cannot be read, or
    has more than `LARGEST`."""
    try:
        return read_bytes(path, most=LARGEST, what="image", fix=FIX)
    except VlmbenchError as error:
        raise BadImage(error.what, where=str(path), fix=FIX) from error


def decode(raw: Raw, name: str, *, reduced: bool = False) -> Image.Image:
    """An image as RGB, 8 bits a channel, with its EXIF orientation applied.

    16-bit greyscale is scaled to 8 bits (floating point: 0 to 1 if it fits there, else 0 to 255); CMYK and YCbCr are
    converted; palettes are looked up; transparent parts are laid on white; of an animation the first frame is taken.
    Raises `BadImage` where it is no image, is damaged or truncated, or has more than `MAX_PIXELS` pixels.

    Args:
        reduced: an image whose shorter side is at least twice `REDUCED_SIDE` is made 2, 3, 4 … times smaller, as far
            as that side stays `REDUCED_SIDE` long: a JPEG by libjpeg's scaled inverse transform, as far as that goes
            (2, 4 or 8), everything else by means of squares of pixels. A smaller image is decoded as ever.
    """
    image, orientation = _decode(raw, name, REDUCED_SIDE if reduced else None)
    factor = min(image.size) // REDUCED_SIDE if reduced else 1
    return upright(image.reduce(factor) if factor > 1 else image, orientation)


def decode_stored(raw: Raw, name: str) -> tuple[Image.Image, int]:
    """The same on the pixel grid as it is stored, not yet upright, and its EXIF orientation, 1 to 8 (see `upright`).
    Raises as `decode`."""
    return _decode(raw, name)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """An image, or a part of one, turned as its EXIF orientation says."""
    turn = _TURNS.get(orientation)
    return image.transpose(turn) if turn is not None else image


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _decode(raw: Raw, name: str, side: int | None = None) -> tuple[Image.Image, int]:
    """RGB on the stored grid, a JPEG's as coarse as libjpeg makes it with both sides still `side` long; orientation."""
    if isinstance(raw, np.ndarray):
        return Image.fromarray(np.ascontiguousarray(raw)).convert("RGB"), 1
    if not raw:
        raise BadImage(f"the image {visible(name)} is empty (0 bytes)", where=name, fix=FIX)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw)) as image:
                _refuse_bomb(image, name)
                image.seek(0)
                if side is not None:
                    image.draft(None, (side, side))
                image.load()
                return _rgb(image), image.getexif().get(ExifTags.Base.Orientation, 1)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise _bomb(name, str(error)) from error
    except Exception as error:  # Pillow's plug-ins raise nearly everything on damaged data: each means the same here
        reason = "not an image of a known format" if isinstance(error, UnidentifiedImageError) else visible(str(error))
        raise BadImage(f"cannot decode the image {visible(name)}: {reason}", where=name, fix=FIX) from error


def _refuse_bomb(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _bomb(name, f"{width} x {height} pixels")
    refuse_sliver(image, f"the image {visible(name)}", name)


def refuse_sliver(image: Image.Image, what: str, where: str) -> None:
    """Raises `BadImage` where a side of an image is more than `MAX_RATIO` times the other."""
    width, height = image.size
    if max(width, height) > MAX_RATIO * max(1, min(width, height)):
        raise BadImage(f"{what} is no picture: {width} x {height} pixels", where=where, fix=FIX)


def _bomb(name: str, why: str) -> BadImage:
    return BadImage(
        f"the image {visible(name)} is too large to be decoded: {why}, at most {MAX_PIXELS:,} are read",
        where=name,
        fix=FIX,
    )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_wide(image)
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """An image with transparency laid on white, 512 rows at a time."""
    width, height = image.size
    found = Image.new("RGB", image.size)
    for top in range(0, height, 512):
        layer = image.crop((0, top, width, min(top + 512, height))).convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        found.paste(Image.alpha_composite(white, layer).convert("RGB"), (0, top))
    return found


def _from_wide(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits; Pillow's own conversion would clip it at 255."""
    values = np.asarray(image)
    scale = 1.0
    if image.mode == "F":
        largest = max((band[np.isfinite(band)].max(initial=-np.inf) for band in _bands(values)), default=-np.inf)
        scale = 255.0 if -np.inf < largest <= 1.0 else 1.0
    pixels = np.empty(values.shape, np.uint8)
    for band, out in zip(_bands(values), _bands(pixels), strict=True):
        exact = band.astype(np.float64)
        exact = np.nan_to_num(exact) * scale if image.mode == "F" else exact / 257.0  # 65535 becomes 255
        out[:] = np.clip(np.rint(exact), 0, 255)
    return Image.fromarray(pixels, "L").convert("RGB")


def _bands(values: np.ndarray) -> list[np.ndarray]:
    """The rows of an image [H, W], 64 at a time: double precision of a large one would not fit in memory."""
    return [values[start : start + 64] for start in range(0, len(values), 64)]
