"""An image as a corruption makes it."""

from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from vlmbench.data.corruptions.kinds import KINDS, SIDE, Corruption
from vlmbench.foundations.seeds import derive_seed


def corrupt(image: Image.Image, corruption: Corruption, id: str) -> Image.Image:
    """An RGB image, corrupted at its own size, or with a shorter side of `SIDE` where that is less.

    What is random depends on the kind and the image's id alone: each severity has the same noise, and so has every
    machine and every worker.
    """
    shorter = min(image.size)
    if shorter > SIDE:
        width, height = (max(SIDE, int(side * SIDE / shorter)) for side in image.size)
        image, shorter = image.resize((width, height), Image.Resampling.BILINEAR), SIDE
    module, _, name = KINDS[corruption.kind].function.partition(":")
    function: Any = getattr(import_module(module), name)
    random = np.random.default_rng(derive_seed(0, "corruption", corruption.kind, id))
    found = function(np.asarray(image), corruption.constants, shorter / SIDE, random)
    if found.dtype != np.uint8:
        np.rint(found, out=found)
        found = np.clip(found, 0, 255, out=found).astype(np.uint8)
    return Image.fromarray(found)
