"""Blur: defocus, glass, motion, zoom, Gaussian."""

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy.ndimage import gaussian_filter


def gaussian(pixels: np.ndarray, deviation: float, scale: float, random: Generator) -> np.ndarray:
    """A Gaussian filter up to 4 σ, edges repeated."""
    return smooth(pixels.astype(np.float32), deviation * scale)


def smooth(x: np.ndarray, deviation: float) -> np.ndarray:
    """[H, W, 3] float through a Gaussian filter."""
    return np.asarray(gaussian_filter(x, (deviation, deviation, 0), mode="nearest", truncate=4))


def defocus(pixels: np.ndarray, constants: tuple[float, float], scale: float, random: Generator) -> np.ndarray:
    """The mean over a disk whose edge is smoothed, edges reflected."""
    kernel = disk(constants[0] * scale, constants[1])
    margin = len(kernel) // 2
    padded = np.pad(pixels.astype(np.float64), ((margin, margin), (margin, margin), (0, 0)), "reflect")
    shape = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, shape)[:, :, None]
    return np.asarray(np.fft.irfft2(spectrum, shape, axes=(0, 1))[2 * margin :, 2 * margin :])


def disk(radius: float, deviation: float) -> np.ndarray:
    """The disk [K, K] float64, of sum 1, through a Gaussian filter of 3 x 3 (5 x 5 where the radius exceeds 8)."""
    edge = 1 if radius <= 8 else 2
    reach = int(radius) + edge
    line = np.arange(-reach, reach + 1)
    inside = (line[:, None] ** 2 + line**2 <= radius**2).astype(np.float64)
    weights = np.exp(-(np.arange(-edge, edge + 1) ** 2) / (2 * deviation**2))
    weights /= weights.sum()
    smoothed = np.apply_along_axis(np.convolve, 0, inside / inside.sum(), weights, "same")
    return np.apply_along_axis(np.convolve, 1, smoothed, weights, "same")


def glass(pixels: np.ndarray, constants: tuple[float, int, int], scale: float, random: Generator) -> np.ndarray:
    """A Gaussian filter, pixels swapped with others nearby from the bottom right on, and the filter again."""
    deviation, reach, rounds = constants
    height, width = pixels.shape[:2]
    reach = max(1, round(reach * scale))
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    here = (rows[:, None] * width + columns).ravel()
    order = list(range(height * width))
    for _ in range(rounds):
        dy, dx = random.integers(-reach, reach, (2, len(here)))
        for one, other in zip(here.tolist(), (here + dy * width + dx).tolist(), strict=True):
            order[one], order[other] = order[other], order[one]
    blurred = smooth(pixels.astype(np.float32), deviation * scale)
    return smooth(blurred.reshape(-1, 3)[order].reshape(pixels.shape), deviation * scale)


def motion(pixels: np.ndarray, constants: tuple[float, float], scale: float, random: Generator) -> np.ndarray:
    """`streak` at a random angle of -45 to 45 degrees."""
    return streak(pixels.astype(np.float32), constants[0] * scale, constants[1] * scale, random.uniform(-45, 45))


def streak(x: np.ndarray, radius: float, deviation: float, degrees: float) -> np.ndarray:
    """[H, W, C] float: each pixel the mean of those on a line from it, 2 ⌈radius⌉ + 1 of them in steps of a pixel, with
    weights exp(-i² / 2σ²), as ImageMagick's motion blur; edges repeated."""
    steps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    weights /= weights.sum()
    angle = np.deg2rad(degrees)
    across = np.ceil(steps * np.cos(angle) - 0.5).astype(int)
    down = np.ceil(steps * np.sin(angle) - 0.5).astype(int)
    margin, (height, width) = len(steps), x.shape[:2]
    padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)), "edge")
    found = np.zeros_like(x)
    for weight, right, below in zip(weights.astype(x.dtype), across, down, strict=True):
        top, left = margin + below, margin + right
        found += weight * padded[top : top + height, left : left + width]
    return found


def zoom(pixels: np.ndarray, constants: tuple[int, float], scale: float, random: Generator) -> np.ndarray:
    """The mean of the image and of its centre at several magnifications, the first of them 1."""
    count, step = constants
    image, total = Image.fromarray(pixels), pixels.astype(np.float32)
    for number in range(count):
        total += np.asarray(magnified(image, 1 + number * step))
    return total / (count + 1)


def magnified(image: Image.Image, factor: float) -> Image.Image:
    """The centre of an image at its size, by linear interpolation."""
    width, height = image.size
    left, top = (width - width / factor) / 2, (height - height / factor) / 2
    return image.resize(image.size, Image.Resampling.BILINEAR, (left, top, width - left, height - top))
