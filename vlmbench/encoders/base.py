"""What an encoder is to the rest of vlmbench."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL.Image import Image

from vlmbench.foundations.errors import InputError

PROJ = "proj"
PRE_PROJ = "pre_proj"
TEXT_BATCH = 256
"""Texts a forward pass."""


@dataclass(frozen=True)
class Scale:
    """How cosines become logits: ``scale * cosine + bias``, the model's own (Radford 2021; SigLIP: Zhai 2023)."""

    scale: float
    bias: float = 0.0


class DeviceMemoryError(InputError):
    """The device has too little memory for so many images at once."""


class Preprocess(Protocol):
    """The image side's preparation; called from several threads."""

    def __call__(self, image: Image) -> np.ndarray:
        """An RGB image to float32 numbers of one shape for every image: pixels [3, H, W], or packed patches [M, P]."""
        ...


class ImageEncoder(Protocol):
    """A frozen image encoder, or the image side of a dual encoder."""

    @property
    def layers(self) -> tuple[str, ...]:
        """What `encode_images` gives: ``proj`` and ``pre_proj``, or ``pre_proj`` alone for a plain backbone."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """How an image is prepared."""
        ...

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """A batch of prepared images to un-normalised features: layer to [B, D] float32, all from one forward pass."""
        ...


class Launching(ImageEncoder, Protocol):
    """An image encoder that can be at work on a GPU while this process goes on."""

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """Prepared images as a batch, in memory that a GPU can read by itself."""
        ...

    def launch(self, pixels: np.ndarray) -> Callable[[], Mapping[str, np.ndarray]]:
        """Starts `encode_images`; what is returned waits for it and gives its result.

        Raises:
            DeviceMemoryError: the device has too little memory for so many images.
        """
        ...


class TextEncoder(Protocol):
    """A frozen text encoder, or the text side of a dual encoder."""

    @property
    def scale(self) -> Scale:
        """The model's logit scale and bias."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts [T] to un-normalised embeddings [T, D] float32."""
        ...


class DualEncoder(ImageEncoder, TextEncoder, Protocol):
    """Images and texts in one space."""


class Matching(DualEncoder, Protocol):
    """A dual encoder with a matching head (`families.Family.matching`)."""

    def match(self, pixels: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """The head's logits [B] float32 that each of the texts [B] describes one prepared image [3, H, W]."""
        ...
