"""Plain image backbones by transformers: pooled features for a linear probe, as is standard for each."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from vlmbench.encoders.base import PRE_PROJ
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.pretrained import load_errors, load_weights
from vlmbench.encoders.processors import open_processor
from vlmbench.encoders.transfer import from_device, stack
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible


class _Backbone:
    add_pooling_layer: bool | None = None

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Reporter) -> None:
        self.model = load_weights(files, "AutoModel", device, precision, add_pooling_layer=self.add_pooling_layer)
        self.preprocess = open_processor(files)
        self.id = files.id
        self.device = torch.device(device)
        self.dtype = next(self.model.parameters()).dtype
        self.image_tower = self._image

    @property
    def layers(self) -> tuple[str, ...]:
        """Pooled features alone: there is no projection."""
        return (PRE_PROJ,)

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """A batch of prepared images to ``pre_proj`` [B, D] float32, un-normalised."""
        return self.launch(pixels)()

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """Prepared images as a batch."""
        return stack(items, self.device)

    @torch.inference_mode()
    def launch(self, pixels: np.ndarray) -> Callable[[], Mapping[str, np.ndarray]]:
        """Starts `encode_images`; see `base.Launching`."""
        with load_errors(self.id, pixels.shape):
            inputs = self.preprocess.inputs(pixels, self.device, self.dtype)
            return from_device(self.image_tower(inputs))

    def _image(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {PRE_PROJ: self._pooled(inputs).flatten(1)}

    def _pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        raise NotImplementedError


class PooledBackbone(_Backbone):
    """ResNet, RegNet, ConvNeXt (DINOv3's too), Swin, lone CLIP or SigLIP image towers: the model's own pooled output.

    For the convolutional ones and Swin that is the global average of the last feature map (ConvNeXt and Swin: with the
    final layer norm), 2048 numbers for a ResNet-50.
    """

    def _pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        pooled: torch.Tensor | None = self.model(**inputs).pooler_output
        if pooled is None:
            raise InputError(
                f"{visible(self.id)} pools nothing: its configuration leaves the head out",
                where=self.id,
                fix="name a checkpoint with its head, or score features of your own: --features FILE",
            )
        return pooled


class ClassTokenBackbone(_Backbone):
    """DINOv2, DINOv3: the class token after the final layer norm, never the pooler."""

    def _pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        token: torch.Tensor = self.model(**inputs).last_hidden_state[:, 0]
        return token


class UnpooledBackbone(ClassTokenBackbone):
    """ViT, DeiT: the same, loaded without the pooler, a dense layer that most of these checkpoints do not hold."""

    add_pooling_layer = False
