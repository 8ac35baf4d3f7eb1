"""Ten textures, each a map of how much of the first colour every pixel has."""

from __future__ import annotations

import numpy as np


def texture(label: int, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """The texture at index `label` of `captions.TEXTURES`; [pixels, pixels] float32 in 0..1."""
    axis = (np.arange(pixels) + 0.5) / pixels
    x, y = np.meshgrid(axis, axis)
    waves = rng.uniform(2.0, 4.5)
    phase, other = rng.uniform(0, 2 * np.pi, 2)
    hard = rng.uniform(2, 12)
    tilt = rng.normal(0, 0.06)
    if label in (0, 1, 2):
        angle = {0: np.pi / 2, 1: 0.0, 2: rng.choice([-1, 1]) * np.pi / 4}[label] + tilt
        level = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + phase) + rng.uniform(-0.4, 0.4)
    elif label == 3:
        level = np.sin(np.pi * 2 * waves * 0.8 * x + phase) * np.sin(np.pi * 2 * waves * 0.8 * y + other) * 2
    elif label == 4:
        level = np.sin(2 * np.pi * waves * x + phase) + np.sin(2 * np.pi * waves * y + other) - rng.uniform(0.6, 1.1)
    elif label == 5:
        blocks = int(rng.choice([16, 24, 48]))
        return np.kron(rng.random((blocks, blocks)), np.ones((pixels // blocks, pixels // blocks))).astype(np.float32)
    elif label == 6:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = x * np.cos(angle) + y * np.sin(angle)
        return ((ramp - ramp.min()) / (ramp.max() - ramp.min())).astype(np.float32)
    elif label == 7:
        cx, cy = rng.uniform(0.35, 0.65, 2)
        level = np.sin(2 * np.pi * waves * 1.3 * np.hypot(x - cx, y - cy) + phase)
    elif label == 8:
        level = np.maximum(np.sin(2 * np.pi * waves * x + phase), np.sin(2 * np.pi * waves * y + other)) - rng.uniform(
            0.6, 0.85
        )
        hard *= 2
    else:
        sway = rng.uniform(0.05, 0.1) * np.sin(2 * np.pi * rng.uniform(1.5, 2.5) * x + other)
        level = np.sin(2 * np.pi * waves * (y + sway) + phase)
    return np.clip(level * hard / 2 + 0.5, 0, 1).astype(np.float32)
