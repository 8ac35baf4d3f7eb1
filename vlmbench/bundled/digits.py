"""UCI handwritten digits as scikit-learn ships them, in a fixed split kept beside this file."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
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

    package = find_spec("sklearn")  # only found: importing it takes a second
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn", name="scikit-learn")
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    found = table[_indices()[split]]
    pixels = np.rint(found[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return [Image.fromarray(image) for image in pixels], found[:, 64].astype(int).tolist()
