"""What a captioner is to the rest of vlmbench, how it decodes, and what it is opened with."""

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
        prompt: the text given with the image; None: the model's own (see `families`), which for some is no text at all.
        num_beams: beams of the search; 1 is greedy.
        max_new_tokens: longest caption, in the model's tokens.
        temperature: 0 takes the likeliest token; above it, tokens are sampled, seeded by `seed` and the image.
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
                "--temperature samples tokens and --num-beams searches for the likeliest: choose one of them"
            )

    def record(self) -> dict[str, Any]:
        """The fields as JSON values; the seed only where it decides anything."""
        fields = asdict(self)
        if self.temperature == 0 and self.shots == 0:
            del fields["seed"]
        return fields


@dataclass(frozen=True)
class Calls:
    """How an endpoint is called; it decides no caption.

    Attributes:
        concurrency: calls at a time.
        timeout: seconds for one try, from connecting to the last byte.
        tries: how often a call is tried.
        backoff: seconds before the second try at most, doubled for each further one.
    """

    concurrency: int = 8
    timeout: float = 60.0
    tries: int = 6
    backoff: float = 0.5


@dataclass(frozen=True)
class Captioning:
    """How images are captioned, whoever captions them.

    Attributes:
        decoding: how a caption is made; its seed is that of the run.
        calls: how an endpoint is called.
        anchors: the set whose training split retrieval, ASIF and few-shot examples draw on; None: the captioned set.
        on_failure: ``skip`` leaves out an image that fails and names it; ``error`` ends the run.
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


@runtime_checkable
class Captioner(Protocol):
    """Images in, captions out. Nothing is loaded before the first caption is made."""

    @property
    def system(self) -> str:
        """The name a table shows."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """Where it comes from, its kind (`CaptionerKind.name`) and the hash of its weights."""
        ...

    @property
    def decoding(self) -> dict[str, Any]:
        """Everything besides the weights that decides a caption, as JSON values: options, prompt, processor's hash."""
        ...

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions `items`, yielding each as soon as it is done (in batches, in any order); a caption is a single line,
        possibly empty.

        Raises:
            VlmbenchError: what concerns the captioner and not one image (no key, no such model).
        """
        ...


class Encoder(Protocol):
    """An encoder that is loaded when it is first used."""

    @property
    def files(self) -> "ModelFiles":
        """Where it comes from, and the hashes of its files."""
        ...

    @property
    def encoder(self) -> Any:
        """The encoder, loaded."""
        ...


@dataclass(frozen=True)
class Training:
    """The captioned training split that a captioner draws on.

    Attributes:
        dataset: as the user names it.
        split: the split; every image has captions.
        fingerprint: of its images.
    """

    dataset: str
    split: "Split"
    fingerprint: str


class Setup(Protocol):
    """What a captioner is opened with: options, and access to models and training data."""

    @property
    def decoding(self) -> Decoding:
        """How captions are made."""
        ...

    @property
    def calls(self) -> Calls:
        """How an endpoint is called."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Device, precision, batch size, reporter."""
        ...

    @property
    def offline(self) -> bool:
        """Whether no network may be used."""
        ...

    def checkpoint(self, name: str) -> "Checkpoint":
        """The files of a captioner or language model; see `checkpoint.find_checkpoint` for what can be wrong."""
        ...

    def encoder(self, name: str) -> Encoder:
        """An image encoder."""
        ...

    def dual_encoder(self, name: str) -> Encoder:
        """An encoder of images and texts.

        Raises:
            UsageError: it has no text side.
        """
        ...

    def training(self, what: str) -> Training:
        """The training split; `what` is drawn from it, for messages.

        Raises:
            UsageError: no data set is named.
            InputError: it has no training split, no captions, or the split is the one that is to be captioned.
        """
        ...

    def examples(self) -> Sequence[Example]:
        """`Decoding.shots` few-shot examples; the same for every image.

        Raises:
            InputError: the set has no training split, or too few images.
        """
        ...

    def text_embeddings(self, model: str, texts: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings [M, D] float32 of texts by a dual encoder."""
        ...

    def training_features(self, model: str, layer: str) -> tuple[Sequence[str], np.ndarray]:
        """Ids [N] of the training images and their un-normalised features [N, D]; damaged images are left out."""
        ...


def one_line(text: str) -> str:
    """A model's output as a caption: every run of white space becomes one space, half a surrogate pair U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", " ".join(text.split()))
