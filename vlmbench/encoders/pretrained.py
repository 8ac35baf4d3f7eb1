"""Loading through transformers: from a directory, never from the network, a checkpoint's own code only if trusted."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vlmbench.encoders.base import DeviceMemoryError
from vlmbench.encoders.files import ModelFiles, switches
from vlmbench.foundations.errors import InputError, VlmbenchError, out_of_memory, too_little_memory
from vlmbench.foundations.text import visible

_POSITIONS_FROM_PADDING = {"altclip_text_model", "xlm-roberta", "roberta", "mpnet"}
"""RoBERTa and what was made from it count positions from the padding index on."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def transformers() -> Any:
    """The library, with its own progress bars and advice turned off."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    import transformers as library

    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


def load_weights(
    files: ModelFiles, class_name: str, device: str, precision: str, *, add_pooling_layer: bool | None = None
) -> Any:
    """A model in evaluation mode, every weight from the checkpoint.

    Args:
        files: the checkpoint.
        class_name: of transformers.
        device: where the model runs.
        precision: fp32, bf16 or fp16.
        add_pooling_layer: whether the model has its pooler; none: as its class has it.

    Raises:
        InputError: the checkpoint is damaged, or lacks weights that the architecture needs.
    """
    library = transformers()
    pooler = {} if add_pooling_layer is None else {"add_pooling_layer": add_pooling_layer}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, loading = getattr(library, class_name).from_pretrained(
                str(files.directory),
                dtype=DTYPES[precision],
                output_loading_info=True,
                **switches(files.own_code),
                **pooler,
            )
    except VlmbenchError:
        raise
    except Exception as error:  # of many types; safetensors raises its own for a damaged file
        raise unloadable(files, "weights", error) from error
    missing = sorted(loading["missing_keys"]) + sorted(str(key[0]) for key in loading.get("mismatched_keys", ()))
    if missing:
        raise InputError(
            f"the checkpoint of {visible(files.id)} lacks {len(missing)} weights of {type(model).__name__}, "
            f"the first is {missing[0]}",
            where=str(files.directory),
            fix="get the whole checkpoint again; random weights are never put in their place",
        )
    return model.eval().requires_grad_(False).to(device)


def load_tokenizer(files: ModelFiles) -> Any:
    """The checkpoint's tokenizer.

    Raises:
        InputError: it has none, or a damaged one.
    """
    try:
        return transformers().AutoTokenizer.from_pretrained(str(files.directory), **switches(files.own_code))
    except Exception as error:
        raise unloadable(files, "tokenizer", error) from error


def context_length(tokenizer: Any, config: Any) -> int:
    """The most tokens of a text: what its tokenizer allows and what the model has positions for."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    if getattr(config, "model_type", "") in _POSITIONS_FROM_PADDING:
        positions -= int(config.pad_token_id) + 1
    return min(int(tokenizer.model_max_length), positions)


@contextmanager
def load_errors(id: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Turns what a model raises on a batch of images of this shape into an error that a user can act on."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"not enough memory on the device for {shape[0]} images at once", where=id, fix="a smaller --batch-size"
        ) from None  # a traceback would keep the tensors of the failed pass
    except ValueError as error:
        raise InputError(
            f"{visible(id)} does not take images of {shape[-2]} x {shape[-1]} pixels: {visible(str(error))}",
            where=id,
            fix="fix size and crop_size in its preprocessor_config.json",
        ) from error


def unloadable(files: ModelFiles, part: str, error: Exception) -> VlmbenchError:
    """The error for a part of a checkpoint that cannot be read, or for which there is no memory."""
    if out_of_memory(error):
        return too_little_memory(str(files.directory))
    lines = [line for line in str(error).splitlines() if line.strip()]
    reason = visible(lines[0]) if lines else type(error).__name__
    return InputError(
        f"cannot load the {part} of {visible(files.id)}: {reason}",
        where=str(files.directory),
        fix="get its files again, or name another model",
    )
