"""The image side's preparation: a checkpoint's own processor, an image at a time, without torchvision.

A processor also turns a batch of what it made into the arguments of the model, so that packing and unpacking stand in
one place.
"""

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from torch.nn.functional import interpolate

from vlmbench.encoders.files import ModelFiles, image_settings, switches
from vlmbench.encoders.pretrained import transformers, unloadable
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible

_MODES = {2: "bilinear", 3: "bicubic"}


def open_processor(files: ModelFiles) -> "Processor | PatchProcessor | FloatProcessor":
    """The processor that a checkpoint's ``preprocessor_config.json`` asks for.

    Raises:
        InputError: it cannot be read, or does not fit the model.
    """
    settings = image_settings(files.directory, needed_by=files.id)
    kind = str(settings.get("image_processor_type", ""))
    if kind.startswith("Siglip2ImageProcessor"):
        return PatchProcessor(files)
    if kind.startswith("DINOv3ViTImageProcessor"):
        return FloatProcessor(files, settings)
    return Processor(files)


class Processor:
    """The checkpoint's image processor, in its PIL version."""

    def __init__(self, files: ModelFiles) -> None:
        library = transformers()
        backend: dict[str, Any] = (
            {"backend": "pil"} if int(version("transformers").split(".")[0]) >= 5 else {"use_fast": False}
        )
        try:
            self.processor = library.AutoImageProcessor.from_pretrained(
                str(files.directory), **backend, **switches(files.own_code)
            )
        except Exception as error:
            raise unloadable(files, "image processor", error) from error

    def __call__(self, image: Image) -> np.ndarray:
        """An RGB image to pixels [3, H, W] float32."""
        pixels = self.processor(images=image, return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, np.float32)

    def inputs(self, batch: np.ndarray, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Pixels [B, 3, H, W] to the model's arguments."""
        return {"pixel_values": torch.from_numpy(np.ascontiguousarray(batch)).to(device, dtype)}


class PatchProcessor(Processor):
    """SigLIP 2 NaFlex: the image in its own aspect ratio, cut into at most ``max_num_patches`` patches.

    An image becomes one array [M + 1, P] float32: its patches (P numbers each), zeros up to M, and a last row that
    begins with how many patches it is high and wide.
    """

    def __init__(self, files: ModelFiles) -> None:
        super().__init__(files)
        vision = files.config.get("vision_config") or files.config
        wanted, own = int(vision.get("patch_size", 16)), int(self.processor.patch_size)
        if wanted != own:
            raise InputError(
                f"{visible(files.id)} takes patches of {wanted} pixels, and its images are cut into patches of {own}",
                where=str(files.directory),
                fix="fix patch_size in its preprocessor_config.json",
            )

    def __call__(self, image: Image) -> np.ndarray:
        """An RGB image to packed patches [M + 1, P] float32."""
        made = self.processor(images=image, return_tensors="np")
        patches = np.asarray(made["pixel_values"][0], np.float32)
        shape = np.zeros((1, patches.shape[1]), np.float32)
        shape[0, :2] = made["spatial_shapes"][0]
        return np.concatenate([patches, shape])

    def inputs(self, batch: np.ndarray, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Packed patches [B, M + 1, P] to the model's arguments: patches, their mask, height and width in patches."""
        shapes = torch.from_numpy(batch[:, -1, :2].astype(np.int64))
        mask = torch.arange(batch.shape[1] - 1) < shapes.prod(1, keepdim=True)
        return {
            "pixel_values": torch.from_numpy(np.ascontiguousarray(batch[:, :-1])).to(device, dtype),
            "pixel_attention_mask": mask.to(device, torch.int32),
            "spatial_shapes": shapes.to(device),
        }


class FloatProcessor(Processor):
    """DINOv3: pixels from 0 to 1, resized as floats with antialiasing, normalised.

    transformers has this processor in a torchvision version alone; what that calls is torch's own interpolation.
    """

    def __init__(self, files: ModelFiles, settings: dict[str, Any]) -> None:
        size = settings.get("size") or {"height": 224, "width": 224}
        mode = _MODES.get(int(settings.get("resample", 2)))
        if mode is None or not {"height", "width"} <= set(size) or settings.get("do_center_crop"):
            raise InputError(
                f"{visible(files.id)} asks for a preparation of images that vlmbench does not have for DINOv3",
                where=str(files.directory),
                fix="size with height and width, resample 2 or 3, no center crop in its preprocessor_config.json",
            )
        self.size = (int(size["height"]), int(size["width"])) if settings.get("do_resize", True) else None
        self.mode = mode
        self.factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
        normalised = settings.get("do_normalize", True)
        self.mean = _channels(settings.get("image_mean", (0.485, 0.456, 0.406)) if normalised else (0, 0, 0))
        self.std = _channels(settings.get("image_std", (0.229, 0.224, 0.225)) if normalised else (1, 1, 1))

    def __call__(self, image: Image) -> np.ndarray:
        """An RGB image to pixels [3, H, W] float32."""
        pixels = torch.from_numpy(np.array(image, np.float32).transpose(2, 0, 1)) * self.factor
        if self.size is not None and self.size != pixels.shape[1:]:
            pixels = interpolate(pixels[None], self.size, mode=self.mode, antialias=True, align_corners=False)[0]
        made: np.ndarray = ((pixels - self.mean) / self.std).numpy()
        return made


def _channels(values: Any) -> torch.Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float32)[:, None, None]
