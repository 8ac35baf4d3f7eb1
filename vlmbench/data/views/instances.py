"""COCO's instances format: ``images``, ``annotations`` with boxes, ``categories``; LVIS, which follows it, too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import read_json
from vlmbench.foundations.text import visible

FORM = (
    "an instances file (instances_val2017.json): images with id and file_name, annotations with id, image_id, "
    "category_id and bbox, categories with id and name"
)
_FARTHEST = 2**31
_BBOX = "a bbox is [x, y, width, height] in pixels, neither side below 0; fix or remove the annotation"


@dataclass(frozen=True)
class Picture:
    """An image of the file: its id as text, its file name, its width and height (0, 0 where the file does not say)."""

    id: str
    file: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Box:
    """An annotation: its id as text, its image, the index of its category, and x, y, width, height in pixels."""

    id: str
    image: Picture
    category: int
    bbox: tuple[float, float, float, float]


@dataclass(frozen=True)
class Instances:
    """An instances file: names of the categories [C] in order of their ids, the boxes in the file's order, and how many
    crowds and boxes without area were left out."""

    path: Path
    categories: tuple[str, ...]
    boxes: tuple[Box, ...]
    crowds: int
    empty: int


def read_instances(path: Path) -> Instances:
    """Reads and checks an instances file; `InputError`, with file and entry, where it is none, or an entry of it is
    wrong."""
    data = read_json(path, what="instances file")
    if not isinstance(data, dict):
        _wrong(path, "", f"not an instances file, but a JSON {_kind(data)}", FORM)
    annotations = _rows(path, "annotations", data)
    if annotations and "caption" in annotations[0] and "bbox" not in annotations[0]:
        _wrong(path, "", "a captions file without boxes", "instances_*.json of the same images has the boxes")
    pictures = _rows(path, "images", data)
    categories = _categories(path, _rows(path, "categories", data))
    images = _images(path, pictures)
    order = sorted(categories, key=lambda id: (isinstance(id, str), id))
    places = {id: place for place, id in enumerate(order)}
    boxes: dict[str, Box] = {}
    crowds = empty = 0
    for number, entry in enumerate(annotations):
        if entry.get("iscrowd") in (1, True):
            crowds += 1
            continue
        box = _box(path, number, entry, images, places)
        if box.id in boxes:
            _wrong(path, f"annotation {box.id}", "two annotations have this id", "give each a unique id")
        if 0 in box.bbox[2:]:
            empty += 1
            continue
        boxes[box.id] = box
    if not boxes:
        _wrong(path, "", "no boxes" + (f" but {crowds:,} crowds" if crowds else ""), FORM)
    return Instances(path, tuple(categories[id] for id in order), tuple(boxes.values()), crowds, empty)


def _rows(path: Path, name: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    rows = data.get(name)
    if rows is None:
        _wrong(path, "", f"not an instances file: it has no {name}", FORM)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        _wrong(path, name, "not a list of objects", FORM)
    return rows


def _categories(path: Path, rows: list[dict[str, Any]]) -> dict[int | str, str]:
    found: dict[int | str, str] = {}
    names: set[str] = set()
    for number, row in enumerate(rows):
        id, name = _id(path, f"categories[{number}]", row.get("id")), row.get("name")
        if not isinstance(name, str) or not name.strip():
            _wrong(path, f"category {visible(str(id))}", "no name", FORM)
        if id in found or name in names:
            _wrong(path, f"category {visible(str(id))}", "two categories have this id or name", "keep one of them")
        found[id] = name
        names.add(name)
    if len(found) < 2:
        _wrong(path, "categories", f"{len(found)} categories: nothing to classify", "at least two categories")
    return found


def _images(path: Path, rows: list[dict[str, Any]]) -> dict[int | str, Picture]:
    found: dict[int | str, Picture] = {}
    for number, row in enumerate(rows):
        id = _id(path, f"images[{number}]", row.get("id"))
        place = f"image {visible(str(id))}"
        file = row.get("file_name")
        if file is None and isinstance(row.get("coco_url"), str):  # LVIS
            file = "/".join(row["coco_url"].rsplit("/", 2)[-2:])
        if not isinstance(file, str) or not file:
            _wrong(path, place, "no file_name", FORM)
        if id in found:
            _wrong(path, place, "two images have this id", "give each a unique id")
        sides = [row.get("width"), row.get("height")]
        if not all(side is None or (_is_number(side) and side >= 1 and side == int(side)) for side in sides):
            _wrong(
                path, place, f"width and height are {visible(json.dumps(sides))}", "whole numbers of pixels, or neither"
            )
        width, height = (int(side or 0) for side in sides)
        found[id] = Picture(str(id), file.replace("\\", "/"), (width, height) if width and height else (0, 0))
    return found


def _box(
    path: Path, number: int, row: dict[str, Any], images: Mapping[int | str, Picture], places: Mapping[int | str, int]
) -> Box:
    id = str(_id(path, f"annotations[{number}]", row.get("id")))
    place = f"annotation {visible(id)}"
    image, category, bbox = row.get("image_id"), row.get("category_id"), row.get("bbox")
    if not isinstance(image, int | str) or image not in images:
        _wrong(path, place, f"no image has its image_id {visible(json.dumps(image))}", "add the image, or remove it")
    if not isinstance(category, int | str) or category not in places:
        _wrong(path, place, f"no category has its category_id {visible(json.dumps(category))}", "add it, or fix the id")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        _wrong(path, place, f"its bbox is {visible(json.dumps(bbox))[:80]}", _BBOX)
    x, y, width, height = map(float, bbox)
    if width < 0 or height < 0:
        _wrong(path, place, f"its bbox {json.dumps(bbox)} has a side below 0", _BBOX)
    return Box(id, images[image], places[category], (x, y, width, height))


def _id(path: Path, place: str, value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        _wrong(path, place, "no id" if value is None else f"its id is {visible(json.dumps(value))[:80]}", FORM)
    return value


def _is_number(value: Any) -> bool:
    """Whether it is a number that pixels are counted in: finite, and small enough for whole pixels."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FARTHEST


def _kind(value: Any) -> str:
    return "list (COCO's results format?)" if isinstance(value, list) else type(value).__name__


def _wrong(path: Path, place: str, what: str, fix: str) -> NoReturn:
    raise InputError(what, where=f"{path}, {place}" if place else str(path), fix=fix)
