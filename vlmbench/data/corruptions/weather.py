"""Weather: snow and fog."""

import numpy as np
from numpy.random import Generator
from PIL import Image

from vlmbench.data.corruptions.blur import magnified, streak

_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def snow(pixels: np.ndarray, constants: tuple[float, ...], scale: float, random: Generator) -> np.ndarray:
    """Flakes on a whitened image: normal noise above a threshold, magnified and streaked, and the same upside down."""
    mean, deviation, size, threshold, radius, blur, weight = constants
    drawn = (mean + deviation * random.standard_normal(pixels.shape[:2], np.float32)).astype(np.float32)
    flakes = np.array(magnified(Image.fromarray(drawn), size))
    flakes[flakes < threshold] = 0
    flakes = streak(np.clip(flakes, 0, 1)[:, :, None], radius * scale, blur * scale, random.uniform(-135, -45))
    x = pixels.astype(np.float32) / 255
    whiter = np.maximum(x, (x @ _GREY)[:, :, None] * 1.5 + 0.5)
    return np.asarray(255 * (weight * x + (1 - weight) * whiter + flakes + flakes[::-1, ::-1]))


def fog(pixels: np.ndarray, constants: tuple[float, float], scale: float, random: Generator) -> np.ndarray:
    """(x + c f) m / (m + c): f a plasma fractal of 0 to 1, m the largest x of 0 to 1."""
    thickness, decay = constants
    height, width = pixels.shape[:2]
    most = float(pixels.max())
    haze = plasma(1 << (max(height, width) - 1).bit_length(), decay, random)[:height, :width, None]
    return (pixels + (255 * thickness) * haze) * (most / (most + 255 * thickness))


def plasma(side: int, decay: float, random: Generator) -> np.ndarray:
    """A plasma fractal [side, side] float64 of 0 to 1 that repeats at its edges, by diamonds and squares; `side` is a
    power of two. From one step to the next, half as long, the noise is ``decay**2`` times weaker."""
    heights, step, noise = np.zeros((side, side)), side, 1.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, 0)
        centres = _wobbled(pairs + np.roll(pairs, -1, 1), noise, random)
        heights[half::step, half::step] = centres
        for place, near, sides in (((0, half), 1, 0), ((half, 0), 0, 1)):
            total = centres + np.roll(centres, 1, sides) + corners + np.roll(corners, -1, near)
            heights[place[0] :: step, place[1] :: step] = _wobbled(total, noise, random)
        step, noise = half, noise / decay**2
    heights -= heights.min()
    return np.asarray(heights / max(heights.max(), np.finfo(float).tiny))


def _wobbled(total: np.ndarray, noise: float, random: Generator) -> np.ndarray:
    return total / 4 + noise * random.uniform(-1, 1, total.shape)
