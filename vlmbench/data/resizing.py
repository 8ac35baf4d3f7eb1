"""An image to the bytes that a model sees: resized, cropped, channels first, by Pillow alone.

What most image processors do before they turn bytes into floats, in plain numbers, so that a process which has loaded
neither torch nor transformers can do it (`data.decoders`).
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from PIL.Image import Image


@dataclass(frozen=True)
class Resizing:
    """Resize, then crop the centre.

    Attributes:
        size: the shorter side in pixels, or height and width; none: the image is not resized.
        resample: Pillow's filter.
        crop: height and width of the centre that is kept, black where it reaches beyond the image; none: all of it.
    """

    size: int | tuple[int, int] | None
    resample: int
    crop: tuple[int, int] | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """[3, H, W] of what it gives; `ValueError` where that depends on the image."""
        found = self.crop or self.size
        if not isinstance(found, tuple):
            raise ValueError("the size depends on the image")
        return (3, *found)

    def __call__(self, image: Image) -> np.ndarray:
        """An RGB image to [3, H, W] uint8."""
        width, height = image.size
        size = self.size
        if isinstance(size, int):
            longer = int(size * max(width, height) / min(width, height))
            size = (longer, size) if width <= height else (size, longer)
        if size is not None:
            height, width = size
            image = image.resize((width, height), self.resample)
        if self.crop is not None:
            top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
            image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """What `to_json` gave, after JSON has made lists of tuples."""
        size, crop = found["size"], found["crop"]
        return cls(tuple(size) if isinstance(size, list) else size, found["resample"], tuple(crop) if crop else None)
