"""A captioner's transformers processor, with PIL image processors: torchvision is never needed, nor used if it is
installed.

transformers' own `AutoProcessor` insists on torchvision for models that also take videos; images need none of it.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

from vlmbench.captioners.checkpoint import Checkpoint
from vlmbench.encoders.files import read_json, switches
from vlmbench.encoders.pretrained import transformers
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible


class Separate:
    """Image processor and tokenizer of a model without a processor of its own (vision encoder–decoders)."""

    chat_template = None

    def __init__(self, checkpoint: Checkpoint) -> None:
        library = transformers()
        directory = str(checkpoint.directory)
        self.image_processor = library.AutoImageProcessor.from_pretrained(directory, **_pil(), **switches())
        self.tokenizer = library.AutoTokenizer.from_pretrained(directory, **switches())

    def __call__(self, images: Any, **more: Any) -> Any:
        """Images to pixel values."""
        return self.image_processor(images=images, return_tensors="pt")


def load_processor(checkpoint: Checkpoint) -> Any:
    """The processor of a checkpoint; for a vision encoder–decoder its image processor and tokenizer. Raises
    `InputError` where it cannot be built from the checkpoint's files."""
    try:
        if checkpoint.model_type == "vision-encoder-decoder":
            return Separate(checkpoint)
        if checkpoint.own_code and _brings_processor(checkpoint):
            return transformers().AutoProcessor.from_pretrained(str(checkpoint.directory), **checkpoint.loading)
        if _major() < 5:
            return transformers().AutoProcessor.from_pretrained(str(checkpoint.directory), use_fast=False, **switches())
        return _patched(_assembled(checkpoint), checkpoint.model_type)
    except Exception as error:  # transformers raises many types here; each means inconsistent files
        raise InputError(
            f"cannot load the processor of {visible(checkpoint.id)}: {first_line(error)}",
            where=str(checkpoint.directory),
            fix="download its files again, or use another model",
        ) from error


def _brings_processor(checkpoint: Checkpoint) -> bool:
    """Whether the code that comes with a checkpoint includes a processor."""
    paths = [checkpoint.directory / name for name in ("processor_config.json", "preprocessor_config.json")]
    named = [read_json(path, needed_by=checkpoint.id).get("auto_map") for path in paths if path.is_file()]
    return any(isinstance(own, dict) and "AutoProcessor" in own for own in named)


def first_line(error: Exception) -> str:
    """An exception's message, in one line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return visible(lines[0]) if lines else type(error).__name__


def _patched(processor: Any, model_type: str) -> Any:
    """Works around what fails in transformers 5 for one architecture without torchvision."""
    if model_type == "fuyu":  # its PIL processor passes itself tensors instead of arrays
        import torch

        original = processor.image_processor.patchify_image

        def patchify_image(image: Any, patch_size: Any = None) -> Any:
            array = image.numpy() if isinstance(image, torch.Tensor) else image
            return torch.as_tensor(original(array, patch_size))

        processor.image_processor.patchify_image = patchify_image
    return processor


def _no_videos(*given: Any) -> str:
    raise NotImplementedError("videos are not captioned")


def _assembled(checkpoint: Checkpoint) -> Any:
    """The processor assembled from its parts: PIL image processor, unchanged tokenizers, no video processor."""
    library = transformers()
    directory = str(checkpoint.directory)
    base = _processor_class(checkpoint)
    names = base.get_attributes()
    if base.__name__ == "SmolVLMProcessor":  # it needs num2words, for videos
        module: Any = import_module(base.__module__)
        module.num2words = getattr(module, "num2words", None) or _no_videos
    settings, _ = base.get_processor_dict(directory, **switches())

    class WithoutVideo(base):  # type: ignore[misc, valid-type]
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in names if name != "video_processor"]

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)

    parts: dict[str, Any] = {}
    for name in names:
        if name == "image_processor":
            parts[name] = library.AutoImageProcessor.from_pretrained(directory, **_pil(), **switches())
        elif name == "video_processor":
            parts[name] = None
        else:
            parts[name] = base._load_tokenizer_from_pretrained(name, directory, **switches())
    return WithoutVideo.from_args_and_dict(list(parts.values()), settings)


def _processor_class(checkpoint: Checkpoint) -> Any:
    """The class the checkpoint names, else the one transformers has for its architecture."""
    library = transformers()
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        path = checkpoint.directory / name
        named = read_json(path, needed_by=checkpoint.id).get("processor_class") if path.is_file() else None
        if isinstance(named, str) and hasattr(library, named):
            return getattr(library, named)
    mapping = import_module("transformers.models.auto.processing_auto").PROCESSOR_MAPPING_NAMES
    named = mapping.get(checkpoint.model_type)
    if not isinstance(named, str):
        raise ValueError(f"transformers has no processor for the architecture {checkpoint.model_type!r}")
    return getattr(library, named)


def _pil() -> dict[str, Any]:
    return {"backend": "pil"} if _major() >= 5 else {"use_fast": False}


def _major() -> int:
    return int(version("transformers").split(".")[0])
