"""The interface of captioners, how they decode, and what they are opened with."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from PIL.Image import Image

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Reporter
from vlmbench.records.result import ModelFacts

if TYPE_CHECKING:
    from vlmbench.captioners.checkpoint import Checkpoint
    from vlmbench.data.base import Split
    from vlmbench.encoders.files import ModelFiles

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Decoding:
    """How a caption is made; all of it is part of the caption's key and of the record.

    Attributes:
        prompt: the text given with the image; None: the model's own (see `families`), which may be no text.
        num_beams: beam search width; 1 is greedy.
        max_new_tokens: maximum caption length, in the model's tokens.
        temperature: 0 takes the most likely token; above 0, tokens are sampled, seeded by `seed` and the image.
        shots: few-shot examples (an image and its caption) put before the image, for models that take them.
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
                "--temperature samples tokens and --num-beams searches for the most likely: choose one of them"
            )

    def record(self) -> dict[str, Any]:
        """The fields as JSON values; the seed only if it has an effect."""
        fields = asdict(self)
        if self.temperature == 0 and self.shots == 0:
            del fields["seed"]
        return fields


@dataclass(frozen=True)
class Calls:
    """How an endpoint is called; has no effect on captions.

    Attributes:
        concurrency: concurrent requests.
        timeout: seconds for one attempt, from connecting to the last byte.
        tries: maximum number of attempts.
        backoff: maximum wait before the second attempt in seconds, doubled for each further one.
    """

    concurrency: int = 8
    timeout: float = 60.0
    tries: int = 6
    backoff: float = 0.5


@dataclass(frozen=True)
class Captioning:
    """How images are captioned, for every captioner.

    Attributes:
        decoding: how a caption is made; its seed is that of the run.
        calls: how an endpoint is called.
        anchors: the set whose training split provides retrieved captions, ASIF anchors and few-shot examples; None: the
            captioned set.
        on_failure: ``skip`` reports a failed image and leaves it out; ``error`` stops the run.
    """

    decoding: Decoding = field(default_factory=Decoding)
    calls: Calls = field(default_factory=Calls)
    anchors: str | None = None
    on_failure: str = "skip"


@dataclass(frozen=True)
class Runtime:
    """Where and how a captioner runs.

    Attributes:
        device: ``cpu``, ``cuda``, ``mps``.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        batch_size: images per batch, halved when memory runs out.
        reporter: hears of loading, notes and warnings.
        engine: what runs encoders; none: torch.
    """

    device: str
    precision: str
    batch_size: int
    reporter: Reporter
    engine: str | None = None


@dataclass(frozen=True)
class Example:
    """A few-shot example for a prompt: an image (RGB), its caption, and the SHA-256 of its bytes or pixels."""

    image: Image
    caption: str
    digest: str


def examples_key(examples: Sequence[Example]) -> str | None:
    """Digest of few-shot examples, for the record; None where there are none."""
    return digest([[example.digest, example.caption] for example in examples])[:16] if examples else None


@dataclass(frozen=True)
class Item:
    """An image (RGB, upright) to be captioned, its name in messages, and the SHA-256 of its bytes or pixels."""

    name: str
    digest: str
    image: Image


@dataclass(frozen=True)
class Done:
    """The result for one image: a caption, or the reason why there is none."""

    item: Item
    caption: str | None
    reason: str | None = None


class CaptionFailed(InputError):
    """One image could not be captioned."""


@runtime_checkable
class Captioner(Protocol):
    """Generates captions for images. Nothing is loaded before the first caption."""

    @property
    def system(self) -> str:
        """The name in tables."""

    @property
    def facts(self) -> ModelFacts:
        """Where it comes from, its kind (`CaptionerKind.name`) and the hash of its weights."""

    @property
    def decoding(self) -> dict[str, Any]:
        """Everything besides the weights that decides a caption, as JSON values: options, prompt, processor's hash."""

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions `items`, yielding each result as soon as it is done (in batches, in any order); a caption is a
        single line, possibly empty.

        Raises:
            VlmbenchError: a problem of the captioner, not of one image (no key, no such model).
        """


class Encoder(Protocol):
    """An encoder that is loaded when it is first used."""

    @property
    def files(self) -> "ModelFiles":
        """Where it comes from, and the hashes of its files."""

    @property
    def encoder(self) -> Any:
        """The encoder, loaded."""


@dataclass(frozen=True)
class Training:
    """The captioned training split that a captioner uses, its dataset as the user names it, and its images'
    fingerprint."""

    dataset: str
    split: "Split"
    fingerprint: str


class Setup(Protocol):
    """What a captioner is opened with: options, and access to models and training data."""

    @property
    def decoding(self) -> Decoding:
        """How captions are made."""

    @property
    def calls(self) -> Calls:
        """How an endpoint is called."""

    @property
    def runtime(self) -> Runtime:
        """Device, precision, batch size, reporter."""

    @property
    def offline(self) -> bool:
        """Whether no network may be used."""

    def checkpoint(self, name: str) -> "Checkpoint":
        """The files of a captioner or language model; see `checkpoint.find_checkpoint` for what can be wrong."""

    def encoder(self, name: str) -> Encoder:
        """An image encoder."""

    def dual_encoder(self, name: str) -> Encoder:
        """An encoder of images and texts.

        Raises:
            UsageError: it has no text encoder.
        """

    def training(self, what: str) -> Training:
        """The training split; `what` names its use in messages.

        Raises:
            UsageError: no dataset is named.
            InputError: it has no training split, no captions, or the split is the one that is to be captioned.
        """

    def examples(self) -> Sequence[Example]:
        """`Decoding.shots` few-shot examples; the same for every image.

        Raises:
            InputError: the set has no training split, or too few images.
        """

    def text_embeddings(self, model: str, texts: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings [M, D] float32 of texts by a dual encoder."""

    def training_features(self, model: str, layer: str) -> tuple[Sequence[str], np.ndarray]:
        """Ids [N] of the training images and their un-normalised features [N, D]; damaged images are left out."""


def one_line(text: str) -> str:
    """A model's output as a caption: each run of white space becomes one space, a lone surrogate U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", " ".join(text.split()))
