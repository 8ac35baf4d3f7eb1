"""A dataset's name, read once: ``hf:owner/name?image=COLUMN&stream=yes`` becomes a `DatasetRef`, and prints as it was.

Which kinds there are, and what opens them, is in `vlmbench.data.open`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote, unquote_plus

from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import is_file, user_path
from vlmbench.foundations.text import visible

LISTED, HUB, FOLDER, FILE, COCO, BOXES, GROUP = "", "hf", "folder", "file", "coco", "boxes", "group"
"""Kinds of names; `LISTED` is a name from ``vlmbench list datasets``."""
COLUMNS = ("image", "label", "caption")
STREAM = "stream"
CORRUPT, CLASSES, IN_GROUPS = "corrupt", "classes", "group"
ANYWHERE = (CORRUPT, CLASSES, IN_GROUPS)
"""Options that may follow any kind of place."""
AUTO, YES, NO = "auto", "yes", "no"
_FORMS = "?image=COLUMN&label=COLUMN, ?stream=yes or ?corrupt=fog:3"
_RESTVAL = "?restval=yes"
_LAST = re.compile(rf"(?P<place>.+?)(?P<mark>[?&])(?P<key>{'|'.join(ANYWHERE)})=(?P<value>[^?&]*)", re.DOTALL)
_HUB_NAME = re.compile(r"(?P<name>[^:@]+)(@(?P<revision>[\w./-]+))?(:(?P<config>[^:?]+))?")


@dataclass(frozen=True)
class Tiles:
    """The whole image and `count` tiles of it."""

    count: int


@dataclass(frozen=True)
class Chosen:
    """Of a split the images at `rows` alone."""

    split: str
    rows: tuple[int, ...] = field(repr=False)


class HubName(NamedTuple):
    """A repository (or a directory laid out like one), the commit, branch or tag, and the configuration."""

    name: str
    revision: str | None
    config: str | None


@dataclass(frozen=True)
class DatasetRef:
    """A dataset as a user names it.

    Attributes:
        kind: what stands before the colon; `LISTED`: nothing does.
        place: what follows: a repository, a path, an annotations or instances file, a name; another package's own.
        options: what follows a question mark, as it is written there; `ANYWHERE` after any kind of place.
        directory: COCO: the directory of the images.
        images: boxes: the dataset in whose images they lie.
        view: how its images are looked at, or which; None: all of them, whole.
    """

    kind: str
    place: str
    options: tuple[tuple[str, str], ...] = ()
    directory: str | None = None
    images: "DatasetRef | None" = None
    view: Tiles | Chosen | None = None

    @classmethod
    def parse(cls, name: "str | DatasetRef") -> "DatasetRef":
        """The dataset called `name`; one that is parsed already, as it is. Raises `UsageError` where what follows the
        question mark is not understood."""
        if isinstance(name, DatasetRef):
            return name
        kind, colon, rest = name.partition(":")
        if not colon or "?" in kind:
            return cls(LISTED, *_with_options(name, name))
        if kind in (HUB, GROUP):
            return cls(kind, *_with_options(rest, name))
        if kind == COCO:
            file, mark, directory = rest.partition("#")
            file, more = _with_last(file, name)
            path = file.removesuffix(_RESTVAL)
            restval = (("restval", YES),) if path != file else ()
            return cls(kind, path, (*restval, *more), directory if mark else None)
        if kind == BOXES:
            marks = [i for i, letter in enumerate(rest) if letter == "#"] or [len(rest)]
            files = [i for i in marks if is_file(user_path(rest[:i]))]  # a path may hold the mark too
            end = (files or marks)[0]
            return cls(kind, rest[:end], images=cls.parse(rest[end + 1 :]) if rest[end + 1 :] else None)
        return cls(kind, *_with_last(rest, name))

    def __str__(self) -> str:
        text = f"{self.kind}:{self.place}" if self.kind != LISTED else self.place
        mark = "&" if "?" in self.place and self.options and all(key in ANYWHERE for key, _ in self.options) else "?"
        text += mark * bool(self.options) + "&".join(f"{key}={value}" for key, value in self.options)
        for inner in (self.directory, self.images):
            text += f"#{inner}" if inner is not None else ""
        if isinstance(self.view, Tiles):
            return f"{text} in {self.view.count} tiles"
        if isinstance(self.view, Chosen):
            key = digest([self.view.split, self.view.rows])[:8]
            return f"{len(self.view.rows):,} images of {text} ({key})"
        return text

    @cached_property
    def id(self) -> str:
        """The name that a record carries: without ``stream`` and tiles, which say how it is read and looked at."""
        images = self.images and replace(self.images, options=self.images._identifying)
        view = None if isinstance(self.view, Tiles) else self.view
        return str(replace(self, options=self._identifying, images=images, view=view))

    @property
    def _identifying(self) -> tuple[tuple[str, str], ...]:
        return tuple(option for option in self.options if option[0] != STREAM)

    @cached_property
    def corruption(self) -> Corruption | None:
        """What its images are corrupted by, if they are."""
        found = dict(self.options).get(CORRUPT)
        return None if found is None else Corruption.parse(found, str(self))

    @property
    def clean(self) -> Self:
        """The dataset without corruption."""
        return replace(self, options=tuple(option for option in self.options if option[0] != CORRUPT))

    def corrupted(self, corruption: Corruption) -> Self:
        """The dataset with its images corrupted."""
        return replace(self.clean, options=(*self.clean.options, (CORRUPT, str(corruption))))

    @property
    def unmerged(self) -> Self:
        """The dataset with the classes of its own."""
        return replace(self, options=tuple(option for option in self.options if option[0] != CLASSES))

    @property
    def whole(self) -> Self:
        """The dataset that a view is of."""
        return replace(self, view=None)

    def option(self, key: str, otherwise: str = "") -> str:
        """The value of an option."""
        return unquote_plus(dict(self.options).get(key, otherwise))

    @property
    def hub(self) -> HubName:
        """The parts of a hub dataset's name; `AbsentError` where it is none."""
        found = _HUB_NAME.fullmatch(self.place)
        if found is None:
            raise AbsentError(
                f"not a dataset name: {visible(self.place)}", where=self.id, fix="hf:owner/name[@revision][:config]"
            )
        return HubName(found["name"], found["revision"], found["config"])


DatasetName = str | DatasetRef
"""A dataset as a user names it, parsed or not."""


def same_images(one: DatasetName, two: DatasetName) -> bool:
    """Whether two names are of one dataset, as it is or changed by options (``?corrupt=…``)."""
    first, second = DatasetRef.parse(one), DatasetRef.parse(two)
    return (first.kind, first.place, first.images) == (second.kind, second.place, second.images)


def bare_name(id: str) -> str:
    """The repository, or the listed name, in the id of a record's dataset: without revision, configuration, columns."""
    return re.split("[@:?]", id.removeprefix(f"{HUB}:"), maxsplit=1)[0]


def caption_file(name: str) -> tuple[Path, bool]:
    """A file of captions, ``file:`` before it or not, and whether Karpathy's ``restval`` counts as ``train`` there
    (``?restval=yes`` after its name)."""
    if is_file(name):
        return Path(name), False
    file = name.removeprefix(f"{FILE}:").removesuffix(_RESTVAL)
    return user_path(file), name.endswith(_RESTVAL)


def _with_options(text: str, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    place, mark, query = text.partition("?")
    options = dict[str, str]()
    for part in query.split("&") if mark else ():
        key, _, value = part.partition("=")
        known = value in (AUTO, YES, NO) if key == STREAM else key in (*COLUMNS, CORRUPT, CLASSES) and value
        if not known or key in options:
            what = f"invalid options after a dataset's name: ?{visible(query)}"
            raise UsageError(what, where=visible(name), fix=_FORMS)
        options[key] = value
    if CORRUPT in options:
        Corruption.parse(options[CORRUPT], visible(name))
    return place, tuple(options.items())


def with_option(names: Iterable[DatasetName], key: str, value: str | None) -> list[str]:
    """The names of datasets, with an option of `ANYWHERE` added to each; None: as they are."""
    refs = map(DatasetRef.parse, names)
    more = () if value is None else ((key, quote(value, safe="/ ")),)
    return [str(replace(ref, options=(*ref.options, *more))) for ref in refs]


def _with_last(text: str, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A place and the options of `ANYWHERE` that follow it: ``?corrupt=`` (``&corrupt=`` after other options)."""
    options: list[tuple[str, str]] = []
    place = text
    while (found := _LAST.fullmatch(place)) is not None:
        options.insert(0, (found["key"], found["value"]))
        place = found["place"]
        if found["mark"] == "?":
            break
    else:
        if not options or "?" not in place:  # what looks like options belongs to the path
            return text, ()
    if len(dict(options)) < len(options):
        raise UsageError(
            f"an option twice after a dataset's name: {visible(name)}", where=visible(name), fix="keep one of the two"
        )
    if CORRUPT in dict(options):
        Corruption.parse(dict(options)[CORRUPT], visible(name))
    return place, tuple(options)
