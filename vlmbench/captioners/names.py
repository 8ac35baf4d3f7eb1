"""What a user calls a captioner: the name of a checkpoint, or ``KIND:REST``. Taken apart here and nowhere else.

Another installed package adds a kind by an entry point of the group ``vlmbench.captioners``, called as the kind is,
whose object is a `CaptionerKind`:

    [project.entry-points."vlmbench.captioners"]
    mykind = "my_package.captioner:KIND"
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.plugins import Registry
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    from vlmbench.captioners.base import Captioner, Setup

GROUP = "vlmbench.captioners"
CHECKPOINT = "captioner"
"""The kind of a name without a colon, or with one that no kind has."""
KINDS = Registry(
    "kind of captioner",
    {
        CHECKPOINT: "vlmbench.captioners.generate:KIND",
        "retrieval": "vlmbench.captioners.anchors:RETRIEVAL",
        "asif": "vlmbench.captioners.anchors:ASIF",
        "magic": "vlmbench.captioners.magic:KIND",
        "endpoint": "vlmbench.captioners.endpoint:KIND",
    },
)
FORMS = (
    "an alias (vlmbench list models), a hub id, a directory saved by transformers, retrieval:DUAL_ENCODER, "
    "asif:IMAGES[,TEXTS], magic:LANGUAGE_MODEL,DUAL_ENCODER[?alpha=0.1&beta=2&k=45], or endpoint:URL#MODEL"
)


@dataclass(frozen=True, kw_only=True)
class CaptionerKind:
    """A kind of captioner.

    Attributes:
        name: what stands before the colon, and `ModelFacts.kind` of its captioners.
        parse: from what stands behind it to what `open` takes; its `str` is the same text again. Raises ValueError.
        open: from that and a `Setup` to a captioner; loads no weights.
        store_version: of the captions it stores: raise it when it captions otherwise than before.
        draws_on_captions: whether it needs a captioned training set (``--anchors``).
        calls: whether it makes calls (``--concurrency``, ``--timeout``).
    """

    name: str
    open: "Callable[[Any, Setup], Captioner]"
    parse: Callable[[str], Any] = str
    store_version: int = 1
    draws_on_captions: bool = False
    calls: bool = False


@dataclass(frozen=True)
class CaptionerRef:
    """A captioner as a user names it; its `str` is that name.

    Attributes:
        kind: `CHECKPOINT`, or what stands before the colon.
        rest: the checkpoint's name, or what the kind makes of the text behind the colon.
    """

    kind: str
    rest: Any

    @classmethod
    def parse(cls, text: str) -> Self:
        """A user's name for a captioner.

        Raises:
            UsageError: the kind is known and the rest is not what it has to be.
            InputError: the kind is of another package and cannot be loaded.
        """
        head, colon, rest = text.partition(":")
        kind, rest = (head, rest) if colon and head != CHECKPOINT and head in kinds() else (CHECKPOINT, text)
        plugin = kinds().added.get(kind)
        with plugin.blamed(f"it failed on {text}") if plugin else nullcontext():
            try:
                found = cls(kind, rest if kind == CHECKPOINT else kind_of(kind).parse(rest))
            except ValueError as error:
                why = f" ({visible(str(error))})" if str(error) else ""
                raise UsageError(
                    f"not a captioner: {visible(text)}{why}", where=visible(text), fix=f"a captioner is {FORMS}"
                ) from error
        if plugin and str(found) != text:
            raise plugin.broken(f"it makes {found} of {text}")
        return found

    def __str__(self) -> str:
        return str(self.rest) if self.kind == CHECKPOINT else f"{self.kind}:{self.rest}"


@dataclass(frozen=True)
class Models:
    """Names of models with commas between them, and perhaps settings: ``LM,ENCODER?alpha=0.1``."""

    names: tuple[str, ...]
    settings: str | None = None

    @classmethod
    def parse(cls, text: str, *, least: int, most: int, settings: bool = False) -> Self:
        """From `least` to `most` names; a ``?`` begins the settings where there are any.

        Raises:
            ValueError: there are more or fewer, or one is empty.
        """
        names, mark, rest = text.partition("?") if settings else (text, "", "")
        found = tuple(names.split(","))
        if not least <= len(found) <= most or not all(found):
            raise ValueError
        return cls(found, rest if mark else None)

    def __str__(self) -> str:
        return ",".join(self.names) + ("" if self.settings is None else f"?{self.settings}")


@cache
def kinds() -> Registry:
    """Every kind, those of other installed packages too.

    Raises:
        InputError: two packages declare the same kind.
    """
    return KINDS.with_installed(GROUP)


def kind_of(name: str) -> CaptionerKind:
    """The kind of a name.

    Raises:
        InputError: it is of another package, and cannot be loaded or is no kind.
    """
    found: CaptionerKind = kinds().load(name, CaptionerKind)
    return found


def kinds_of(names: Iterable[str]) -> list[CaptionerKind]:
    """The kinds of those of some captioners that are no checkpoints."""
    refs = [CaptionerRef.parse(name) for name in names]
    return [kind_of(ref.kind) for ref in refs if ref.kind != CHECKPOINT]
