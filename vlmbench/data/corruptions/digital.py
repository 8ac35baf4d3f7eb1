"""Changes of colour and contrast, displacement, pixels too large, JPEG."""

import io

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

_TURNED = np.array([0.0, 1.0, 1.0], np.float32)
"""Red at full saturation, by which V exceeds a channel, as a share of V: grey has the hue 0."""


def brightness(pixels: np.ndarray, added: float, scale: float, random: Generator) -> np.ndarray:
    """V of HSV raised, hue and saturation as they are: all three channels times V'/V."""
    value = np.maximum(np.maximum(pixels[:, :, 0], pixels[:, :, 1]), pixels[:, :, 2])
    levels = np.arange(256, dtype=np.float32)
    raised = np.minimum(levels + np.float32(255 * added), 255)
    factor = (raised / np.maximum(levels, 1))[value]
    found = np.empty(pixels.shape, np.float32)
    for channel in range(3):
        np.multiply(pixels[:, :, channel], factor, out=found[:, :, channel])
    found[value == 0] = raised[0]
    return found


def contrast(pixels: np.ndarray, factor: float, scale: float, random: Generator) -> np.ndarray:
    """(x - mean) c + mean, the mean of each channel."""
    image, levels = Image.fromarray(pixels), np.arange(256)
    means = np.reshape(image.histogram(), (3, 256)) @ levels / (image.width * image.height)
    tables = np.rint((levels - means[:, None]) * factor + means[:, None]).clip(0, 255)
    return np.asarray(image.point(tables.astype(int).ravel().tolist()))


def saturate(pixels: np.ndarray, constants: tuple[float, float], scale: float, random: Generator) -> np.ndarray:
    """S of HSV times a factor and raised, hue and V as they are; grey has the hue of red."""
    factor, added = constants
    x = pixels.astype(np.float32)
    value = x.max(axis=2, keepdims=True)
    below = value - x
    chroma = below.max(axis=2, keepdims=True)
    saturation = chroma / np.maximum(value, 1)
    wanted = np.clip(saturation * factor + added, 0, 1)
    found: np.ndarray = value - below * (wanted / np.maximum(saturation, np.float32(1e-6)))
    grey = chroma == 0
    return np.where(grey, value - value * wanted * _TURNED, found) if added else found


def pixelate(pixels: np.ndarray, factor: float, scale: float, random: Generator) -> np.ndarray:
    """Means over rectangles, each as large as what it is the mean of."""
    image = Image.fromarray(pixels)
    width, height = (max(1, int(side * factor)) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BOX))


def jpeg(pixels: np.ndarray, quality: int, scale: float, random: Generator) -> np.ndarray:
    """Compressed by libjpeg, and decompressed."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)


def elastic(pixels: np.ndarray, constants: tuple[float, float, float], scale: float, random: Generator) -> np.ndarray:
    """An affine map that moves three points at random, and smoothed random displacements; linear interpolation."""
    amplitude, deviation, reach = (value * scale for value in constants)
    height, width = pixels.shape[:2]
    moved = affine(height, width, random.uniform(-reach, reach, (3, 2)))
    shifts = random.uniform(-1, 1, (2, height, width))
    down, across = (gaussian_filter(shift, deviation, mode="reflect", truncate=3) * amplitude for shift in shifts)
    y, x = np.mgrid[:height, :width]
    source = np.einsum("ij,jhw->ihw", moved, np.stack([x + across, y + down, np.ones((height, width))]))
    where = (source[1], source[0])
    channels = pixels.astype(np.float32)
    return np.stack([map_coordinates(channels[:, :, i], where, order=1, mode="mirror") for i in range(3)], axis=2)


def affine(height: int, width: int, shifts: np.ndarray) -> np.ndarray:
    """From a place (x, y, 1) in what is made to one (x, y) in the image, [2, 3]: the map that moves three points around
    the centre, a third of the shorter side from it, by `shifts` [3, 2], inverted."""
    centre, third = np.array([width // 2, height // 2], float), max(1, min(height, width) // 3)
    points = centre + np.array([[third, third], [third, -third], [-third, -third]])
    ones = np.ones((3, 1))
    return np.linalg.solve(np.hstack([points + shifts, ones]), points).T
