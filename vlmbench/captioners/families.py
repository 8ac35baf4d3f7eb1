"""Differences between architectures: the prompt, how it is combined with the image, and the caption in the output.

Everything else is the same for all (`vlmbench.captioners.generate`). An architecture that is not in the table but has a
chat template is used as a chat model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

IMAGE_ONLY = "image only"
"""The model takes no text."""
OPTIONAL = "optional"
"""Without a prompt, only images; with one, the caption continues it."""
TEXT = "text"
"""Images and a text that may contain the image placeholder."""
INTERLEAVED = "interleaved"
"""One list of images and texts (IDEFICS 1)."""
CHAT = "chat"
"""The processor's chat template; without one (a base model), the `text` of the table."""

DESCRIBE = "Write a short caption for this image."


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        layout: how prompt and image are combined, one of the above.
        prompt: the default prompt.
        text: the processor's text for the image itself; ``{image}`` and ``{prompt}`` are replaced.
        example: the text before it for each few-shot example; ``{caption}`` is replaced too. Empty: no examples.
        image: the image's placeholder; empty: the processor's own.
        nested: images go to the processor as a list of lists.
        grounded: the output marks phrases and boxes, which the processor removes.
        never: tokens it must not generate.
        most: largest batch for which batched and single captions agree; None: no limit.
    """

    layout: str
    prompt: str | None = None
    text: str = "{image}{prompt}"
    example: str = ""
    image: str = ""
    nested: bool = False
    grounded: bool = False
    never: tuple[str, ...] = ()
    most: int | None = None


_SHOTS = "{image}{prompt} {caption}\n"
_LLAVA = "USER: {image}\n{prompt} ASSISTANT:"
_QWEN = "<|vision_start|>{image}<|vision_end|>{prompt}"
_NO_IMAGES = ("<image>", "<fake_token_around_image>")

_CHAT = Family(CHAT, DESCRIBE, text="{image}\n{prompt}\n", example=_SHOTS, nested=True)
_IDEFICS = Family(CHAT, DESCRIBE, example=_SHOTS, nested=True, never=_NO_IMAGES)
_LLAVAS = Family(CHAT, DESCRIBE, text=_LLAVA, example=_LLAVA + " {caption}</s>")
_QWENS = Family(CHAT, DESCRIBE, text=_QWEN, example=_QWEN + " {caption}\n")

FAMILIES: Mapping[str, Family] = {
    "vision-encoder-decoder": Family(IMAGE_ONLY),
    "blip": Family(OPTIONAL, text="{prompt}"),
    "git": Family(OPTIONAL, text="{prompt}"),
    "blip-2": Family(OPTIONAL, text="{prompt}"),
    "instructblip": Family(TEXT, "Write a short description for the image.", text="{prompt}"),
    "idefics": Family(INTERLEAVED, "Caption:", example=_SHOTS, never=_NO_IMAGES),
    "idefics2": _IDEFICS,
    "idefics3": _IDEFICS,
    "smolvlm": _IDEFICS,
    "fuyu": Family(TEXT, "Generate a coco-style caption.\n", text="{prompt}"),
    "kosmos-2": Family(TEXT, "<grounding>An image of", text="{prompt}", grounded=True),
    "paligemma": Family(TEXT, "caption en"),
    "florence2": Family(TEXT, "<CAPTION>", text="{prompt}"),
    "llava": _LLAVAS,
    "llava_next": _LLAVAS,
    "qwen2_vl": _QWENS,
    "qwen2_5_vl": _QWENS,
    "qwen3_vl": _QWENS,
}


def family_of(model_type: str) -> Family:
    """The family of an architecture; one that is not in the table is treated as a chat model."""
    return FAMILIES.get(model_type, _CHAT)
