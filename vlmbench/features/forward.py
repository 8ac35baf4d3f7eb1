"""Batches through an encoder: on their way while other work is done, and smaller ones where memory is short."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from vlmbench.encoders.base import DeviceMemoryError, ImageEncoder
from vlmbench.foundations.progress import Reporter


class Forward:
    """An encoder that takes fewer images at once where the device has too little memory for a batch.

    Args:
        encoder: the encoder.
        name: what messages call it.
        most: images at once, as long as memory is enough.
        reporter: hears of it where it is not.
        compact: whether images are to be prepared as bytes where the encoder takes those; they become floats there.

    Attributes:
        preparation: what makes of an image what the encoder takes.
    """

    def __init__(self, encoder: ImageEncoder, name: str, most: int, reporter: Reporter, *, compact: bool) -> None:
        self._encoder, self._name, self._most, self._reporter = encoder, name, most, reporter
        self._launch: Any = getattr(encoder, "launch", None)
        self.stack: Callable[[Sequence[np.ndarray]], np.ndarray] = getattr(encoder, "stack", None) or np.stack
        resizing = getattr(encoder.preprocess, "resizing", None)
        self.preparation: Any = resizing if compact and resizing is not None else encoder.preprocess

    def start(self, pixels: np.ndarray) -> Callable[[], Mapping[str, np.ndarray]]:
        """A batch on its way; what is returned waits for its features.

        Raises:
            DeviceMemoryError: there is too little memory for a single image.
        """
        while True:
            parts = [pixels[at : at + self._most] for at in range(0, len(pixels), self._most)]
            try:
                waits = [self._start(part) for part in parts]
            except DeviceMemoryError:
                if self._most == 1:
                    raise
            else:
                return waits[0] if len(waits) == 1 else partial(_all, waits)
            self._most = (min(self._most, len(pixels)) + 1) // 2
            self._reporter.note(f"{self._name}: the device's memory is full; {self._most} images at once from here on")

    def _start(self, pixels: np.ndarray) -> Callable[[], Mapping[str, np.ndarray]]:
        if self._launch is not None:
            found: Callable[[], Mapping[str, np.ndarray]] = self._launch(pixels)
            return found
        layers = self._encoder.encode_images(pixels)
        return lambda: layers


def _all(waits: Sequence[Callable[[], Mapping[str, np.ndarray]]]) -> Mapping[str, np.ndarray]:
    return joined([wait() for wait in waits])


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The features of several batches as those of one, layer by layer."""
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}
