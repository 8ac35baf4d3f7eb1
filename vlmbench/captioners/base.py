"""What a captioner is to the rest of vlmbench, and how it decodes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from PIL.Image import Image

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.records.result import ModelFacts

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Decoding:
    """How a caption is made; all of it is part of the caption's key and of the record.

    Attributes:
        prompt: the text given with the image; none: the model's own (see `families`), which for some is no text at all.
        num_beams: beams of the search; 1 is greedy.
        max_new_tokens: longest caption, in the model's tokens.
        temperature: 0 takes the likeliest token; above it, tokens are sampled, seeded by `seed` and the image.
        shots: worked examples (an image and its caption) put before the image, for models that take them.
        seed: decides the examples and the samples.
    """

    prompt: str | None = None
    num_beams: int = 1
    max_new_tokens: int = 40
    temperature: float = 0.0
    shots: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("num_beams", 1), ("max_new_tokens", 1), ("shots", 0), ("temperature", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name.replace('_', '-')} must be at least {least}, not {getattr(self, name)}")
        if self.temperature > 0 and self.num_beams > 1:
            raise UsageError(
                "--temperature samples tokens and --num-beams searches for the likeliest: choose one of them"
            )

    def record(self) -> dict[str, Any]:
        """The fields as JSON values; the seed only where it decides anything."""
        fields = asdict(self)
        if self.temperature == 0 and self.shots == 0:
            del fields["seed"]
        return fields


@dataclass(frozen=True)
class Example:
    """A worked example for a prompt: an image (RGB), its caption, and the SHA-256 of its bytes or pixels."""

    image: Image
    caption: str
    digest: str


@dataclass(frozen=True)
class Item:
    """An image to be captioned.

    Attributes:
        name: what messages call it.
        digest: SHA-256 of its bytes or pixels.
        image: RGB, upright.
    """

    name: str
    digest: str
    image: Image


@dataclass(frozen=True)
class Done:
    """What became of one image: a caption, or the reason why there is none."""

    item: Item
    caption: str | None
    reason: str | None = None


class CaptionFailed(InputError):
    """One image could not be captioned."""


class Captioner(Protocol):
    """Images in, captions out. Nothing is loaded before the first caption is asked for."""

    @property
    def system(self) -> str:
        """The name a table shows."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """Where it comes from and the hash of its weights."""
        ...

    @property
    def decoding(self) -> dict[str, Any]:
        """Everything besides the weights that decides a caption, as JSON values: decoding options, prompt.

        Hash of the processor …
        """
        ...

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions `items`, yielding each as soon as it is done (in batches, in any order); a caption is a single line,
        possibly empty.

        Raises:
            VlmbenchError: what concerns the captioner and not one image (no key, no such model).
        """
        ...


def one_line(text: str) -> str:
    """A model's output as a caption: every run of white space becomes one space, half a surrogate pair U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", " ".join(text.split()))
