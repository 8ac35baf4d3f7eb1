"""``squares:SIDE``: squares of three colours, SIDE pixels wide, made as they are read."""

from dataclasses import dataclass

import numpy as np

from vlmbench.data.base import DatasetInfo, Split
from vlmbench.foundations.errors import InputError

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}
COUNTS = {"train": 24, "test": 15}


def open_squares(ref, opening):
    """The dataset of a `vlmbench.data.names.DatasetRef`; `opening` has the cache directory and the reporter."""
    if not ref.place.isdigit() or not 8 <= int(ref.place) <= 256:
        raise InputError(f"no side of 8 to 256 pixels: {ref.place}", where=str(ref), fix="squares:32")
    return Squares(ref.id, int(ref.place))


@dataclass(frozen=True)
class Squares:
    """A dataset: its facts and its splits."""

    id: str
    side: int

    @property
    def info(self):
        return DatasetInfo(id=self.id, revision=None, splits=tuple(COUNTS), classnames=tuple(COLOURS))

    def split(self, name):
        labels = np.arange(COUNTS[name]) % len(COLOURS)
        return Split(name, tuple(f"{name}-{i}" for i in range(len(labels))), labels, Images(name, self.side, labels))


@dataclass(frozen=True)
class Images:
    """The images of a split."""

    name: str
    side: int
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def read(self, index):
        """Pixels [side, side, 3] uint8; encoded bytes would do as well."""
        noise = np.random.default_rng([index, len(self.name)]).integers(-25, 25, (self.side, self.side, 3))
        return np.clip(noise + list(COLOURS.values())[self.labels[index]], 0, 255).astype(np.uint8)

    def stamp(self):
        """None: nothing says without reading them whether images have changed."""
        return None
