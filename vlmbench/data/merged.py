"""A dataset with classes merged (seven kinds of cells: normal, abnormal), and the file that says which.

A class map is a JSON object or a CSV of two columns: a class, and the class it becomes. Null, or an empty cell, leaves
the images of a class out. For ``--test-on`` the second is one of the training set, by name or by number from 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vlmbench.data.base import Dataset, OpenDataset, Split, readable_names, subset
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import SMALL, csv_rows, json_of, read_text
from vlmbench.foundations.text import tidy, visible
from vlmbench.records.store import natural

ClassMap = Mapping[str, str | int | None]
"""A class to the class it becomes; None: its images are left out."""
HEADER = ["theirs", "ours"]
"""A CSV may begin with this line."""
_FORM = 'write {"their class": "our class"}, or a CSV of two columns; null or an empty cell leaves a class out'


def merged_dataset(dataset: Dataset, path: Path, id: str) -> OpenDataset:
    """A dataset whose classes become those of a class map; a class that the map does not name stays as it is. `id` is
    what a record calls it. Raises `InputError` where the file is no class map, names a class that is not there, or
    leaves fewer than two classes."""
    info, class_map = dataset.info, read_class_map(path)
    if info.multilabel or not info.classnames:
        what = "images with several labels" if info.multilabel else "no classes"
        raise InputError(f"{visible(info.id)} has {what}: nothing to merge", where=str(path), fix="leave it out")
    raw = info.raw_classnames or info.classnames
    own = {tidy(name): name for name in raw}
    target = {own.get(name, name): None if to is None else own.get(str(to), str(to)) for name, to in class_map.items()}
    known = {*raw, *info.classnames}
    if unknown := [name for name in target if name not in known]:
        raise InputError(
            f"the class map names {visible(unknown[0])}, no class of {visible(info.id)}",
            where=str(path),
            fix=f"its classes: {', '.join(map(visible, raw[:10]))}{', …' if len(raw) > 10 else ''}",
        )
    new = [target.get(name, target.get(shown, name)) for name, shown in zip(raw, info.classnames, strict=True)]
    names = tuple(sorted({name for name in new if name is not None}, key=natural))
    if len(names) < 2:
        raise InputError(
            f"the class map leaves {'one class' if names else 'no class'} of {visible(info.id)}",
            where=str(path),
            fix="map its classes to at least two",
        )
    places = np.array([-1 if name is None else names.index(name) for name in new], dtype=np.int64)

    def split(name: str) -> Split:
        whole = dataset.split(name)
        labels = places[whole.labels]
        return subset(replace(whole, labels=labels), np.flatnonzero(labels >= 0))

    return OpenDataset(replace(info, id=id, classnames=readable_names(names), raw_classnames=names), split)


def read_class_map(path: Path) -> ClassMap:
    """The map in a file; names without spaces around them, accents as one character.

    Raises:
        AbsentError: there is no such file.
        InputError: it is no such map, or names a class twice.
    """
    found: dict[str, str | int | None] = {}
    for place, theirs, ours in _lines(path):
        name = tidy(theirs)
        if not name:
            raise InputError("not a line of a class map", where=place, fix=_FORM)
        if name in found:
            raise InputError(f"the class {visible(name)} occurs twice", where=place, fix="keep one of the two")
        found[name] = ours if isinstance(ours, int) else tidy(ours or "") or None
    return found


def _lines(path: Path) -> Iterator[tuple[str, str, str | int | None]]:
    """Place, class, and the class that it becomes."""
    text = read_text(path, most=SMALL, what="class map")
    if path.suffix.lower() == ".json":
        value = json_of(text, str(path), pairs="unique")
        kinds = value.values() if isinstance(value, dict) else [False]
        if any(isinstance(item, bool) or not isinstance(item, str | int | None) for item in kinds):
            raise InputError("not a class map", where=str(path), fix=_FORM)
        yield from ((str(path), name, to) for name, to in value.items())
        return
    for number, (place, cells) in enumerate(csv_rows(text, path)):
        if number == 0 and cells == HEADER:
            continue
        if len(cells) != 2:
            raise InputError("not a line of a class map", where=f"{path}, {place}", fix=_FORM)
        yield f"{path}, {place}", cells[0], cells[1]
