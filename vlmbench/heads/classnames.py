"""Class names that replace a dataset's own: from a file, or from the set's copy in CLIP_benchmark's collection.

A file is one of
- ``.txt``: one line per class, in the dataset's order;
- ``.json`` with a list of names, or of lists of synonyms, in the dataset's order;
- ``.json`` with an object, dataset to such a list: the form of LAION-AI/CLIP_benchmark's ``en_classnames.json``.

A list that was not written for this copy of the dataset may have another order. If all of its names are the
dataset's, apart from case and punctuation, they are put in the dataset's order; ``wds`` requires that.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from vlmbench.data.base import DatasetInfo
from vlmbench.data.hub.sibling import CLASSNAMES, sibling_lines, sibling_of
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.files import SMALL, json_of, read_text
from vlmbench.foundations.paths import user_path
from vlmbench.foundations.text import visible
from vlmbench.heads.prompt_files import dataset_key, entry_source, no_entry

WDS = "wds"
_SHOWN = 5
Names = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ClassNames:
    """Class names.

    Attributes:
        names: [C] the name of each class, then its synonyms.
        source: where they come from, for the record; None if they are the dataset's own or a file in its order.
    """

    names: Names
    source: Mapping[str, JsonValue] | None = None

    def protocol(self) -> dict[str, JsonValue]:
        """Their origin, for a record."""
        return {} if self.source is None else {"classnames_source": dict(self.source)}


def class_names(option: str | None, info: DatasetInfo, cache_dir: Path) -> ClassNames:
    """The class names that ``--classnames`` asks for, in the dataset's order. Raises `AbsentError` where there are
    none, `InputError` where they do not match the dataset's classes. `option` is ``wds`` or a file; None: the dataset's
    own."""
    if option is None:
        return ClassNames(tuple((name,) for name in info.classnames))
    return _from_wds(info, cache_dir) if option == WDS else _from_file(user_path(option), info)


def _from_wds(info: DatasetInfo, cache_dir: Path) -> ClassNames:
    found = sibling_lines(info.id, CLASSNAMES, cache_dir)
    if found is None:
        copy = sibling_of(info.id)
        why = (
            f"its copy {copy} has no {CLASSNAMES}" if copy else "no copy of it in CLIP_benchmark's collection is known"
        )
        raise AbsentError(
            f"no class names for {visible(info.id)}: {why}",
            where="--classnames wds",
            fix="leave out --classnames for the dataset's own, or give a file: .txt, one line per class, or .json",
        )
    names = tuple((name,) for name in found.lines)
    _require_number(names, info, found.where)
    order = _by_name(names, info)
    if order is None:
        theirs, ours = _keys(names), keys_of(info)
        left = [info.classnames[i] for i, key in enumerate(ours) if not key & set().union(*theirs)]
        over = [names[i][0] for i, key in enumerate(theirs) if not key & set().union(*ours)]
        what = f"classes without a name: {some(left)}; names without a class: {some(over)}"
        raise InputError(
            f"the class names of {found.repository} are not those of {visible(info.id)}: "
            + (what if left or over else "several differ only in case and punctuation"),
            where=found.where,
            fix="write the names in the dataset's order to a file, for --classnames FILE, or leave out --classnames",
        )
    return ClassNames(tuple(names[place] for place in order), found.source)


def _from_file(path: Path, info: DatasetInfo) -> ClassNames:
    text = read_text(path, most=SMALL, what="list of class names")
    source: dict[str, JsonValue] | None = None
    if path.suffix.lower() == ".json":
        value, where = json_of(text, str(path), pairs="unique"), str(path)
        if isinstance(value, dict):
            key = dataset_key(value, info.id)
            if key is None:
                raise no_entry(path, value, info.id, ["first class", "second class"])
            value, source, where = value[key], entry_source(path, key), f"{path}, {visible(key)}"
        if not isinstance(value, list):
            raise InputError(
                "class names are a list, or an object of datasets and lists",
                where=where,
                fix='write ["cat", "dog"] or [["cat", "kitty"], ["dog"]]',
            )
        found = [
            (f"{where}, entry {number}", item if isinstance(item, list) else [item])
            for number, item in enumerate(value, 1)
        ]
    else:
        lines, where = text.splitlines(), str(path)
        while lines and not lines[-1].strip():
            lines.pop()
        found = [(f"{path}, line {number}", [line.strip()]) for number, line in enumerate(lines, 1)]
    names = _checked(found, unique=source is None)
    _require_number(names, info, where)
    return ClassNames(names if source is None else _in_order(names, info, where), source)


def _checked(found: Sequence[tuple[str, list[object]]], *, unique: bool) -> Names:
    """Checks the names, each with its place: none is empty and, with `unique`, no two are equal.

    Published lists of ImageNet's classes call two of them ``missile`` and two ``sunglasses``.
    """
    firsts: dict[str, str] = {}
    checked: list[tuple[str, ...]] = []
    for place, items in found:
        names = tuple(item for item in items if isinstance(item, str) and item.strip())
        if not names or len(names) < len(items):
            raise InputError("an empty class name", where=place, fix="every class needs a name")
        if unique and names[0] in firsts:
            raise InputError(
                f"two classes are called {visible(names[0])}",
                where=f"{firsts[names[0]]} and {place.rsplit(', ', 1)[-1]}",
                fix="give them different names",
            )
        firsts[names[0]] = place
        checked.append(names)
    return tuple(checked)


def _require_number(names: Names, info: DatasetInfo, where: str) -> None:
    expected = len(info.classnames)
    if len(names) != expected:
        raise InputError(
            f"{len(names)} class names, the dataset has {expected} classes",
            where=where,
            fix="give one for each class, in the dataset's order",
        )


def _in_order(names: Names, info: DatasetInfo, where: str) -> Names:
    """The names of an entry, in the dataset's order.

    Matched by name if possible; else as they are, unless one of them shows that the order is different. Raises
    `InputError` where a name is that of another class.
    """
    order = _by_name(names, info)
    if order is not None:
        return tuple(names[place] for place in order)
    ours = keys_of(info)
    places = places_of(ours)
    for place, keys in enumerate(_keys(names)):
        other = min((places[key][0] for key in keys if key in places), default=None)
        if other is not None and not keys & ours[place]:
            raise InputError(
                f"the class names have another order than the dataset's classes: {visible(names[place][0])} is entry "
                f"{place + 1}, and class {other + 1} of {visible(info.id)}",
                where=where,
                fix="write the names in the dataset's order to a separate file",
            )
    return names


def _by_name(names: Names, info: DatasetInfo) -> list[int] | None:
    """[C] the place in `names` of each class's name; None unless the match is complete and one to one."""
    places = places_of(_keys(names))
    order = []
    for index, own in enumerate(keys_of(info)):
        fits = list(dict.fromkeys(place for key in own for place in places.get(key, ())))
        if index in fits:  # two classes with the same name, such as ImageNet's, in the dataset's order
            fits = [index]
        if len(fits) != 1:
            return None
        order += fits
    return order if len(set(order)) == len(names) else None


def _keys(names: Names) -> list[set[str]]:
    return [{normalised(name) for name in own} for own in names]


def keys_of(info: DatasetInfo) -> list[set[str]]:
    """[C] the names of each class, as the dataset spells them and in readable form."""
    raw = info.raw_classnames or info.classnames
    return _keys(tuple(zip(info.classnames, raw, strict=True)))


def places_of(keys: Sequence[set[str]]) -> dict[str, list[int]]:
    """The classes that have each key, ascending."""
    found: dict[str, list[int]] = {}
    for place, own in enumerate(keys):
        for key in own:
            found.setdefault(key, []).append(place)
    return found


def normalised(name: str) -> str:
    """The name without case, underscores, hyphens, spaces and punctuation; unchanged if nothing else is left."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if char.isalnum()) or folded


def some(names: Sequence[str]) -> str:
    """The first of these names, for messages."""
    shown = ", ".join(map(visible, names[:_SHOWN]))
    return (shown + (f", … ({len(names)} in all)" if len(names) > _SHOWN else "")) or "none"
