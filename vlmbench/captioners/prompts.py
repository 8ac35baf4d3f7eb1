"""Converts images and a prompt to a processor's inputs, by the layout of the family."""

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image

from vlmbench.captioners import families
from vlmbench.captioners.base import Example
from vlmbench.captioners.families import Family

END_OF_UTTERANCE = "<end_of_utterance>"


class Prompt:
    """The text around an image, the same for all images of a run. Without `prompt` (None) there is no text."""

    def __init__(self, family: Family, processor: Any, prompt: str | None, examples: Sequence[Example]) -> None:
        self.family = family
        self.processor = processor
        self.prompt = prompt
        self.examples = tuple(examples)
        self.image_token = family.image or str(getattr(processor, "image_token", None) or "<image>")
        instructed = getattr(processor, "tokenizer_was_trained_with_end_of_utterance_token", False)
        self.dialogue = family.layout == families.INTERLEAVED and bool(instructed)
        self.template = _template(processor) if family.layout == families.CHAT else None
        self.chat = self.template is not None

    @property
    def shown(self) -> str | None:
        """The text given with each image, as in the record, with placeholders and examples."""
        if self.family.layout == families.IMAGE_ONLY or (self.family.layout == families.OPTIONAL and not self.prompt):
            return None
        return self._text()

    def inputs(self, images: Sequence[Image]) -> Any:
        """The model's inputs for a batch of images, padded on the left."""
        text = self.shown
        if text is None:
            return self.processor(images=list(images), return_tensors="pt")
        if self.family.layout == families.INTERLEAVED:
            parts = [self._interleaved(image) for image in images]
            return self.processor(text=parts, return_tensors="pt", padding="longest", add_end_of_utterance_token=False)
        before = [example.image for example in self.examples]
        nested = self.family.nested or bool(before)
        given: list[Any] = [[*before, image] for image in images] if nested else list(images)
        texts = [text] * len(images)
        return self.processor(images=given, text=texts, return_tensors="pt", padding=True)

    def without(self, text: str) -> str:
        """An output without the prompt that some models repeat at its beginning (BLIP, GIT)."""
        if self.family.layout != families.OPTIONAL or not self.prompt:
            return text
        start = " ".join(self.prompt.split())
        flat = " ".join(text.split())
        return flat[len(start) :] if flat.lower().startswith(start.lower()) else text

    def _text(self) -> str:
        prompt = self.prompt or ""
        if self.chat:
            messages = []
            for example in self.examples:
                messages += [
                    _user(prompt),
                    {"role": "assistant", "content": [{"type": "text", "text": example.caption}]},
                ]
            conversation = [*messages, _user(prompt)]
            return str(
                self.processor.tokenizer.apply_chat_template(
                    conversation, chat_template=self.template, add_generation_prompt=True, tokenize=False
                )
            )
        fill = {"{image}": self.image_token, "{prompt}": prompt}
        shown = "".join(
            _filled(self.family.example, {**fill, "{caption}": example.caption}) for example in self.examples
        )
        return shown + _filled(self.family.text, fill)

    def _interleaved(self, image: Image) -> list[Any]:
        prompt = self.prompt or ""
        parts: list[Any] = []
        if self.dialogue:  # IDEFICS instruct, in the format it was tuned on
            turn = f"{prompt}{END_OF_UTTERANCE}\nAssistant:"
            for example in self.examples:
                parts += ["User:", example.image, f"{turn} {example.caption}{END_OF_UTTERANCE}\n"]
            return [*parts, "User:", image, turn]
        for example in self.examples:
            parts += [example.image, f"{prompt} {example.caption}\n"]
        return [*parts, image, prompt]


def _template(processor: Any) -> str | None:
    """The processor's chat template, else the tokenizer's if it supports images (older repositories)."""
    found = getattr(processor, "chat_template", None)
    if found is None:
        found = getattr(processor.tokenizer, "chat_template", None)
        found = found if isinstance(found, str) and "image" in found else None
    if isinstance(found, dict):
        found = found.get("default")
    return found or None


def _user(prompt: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}


def _filled(template: str, values: dict[str, str]) -> str:
    """`template` with each placeholder replaced once; inserted text is never searched again."""
    parts = []
    rest = template
    while rest:
        found = min((name for name in values if name in rest), key=rest.index, default=None)
        if found is None:
            parts.append(rest)
            break
        head, _, rest = rest.partition(found)
        parts += [head, values[found]]
    return "".join(parts)
