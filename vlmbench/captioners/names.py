"""Names of captioners: a checkpoint, or ``KIND:REST``. Parsed only here.

Another installed package adds a kind by an entry point in the group ``vlmbench.captioners`` with the kind's name,
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
"""The kind of a name without a known kind before a colon."""
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
        name: the part before the colon, and `ModelFacts.kind` of its captioners.
        parse: converts the part after it for `open`; its `str` is the same text again. Raises ValueError.
        open: from that and a `Setup` to a captioner; loads no weights.
        store_version: version of its stored captions: increase it when its captions change.
        draws_on_captions: whether it needs a captioned training set (``--anchors``).
        calls: whether it makes network requests (``--concurrency``, ``--timeout``).
    """

    name: str
    open: "Callable[[Any, Setup], Captioner]"
    parse: Callable[[str], Any] = str
    store_version: int = 1
    draws_on_captions: bool = False
    calls: bool = False


@dataclass(frozen=True)
class CaptionerRef:
    """A captioner as a user names it (its `str`): `CHECKPOINT` and its name, or the kind and the parsed part after the
    colon."""

    kind: str
    rest: Any

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses a user's name for a captioner. Raises `UsageError` where the rest is malformed, `InputError` where
        another package's kind cannot be loaded."""
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
    """Comma-separated names of models, with optional settings: ``LM,ENCODER?alpha=0.1``."""

    names: tuple[str, ...]
    settings: str | None = None

    @classmethod
    def parse(cls, text: str, *, least: int, most: int, settings: bool = False) -> Self:
        """Parses `least` to `most` names; a ``?`` begins optional settings. Raises `ValueError` where there are more or
        fewer, or one is empty."""
        names, mark, rest = text.partition("?") if settings else (text, "", "")
        found = tuple(names.split(","))
        if not least <= len(found) <= most or not all(found):
            raise ValueError
        return cls(found, rest if mark else None)

    def __str__(self) -> str:
        return ",".join(self.names) + ("" if self.settings is None else f"?{self.settings}")


@cache
def kinds() -> Registry:
    """Every kind, those of other installed packages too. Raises `InputError` where two packages declare the same."""
    return KINDS.with_installed(GROUP)


def kind_of(name: str) -> CaptionerKind:
    """The kind called `name`; `InputError` where another package's cannot be loaded, or is not a kind."""
    found: CaptionerKind = kinds().load(name, CaptionerKind)
    return found


def kinds_of(names: Iterable[str]) -> list[CaptionerKind]:
    """The kinds of the captioners that are not checkpoints."""
    refs = [CaptionerRef.parse(name) for name in names]
    return [kind_of(ref.kind) for ref in refs if ref.kind != CHECKPOINT]
