"""Several looks at one item: the crops of a box, or an image and its tiles.

Boxes (Gu et al. 2021, ViLD, section 3.2): the box itself and the region of the same centre and 1.5 times its sides,
which adds context; the two embeddings, each of unit norm, are added and brought to unit norm again. Tiles (after Wu and
Xie 2024, V*: what is small in the whole vanishes): the whole image and N tiles; of each class the best logit counts.

A rectangle is ``left, top, right, bottom`` in whole pixels, the right and the bottom one excluded.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

SCALES = (1.0, 1.5)
MEAN, BEST = "mean", "best"
_FORMAT = 1

MOST_TILES = 64
"""8 x 8: beyond it, a tile of a photo is smaller than what encoders look at, and an image costs hundreds of passes."""

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Regions:
    """Where the items of a split lie in their images.

    Attributes:
        images: [N] name of the image that an item lies in; items of one image follow each other.
        boxes: [N, 4] float64: x, y, width, height in pixels of the image as it is stored (before EXIF's orientation).
        sizes: [N, 2] int64: width and height of the image that the boxes were drawn on; 0 where nobody says.
        where: the file that the boxes come from.
    """

    images: tuple[str, ...]
    boxes: np.ndarray
    sizes: np.ndarray
    where: str

    def take(self, rows: np.ndarray) -> "Regions":
        """The regions at `rows` ([M] int64), in that order."""
        return Regions(tuple(self.images[i] for i in rows), self.boxes[rows], self.sizes[rows], self.where)


@dataclass(frozen=True)
class Views:
    """How an item is looked at: the whole image and so many tiles; 0: a box at `SCALES`."""

    tiles: int = 0

    @property
    def count(self) -> int:
        """Views an item."""
        return self.tiles + 1 if self.tiles else len(SCALES)

    @property
    def combine(self) -> str:
        """``mean``: of unit embeddings, of unit norm again; ``best``: the best logit of each class."""
        return BEST if self.tiles else MEAN

    @property
    def text(self) -> str:
        """What a record says of them."""
        if self.tiles:
            return f"whole + {self.tiles} tiles, best"
        return " + ".join(f"{scale:g}x" for scale in SCALES) + " crops, mean"

    @property
    def key(self) -> list[Any]:
        """What decides the pixels of the views beside image and box, for the feature store."""
        return ["views", _FORMAT, self.tiles or list(SCALES)]


def crop_of(box: np.ndarray, scale: float, size: tuple[int, int]) -> Rectangle | None:
    """The pixels a box touches when its sides are `scale` times as long around the same centre, clipped to the image.

    Args:
        box: [4] x, y, width, height.
        scale: 1 for the box itself.
        size: width and height of the image.

    Returns:
        At least one pixel; None where the box has no part in the image.
    """
    x, y, width, height = (float(value) for value in box)
    left, top = x - width * (scale - 1) / 2, y - height * (scale - 1) / 2
    right, bottom = left + width * scale, top + height * scale
    found = (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(size[0], math.ceil(right)),
        min(size[1], math.ceil(bottom)),
    )
    return found if found[0] < found[2] and found[1] < found[3] else None


def grid(tiles: int, size: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows: of all grids of exactly so many tiles the one whose tiles are nearest to squares.

    Nearest by the logarithm of width over height; of two equally near the one with more columns. A prime number
    leaves only strips.
    """
    shapes = [(columns, tiles // columns) for columns in range(tiles, 0, -1) if tiles % columns == 0]
    return min(shapes, key=lambda shape: round(abs(math.log(size[0] * shape[1] / (size[1] * shape[0]))), 9))


def tiles_of(tiles: int, size: tuple[int, int]) -> list[Rectangle]:
    """The tiles of an image, row by row; where its sides do not divide, neighbours share a line of pixels."""
    columns, rows = grid(tiles, size)
    across = [(size[0] * i // columns, -(-size[0] * (i + 1) // columns)) for i in range(columns)]
    down = [(size[1] * i // rows, -(-size[1] * (i + 1) // rows)) for i in range(rows)]
    return [(left, top, right, bottom) for top, bottom in down for left, right in across]
