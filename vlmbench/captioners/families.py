"""What differs between the architectures: the prompt, how it meets the image, and what of the output is the caption.

Everything else is the same for all (`vlmbench.captioners.generate`). An architecture that is not in the table and has a
chat template is used as a chat model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

IMAGE_ONLY = "image only"
"""The model takes no text."""
OPTIONAL = "optional"
"""Without a prompt, images alone; with one, the caption goes on from it."""
TEXT = "text"
"""Images beside a text that may hold the image's placeholder."""
INTERLEAVED = "interleaved"
"""One list of images and texts (IDEFICS 1)."""
CHAT = "chat"
"""Through the processor's chat template; the `text` of the table where it has none (a base model)."""

DESCRIBE = "Write a short caption for this image."


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        layout: how the prompt meets the image, one of the above.
        prompt: what is asked when the user gives no prompt.
        text: what the processor is given for the image itself; ``{image}`` and ``{prompt}`` are replaced.
        example: what stands before it for each worked example; ``{caption}`` is replaced too. Empty: it takes none.
        image: the image's placeholder; empty: the processor's own.
        nested: images go to the processor as a list of lists.
        finish: lazy target of a function ``(processor, raw text) -> caption``; none: special tokens are left out.
        most: the most images a batch for which batched and single captions agree; none: no limit.
    """

    layout: str
    prompt: str | None = None
    text: str = "{image}{prompt}"
    example: str = ""
    image: str = ""
    nested: bool = False
    finish: str | None = None
    most: int | None = None


_SHOTS = "{image}{prompt} {caption}\n"
_CHAT = Family(CHAT, DESCRIBE, text="{image}\n{prompt}\n", example=_SHOTS, nested=True)

FAMILIES: Mapping[str, Family] = {
    "vision-encoder-decoder": Family(IMAGE_ONLY),
    "blip": Family(OPTIONAL, text="{prompt}"),
    "git": Family(OPTIONAL, text="{prompt}"),
    "blip-2": Family(OPTIONAL, text="{prompt}"),
    "instructblip": Family(TEXT, "Write a short description for the image.", text="{prompt}"),
    "idefics": Family(INTERLEAVED, "Caption:", example=_SHOTS),
    "idefics2": Family(CHAT, DESCRIBE, text="{image}{prompt}", example=_SHOTS, nested=True),
    "idefics3": Family(CHAT, DESCRIBE, text="{image}{prompt}", example=_SHOTS, nested=True),
    "smolvlm": Family(CHAT, DESCRIBE, text="{image}{prompt}", example=_SHOTS, nested=True),
    "fuyu": Family(TEXT, "Generate a coco-style caption.\n", text="{prompt}"),
    "kosmos-2": Family(TEXT, "<grounding>An image of", text="{prompt}", finish="vlmbench.captioners.finish:kosmos2"),
    "paligemma": Family(TEXT, "caption en"),
    "florence2": Family(TEXT, "<CAPTION>", text="{prompt}", finish="vlmbench.captioners.finish:florence2"),
    "llava": Family(
        CHAT,
        DESCRIBE,
        text="USER: {image}\n{prompt} ASSISTANT:",
        example="USER: {image}\n{prompt} ASSISTANT: {caption}</s>",
    ),
    "llava_next": Family(
        CHAT,
        DESCRIBE,
        text="USER: {image}\n{prompt} ASSISTANT:",
        example="USER: {image}\n{prompt} ASSISTANT: {caption}</s>",
    ),
    "qwen2_vl": Family(
        CHAT,
        DESCRIBE,
        text="<|vision_start|>{image}<|vision_end|>{prompt}",
        example="<|vision_start|>{image}<|vision_end|>{prompt} {caption}\n",
    ),
    "qwen2_5_vl": Family(
        CHAT,
        DESCRIBE,
        text="<|vision_start|>{image}<|vision_end|>{prompt}",
        example="<|vision_start|>{image}<|vision_end|>{prompt} {caption}\n",
    ),
    "qwen3_vl": Family(
        CHAT,
        DESCRIBE,
        text="<|vision_start|>{image}<|vision_end|>{prompt}",
        example="<|vision_start|>{image}<|vision_end|>{prompt} {caption}\n",
    ),
}


def family_of(model_type: str) -> Family:
    """The family of an architecture; one that is not in the table is taken for a chat model."""
    return FAMILIES.get(model_type, _CHAT)
