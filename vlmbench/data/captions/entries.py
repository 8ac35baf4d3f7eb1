"""What is read from a caption file: entries with their place, for messages, and what to read from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vlmbench.data.base import ALIASES, ALL, DatasetInfo, choose_split
from vlmbench.data.captions.columns import Named
from vlmbench.foundations.errors import InputError

FORMS = "COCO JSON, Karpathy's JSON, {id: [caption, ...]} JSON, or JSONL, CSV or Parquet with image_id and caption"
RESTVAL = "restval"
"""Karpathy's split of COCO's validation images that most training runs add to ``train``."""


class CaptionRow(NamedTuple):
    """Captions of an image at one place in a file."""

    image: str
    captions: list[str]
    label: str
    number: int = -1

    @property
    def place(self) -> str:
        """Its place, for messages."""
        return self.label if self.number < 0 else f"{self.label}[{self.number}]"


class Pairs(list[tuple[str, Any]]):
    """A JSON object as pairs: a dictionary would hide a key that occurs twice."""


@dataclass(frozen=True)
class Want:
    """What to read from a caption file.

    Attributes:
        named: columns that the user names.
        candidates: a system's captions, not references.
        split: the split, of a file that says of each image which it is in; ``all``: every image. None: of Karpathy's
            files the one that is evaluated by default, of others every image.
        lenient: a split that the file does not have is not an error: every image is used.
        restval: Karpathy's ``restval`` counts as ``train``.
    """

    named: Named = field(default_factory=Named)
    candidates: bool = False
    split: str | None = None
    lenient: bool = False
    restval: bool = False

    def choose(self, splits: list[str], where: str) -> str:
        """The split to read of a file that has `splits`; ``all`` is every image. Raises `InputError` where the file has
        no such split; those it has are named."""
        if self.split == ALL:
            return ALL
        split = None if self.split is None else ALIASES.get(self.split.lower(), self.split)
        if self.lenient and split not in splits:
            return ALL
        return choose_split(DatasetInfo(where, None, tuple(splits), ()), split, where=where)

    def split_of(self, own: Any) -> str:
        """A file's name for an image's split, as vlmbench's name."""
        name = ALIASES.get(str(own).lower(), str(own))
        return "train" if name == RESTVAL and self.restval else name


@dataclass(frozen=True)
class Parsed:
    """A file's entries, in order."""

    entries: list[CaptionRow]
    declared: tuple[str, ...] = ()
    """Ids listed under ``images`` of an annotations file."""
    mapping: bool = False
    """Whether it was ``{id: …}``, in which an id can occur only once."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """The group of each image that has one (nocaps' domain)."""
    split: str | None = None
    """The split that was read; None: the file does not tell splits apart."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The file of each image, where the format (COCO's, Karpathy's) names it."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """The split of each image, of Karpathy's files."""


def id_of(value: Any, where: str, place: str) -> str:
    """An image's id as text; `InputError` where it is neither a whole number nor a non-empty text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text:
        shown = "an empty id" if isinstance(value, str) else f"an id of type {kind_of(value)}"
        raise InputError(shown, where=f"{where}, {place}", fix="an id is a whole number or a non-empty text")
    if re.search("[\ud800-\udfff]", text):
        raise InputError(
            "an id with a lone surrogate (half a character)",
            where=f"{where}, {place}",
            fix="write the file again as UTF-8",
        )
    return text


def group_of(value: Any) -> str:
    """The name of an image's group; halves of characters become question marks."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def captions_of(value: Any) -> tuple[str, ...] | None:
    """A caption, a list of captions, or Karpathy's list of ``{"raw": caption}``, as captions.

    None if it is none of these.
    """
    if isinstance(value, str):
        return (value,)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple) or isinstance(value, Pairs):
        return None
    found = [item.get("raw") if isinstance(item, Mapping) else item for item in value]
    texts = tuple(item for item in found if isinstance(item, str))
    return texts if len(texts) == len(found) else None


def captions_in(value: Any, where: str, place: str) -> list[str]:
    """The same for a place of a file; `InputError` where it is none of these."""
    found = captions_of(value)
    if found is None:
        items = value if isinstance(value, list) and not isinstance(value, Pairs) else [value]
        odd = next(item for item in items if not isinstance(item, str))
        raise InputError(f"a caption of type {kind_of(odd)}", where=f"{where}, {place}", fix="a caption is a text")
    return list(found)


def kind_of(value: Any) -> str:
    """The type of a value of JSON, in words."""
    if value is None:
        return "null"
    return {
        bool: "true or false",
        int: "number",
        float: "number",
        str: "text",
        list: "list",
        dict: "object",
        Pairs: "object",
    }.get(type(value), type(value).__name__)
