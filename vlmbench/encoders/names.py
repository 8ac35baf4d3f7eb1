"""What a user calls a model, taken apart here and nowhere else; the ``str`` of a `ModelRef` is that name again.

    ALIAS   OWNER/NAME[@REVISION]   DIRECTORY           a checkpoint
    open-clip:ARCH/PRETRAINED                           of open_clip; PRETRAINED is one of its tags, or a file
    timm:ARCH[/FILE]                                    of timm; FILE holds the weights
    asif:VISION+TEXT@ANCHORS[?k=800&p=8&split=train]    two encoders, coupled by a captioned set

Where a captioner is named, ``asif:`` stands before IMAGES[,TEXTS] (`vlmbench.captioners`): there the captioned set is
an option of the command. Both are the one ASIF of `vlmbench.encoders.asif`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qsl

from vlmbench.encoders.asif import NONZERO, POWER
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


class ModelRef:
    """A model as a user names it.

    Attributes:
        form: how such a name is written, for messages.
        finder: lazy ``"module:attr"`` target of the function that finds the model's files.
    """

    form: ClassVar[str]
    finder: ClassVar[str]


@dataclass(frozen=True)
class CheckpointRef(ModelRef):
    """An alias, a hub id or a directory: which of them it is, this machine decides (`checkpoints.locate`)."""

    finder = "vlmbench.encoders.models:checkpoint_files"
    name: str

    @property
    def hub(self) -> tuple[str, str | None] | None:
        """Hub id, and the revision after it; none where the name has another form."""
        id, _, revision = self.name.partition("@")
        return (id, revision or None) if _HUB_ID.fullmatch(self.name) else None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class OpenClipRef(ModelRef):
    """A model of open_clip: its architecture, and a tag or a file of weights."""

    form = "open-clip:ARCH/PRETRAINED"
    finder = "vlmbench.encoders.openclip:open_clip_files"
    arch: str
    pretrained: str

    def __str__(self) -> str:
        return f"open-clip:{self.arch}/{self.pretrained}"


@dataclass(frozen=True)
class TimmRef(ModelRef):
    """A model of timm: its architecture, and perhaps a file of weights."""

    form = "timm:ARCH or timm:ARCH/FILE"
    finder = "vlmbench.encoders.timm_models:timm_files"
    arch: str
    file: str = ""

    def __str__(self) -> str:
        return f"timm:{self.arch}/{self.file}" if self.file else f"timm:{self.arch}"


@dataclass(frozen=True)
class AsifRef(ModelRef):
    """Two encoders and the captioned set that couples them, which a session opens (`vlmbench.session.asif`).

    Attributes:
        vision: the image encoder.
        text: the text encoder.
        anchors: the captioned set.
        settings: what stands behind the question mark; none: there is none.
    """

    form = "asif:VISION+TEXT@ANCHORS[?k=800&p=8&split=train]"
    vision: str
    text: str
    anchors: str
    settings: str | None = None

    @property
    def k(self) -> int:
        """How many anchors a representation keeps."""
        return int(self.given.get("k", NONZERO))

    @property
    def p(self) -> float:
        """The power that cosines are raised to."""
        return float(self.given.get("p", POWER))

    @property
    def given(self) -> dict[str, str]:
        """The settings by name: ``k``, ``p``, and ``split``, which of the anchors' splits it is."""
        return dict(parse_qsl(self.settings or "", keep_blank_values=True))

    def __str__(self) -> str:
        body = f"asif:{self.vision}+{self.text}@{self.anchors}"
        return body if self.settings is None else f"{body}?{self.settings}"


def parse_model(name: str) -> ModelRef:
    """A user's name for a model.

    Raises:
        UsageError: the kind is known, and what follows has another form.
    """
    kind, colon, rest = name.partition(":")
    if not colon or kind not in _KINDS:
        return CheckpointRef(name)
    ref, read = _KINDS[kind]
    try:
        return read(rest)
    except ValueError as error:
        raise UsageError(f"not the name of a model: {visible(name)}", where=visible(name), fix=ref.form) from error


def _open_clip(rest: str) -> OpenClipRef:
    arch, _, pretrained = rest.partition("/")
    _require(arch, pretrained)
    return OpenClipRef(arch, pretrained)


def _timm(rest: str) -> TimmRef:
    parts = rest.split("/", 1)
    _require(*parts)
    return TimmRef(*parts)


def _asif(rest: str) -> AsifRef:
    body, mark, settings = rest.partition("?")
    vision, _, coupled = body.partition("+")
    text, _, anchors = coupled.partition("@")
    _require(vision, text, anchors)
    found = AsifRef(vision, text, anchors, settings if mark else None)
    if not found.given.keys() <= {"k", "p", "split"} or found.k < 1 or not found.p > 0:
        raise ValueError
    return found


def _require(*parts: str) -> None:
    if not all(parts):
        raise ValueError


_KINDS: Mapping[str, tuple[type[ModelRef], Callable[[str], ModelRef]]] = {
    "open-clip": (OpenClipRef, _open_clip),
    "timm": (TimmRef, _timm),
    "asif": (AsifRef, _asif),
}
