"""The image side's preparation: a checkpoint's own processor, an image at a time, without torchvision.

A processor also turns a batch of what it made into the arguments of the model, so that packing and unpacking stand in
one place.
"""

from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import torch
from PIL import Image as images
from PIL.Image import Image
from torch.nn.functional import interpolate

from vlmbench.data.resizing import Resizing
from vlmbench.encoders.files import ModelFiles, image_settings, switches
from vlmbench.encoders.pretrained import transformers, unloadable
from vlmbench.encoders.transfer import to_device
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
    """The checkpoint's image processor, in its PIL version.

    Attributes:
        resizing: what it does to an image as long as pixels are bytes; none: something that `Resizing` is not.
        values: [3, 256] float32, what it makes of each byte of each channel after that.
    """

    resizing: Resizing | None = None
    values: np.ndarray

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
        if not files.own_code:
            self._simplify()

    def __call__(self, image: Image) -> np.ndarray:
        """An RGB image to pixels [3, H, W] float32."""
        if self.resizing is None:
            return self._processed(image)
        pixels = self.resizing(image)
        found = np.empty(pixels.shape, np.float32)
        for values, channel, out in zip(self.values, pixels, found, strict=True):
            values.take(channel, out=out, mode="clip")
        return found

    def inputs(self, batch: np.ndarray, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Pixels [B, 3, H, W], float32 or the bytes that `resizing` gives, to the model's arguments."""
        pixels = to_device(batch, device)
        if pixels.dtype != torch.uint8:
            return {"pixel_values": pixels.to(dtype)}
        values = to_device(self.values, device).to(dtype).flatten()
        places = pixels.to(torch.int32) + torch.arange(0, values.numel(), 256, dtype=torch.int32, device=device).view(
            -1, 1, 1
        )
        return {"pixel_values": values.index_select(0, places.flatten()).view(pixels.shape)}

    def _processed(self, image: Image, **options: Any) -> np.ndarray:
        pixels = self.processor(images=image, return_tensors="np", **options)["pixel_values"][0]
        return np.asarray(pixels, np.float32)

    def _simplify(self) -> None:
        """Sets `resizing` and `values` where they give, bit by bit, what the processor gives of several images."""
        try:
            resizing = _resizing(self.processor)
            shape = resizing.shape
            every = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
            values = self._processed(images.fromarray(every), do_resize=False, do_center_crop=False).reshape(3, 256)
            noise = np.random.default_rng(0)
            for height, width in product((7, shape[1] + 13), (9, shape[2] + 40)):
                image = images.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8))
                if not np.array_equal(
                    np.take_along_axis(values, resizing(image).reshape(3, -1).astype(np.intp), 1).reshape(shape),
                    self._processed(image),
                ):
                    return
        except Exception:  # another kind of processor, which may raise anything here: it does its work itself
            return
        self.resizing, self.values = resizing, np.ascontiguousarray(values)


def _resizing(processor: Any) -> Resizing:
    """What a processor's settings ask for, if it is of the usual kind."""
    size, crop = dict(processor.size), dict(processor.crop_size or {}) if processor.do_center_crop else {}
    pair = (size["height"], size["width"]) if size.get("height") else None
    shorter, fraction = size.get("shortest_edge"), getattr(processor, "crop_pct", None)
    found: int | tuple[int, int] | None = pair or shorter
    kept = (int(crop["height"]), int(crop["width"])) if crop else None
    if fraction is not None and shorter:  # ConvNeXT's
        found, kept = (int(shorter / fraction), (shorter, shorter)) if shorter < 384 else ((shorter, shorter), kept)
    return Resizing(found if processor.do_resize else None, int(processor.resample), kept)


class PatchProcessor(Processor):
    """SigLIP 2 NaFlex: the image in its own aspect ratio, cut into at most ``max_num_patches`` patches.

    An image becomes one array [M + 1, P] float32: its patches (P numbers each), zeros up to M, and a last row that
    begins with how many patches it is high and wide.
    """

    def __init__(self, files: ModelFiles) -> None:
        super().__init__(files)
        self.resizing = None
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
            "pixel_values": to_device(batch[:, :-1], device).to(dtype),
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
