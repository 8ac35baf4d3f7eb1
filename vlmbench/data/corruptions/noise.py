"""Noise: Gaussian, shot, impulse, speckle."""

import numpy as np
from numpy.random import Generator


def gaussian(pixels: np.ndarray, deviation: float, scale: float, random: Generator) -> np.ndarray:
    """x + σ n, n standard normal."""
    found = random.standard_normal(pixels.shape, np.float32)
    found *= np.float32(255 * deviation)
    found += pixels
    return found


def shot(pixels: np.ndarray, photons: float, scale: float, random: Generator) -> np.ndarray:
    """Poisson(c x) / c, x of 0 to 1."""
    return random.poisson(pixels * (photons / 255)) * (255 / photons)


def impulse(pixels: np.ndarray, share: float, scale: float, random: Generator) -> np.ndarray:
    """Values, not whole pixels, set to 0 or 255, half of them each."""
    drawn = random.random(pixels.shape, np.float32)
    found = pixels.copy()
    found[drawn < share / 2] = 0
    found[drawn >= 1 - share / 2] = 255
    return found


def speckle(pixels: np.ndarray, deviation: float, scale: float, random: Generator) -> np.ndarray:
    """x + x σ n, n standard normal."""
    found = random.standard_normal(pixels.shape, np.float32)
    found *= np.float32(deviation)
    found += 1
    found *= pixels
    return found
