"""A split whose photographs are decoded at reduced scale."""

from dataclasses import dataclass, replace

import numpy as np

from vlmbench.data.base import ImageSource, Split
from vlmbench.data.images import REDUCED_SIDE, decode

TEXT = f"reduced:{REDUCED_SIDE}"
"""What the protocol says."""


def reduced(split: Split) -> Split:
    """The split with its images as `data.images.decode` makes them at reduced scale."""
    return replace(split, images=_Reduced(split.images, split.ids))


@dataclass(frozen=True)
class _Reduced:
    images: ImageSource
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def stamp(self) -> str | None:
        """The images' own."""
        return self.images.stamp()

    def read(self, index: int) -> np.ndarray:
        """Pixels [H, W, 3] uint8, upright; raises `BadImage` where the image cannot be decoded."""
        return np.asarray(decode(self.images.read(index), self.ids[index], reduced=True))
