"""Raw pixels as features: the baseline that shows what an encoder adds.

No model: an image is made 16×16 (bicubic, whatever its shape), and its red, green and blue values, 0 to 1, are the
features. A linear probe on them is the classifier of the textbooks; an encoder that does not beat it has no merit on
that dataset.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image, Resampling

from vlmbench.encoders.base import PRE_PROJ
from vlmbench.encoders.families import BACKBONE, Family
from vlmbench.encoders.files import ModelFiles
from vlmbench.foundations.hashing import digest

NAME = "pixels"
SIDE = 16
FAMILY = Family(NAME, BACKBONE, "vlmbench.encoders.pixels:Pixels", (PRE_PROJ,))


def pixel_files() -> ModelFiles:
    """What identifies the baseline: the description above, hashed in place of weights."""
    description = {"features": "RGB, 0 to 1, rows first", "side": SIDE, "resize": "PIL bicubic"}
    nothing = digest(None)
    return ModelFiles(
        id=NAME,
        source=NAME,
        system=NAME,
        revision=None,
        directory=Path(),
        config={},
        family=FAMILY,
        weights_sha256=digest(description),
        preprocessing_sha256=digest(description),
        tokenizer_sha256=nothing,
    )


class Pixels:
    """An `ImageEncoder` without a model; gives [B, 768] float32."""

    layers = (PRE_PROJ,)

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Any) -> None:
        self.id = files.id

    def preprocess(self, image: Image) -> np.ndarray:
        """An RGB image to [3, 16, 16] float32, 0 to 1."""
        small = image.resize((SIDE, SIDE), Resampling.BICUBIC)
        return np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 255

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """Pixels [B, 3, 16, 16] to the same numbers, [B, 768]."""
        return {PRE_PROJ: np.ascontiguousarray(pixels, dtype=np.float32).reshape(len(pixels), -1)}
