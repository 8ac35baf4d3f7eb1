"""Which classes of a test set are which classes of the training set: by name, or as ``--class-map`` says.

Names are compared without case, underscores, spaces and punctuation, as the dataset spells them and in readable form;
where none is the same, each synonym of a comma-separated list (``tench, Tinca tinca``) counts, and ``7`` is ``seven``
(MNIST's and SVHN's classes). A name that several
classes of the training set share (ImageNet has two called ``missile``) is settled by the order of the classes where
both sets have the same.

A map is a JSON object or a CSV of two columns: a class of the test set, and the class it is, by name or by number from
0; several may be one. Null, or an empty cell, leaves the images of a class out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from vlmbench.data.base import DatasetInfo
from vlmbench.data.merged import ClassMap
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible
from vlmbench.heads.classnames import keys_of, normalised, places_of, some

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class ClassMatch:
    """The classes of a test set among those of the training set.

    Attributes:
        columns: the classes of the training set that the test set has, ascending, `[K]` int64.
        places: for each class of the test set its place in `columns`, `[C]` int64; -1: its images are left out.
        mapped: what the map said of classes of the test set.
    """

    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    mapped: dict[str, JsonValue]

    def left_out(self, classnames: Sequence[str]) -> list[str]:
        """The classes of the training set that the test set does not have."""
        there = set(self.columns.tolist())
        return [name for index, name in enumerate(classnames) if index not in there]


def match_classes(ours: DatasetInfo, theirs: DatasetInfo, given: ClassMap) -> ClassMatch:
    """The classes of a test set among those of the training set. Raises `InputError` where classes have no partner or
    several, fewer than two are in common, or the map names an unknown class. `given` may have classes of other test
    sets too."""
    where = f"{visible(theirs.id)}, tested after training on {visible(ours.id)}"
    targets = {normalised(name): (name, target) for name, target in given.items()}
    said = [
        next((targets[key] for key in sorted(keys) if key in targets), None) for keys in keys_of(theirs)
    ]  # what the map says of each class
    if not any(said) and theirs.classnames == ours.classnames:
        everything = np.arange(len(ours.classnames))
        return ClassMatch(everything, everything, {})
    fits = _candidates(ours, theirs)
    for index, entry in enumerate(said):
        if entry is not None:
            fits[index] = [] if entry[1] is None else [_our_class(entry[1], ours)]
    free = [index for index, entry in enumerate(said) if entry is None]
    _settle_by_order(fits, free)
    names = theirs.classnames
    if not any(fits):
        raise InputError(
            f"no class in common: {visible(theirs.id)} has {some(names)}; {visible(ours.id)} has "
            f"{some(ours.classnames)}",
            where=where,
            fix="--class-map FILE, a line for each of its classes: theirs,ours",
        )
    if alone := [names[index] for index in free if not fits[index]]:
        raise InputError(
            f"{len(alone)} of {len(names)} classes of {visible(theirs.id)} are not among those of {visible(ours.id)}: "
            f"{some(alone)}",
            where=where,
            fix="--class-map FILE with a line theirs,ours for each; an empty second cell leaves its images out",
        )
    several = next((index for index in free if len(fits[index]) > 1), None)
    if several is not None:
        numbers = " and ".join(map(str, fits[several]))
        raise InputError(
            f"{visible(names[several])} is the name of several classes of {visible(ours.id)}, number {numbers}",
            where=where,
            fix=f"--class-map FILE with the line {visible(names[several])},{fits[several][0]} or another number",
        )
    _require_single([(fits[index][0], names[index]) for index in free], where)
    chosen = np.array([found[0] if found else -1 for found in fits], dtype=np.int64)
    columns = np.unique(chosen[chosen >= 0])
    if len(columns) < 2:
        raise InputError(
            f"one class in common, {visible(ours.classnames[columns[0]])}: there is nothing to tell apart",
            where=where,
            fix="--class-map FILE, a line for each of its classes: theirs,ours",
        )
    places = np.where(chosen >= 0, np.searchsorted(columns, chosen), -1)
    return ClassMatch(columns, places, {entry[0]: entry[1] for entry in said if entry is not None})


def require_known(given: ClassMap, theirs: Sequence[DatasetInfo], where: str) -> None:
    """Checks that each class of a map is one of a test set; `InputError` where one is not."""
    known = {key for info in theirs for keys in keys_of(info) for key in keys}
    if unknown := [name for name in given if normalised(name) not in known]:
        raise InputError(
            f"the class map names classes that no test set has: {some(unknown)}",
            where=where,
            fix=f"a class of {', '.join(visible(info.id) for info in theirs)}, as it is spelled there",
        )


def _candidates(ours: DatasetInfo, theirs: DatasetInfo) -> list[list[int]]:
    """For each class of the test set the classes of ours with the same name; with a common synonym, where none has."""
    names, synonyms = places_of(keys_of(ours)), places_of(_synonyms(ours))
    found = []
    for own, more in zip(keys_of(theirs), _synonyms(theirs), strict=True):
        same = {place for key in own for place in names.get(key, ())}
        found.append(sorted(same or {place for key in more for place in synonyms.get(key, ())}))
    return found


def _synonyms(info: DatasetInfo) -> list[set[str]]:
    raw = info.raw_classnames or info.classnames
    parts = (
        {normalised(part) for name in pair for part in name.split(",") if part.strip()}
        for pair in zip(info.classnames, raw, strict=True)
    )
    return [{str(_DIGITS.index(part)) if part in _DIGITS else part for part in own} for own in parts]


def _settle_by_order(fits: list[list[int]], free: Sequence[int]) -> None:
    """Of a name that several of our classes share, keeps those between its neighbours, if both sets have one order."""
    sure = [(index, fits[index][0]) for index in free if len(fits[index]) == 1]
    if any(later[1] <= earlier[1] for earlier, later in pairwise(sure)):
        return
    for index in free:
        if len(fits[index]) > 1:
            low = max((place for at, place in sure if at < index), default=-1)
            high = min((place for at, place in sure if at > index), default=np.inf)
            fits[index] = [place for place in fits[index] if low < place < high] or fits[index]
    for earlier, later in pairwise(free):  # two neighbours that share both places: the first is the first
        if len(fits[earlier]) == len(fits[later]) == 2 and fits[earlier] == fits[later]:
            fits[earlier], fits[later] = fits[earlier][:1], fits[later][1:]


def _require_single(matched: Sequence[tuple[int, str]], where: str) -> None:
    first: dict[int, str] = {}
    for place, name in matched:
        if place in first:
            raise InputError(
                f"two classes have one name: {visible(first[place])} and {visible(name)}",
                where=where,
                fix="--class-map FILE says which class each of them is; several may be one",
            )
        first[place] = name


def _our_class(target: str | int, ours: DatasetInfo) -> int:
    count, text = len(ours.classnames), str(target)
    fits = [] if isinstance(target, int) else places_of(keys_of(ours)).get(normalised(text), [])
    if len(fits) == 1:
        return fits[0]
    if not fits and text.isascii() and text.isdigit() and int(text) < count:
        return int(text)
    raise InputError(
        f"the class map names {visible(text)}, "
        + (f"the name of several classes of {visible(ours.id)}" if fits else f"no class of {visible(ours.id)}"),
        where="--class-map",
        fix=f"a class name of {visible(ours.id)}, or its number, 0 to {count - 1}",
    )
