"""UCI handwritten digits as scikit-learn ships them, in a fixed split kept beside this file."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from PIL import Image

_META = Path(__file__).parent / "datasets" / "digits" / "dataset.json"


@lru_cache(maxsize=1)
def _indices() -> dict[str, list[int]]:
    indices: dict[str, list[int]] = json.loads(_META.read_text())["indices"]
    return indices


def load_digits_split(split: str) -> tuple[list[Image.Image], list[int]]:
    """The images and labels of `split` ("train", "val" or "test"), in the order of scikit-learn's file.

    Returns: 8 x 8 images of mode L (0..16 scaled to 0..255, ink white on black), labels 0..9.
    Raises: KeyError for a split of another name.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    rows = _indices()[split]
    bunch = load_digits()
    pixels = np.rint(bunch.images[rows] * (255 / 16)).astype(np.uint8)
    return [Image.fromarray(image) for image in pixels], [int(label) for label in bunch.target[rows]]
