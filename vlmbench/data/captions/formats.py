"""The formats of caption files: detecting them, and reading entries with their place, for messages.

COCO's annotations and results, Karpathy's ``dataset_coco.json`` (``dataset_flickr8k.json`` and ``…30k`` likewise),
``{id: caption}`` JSON, and tables (see `vlmbench.data.captions.tables`).
"""

from pathlib import Path
from typing import Any

from vlmbench.data.base import ALL
from vlmbench.data.captions.columns import GROUP
from vlmbench.data.captions.entries import FORMS, CaptionRow, Pairs, Parsed, Want, captions_in, group_of, id_of, kind_of
from vlmbench.data.captions.tables import PARQUET, from_csv, from_lines, from_parquet, from_records, is_row
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import json_of, read_bytes, text_of
from vlmbench.foundations.hashing import sha256_bytes, sha256_file
from vlmbench.foundations.text import visible


def read_captions(path: Path, want: Want) -> tuple[Parsed, str]:
    """The content of a caption file of any format, and the SHA-256 of its bytes. Raises `InputError`, with the place,
    where it cannot be read, has none of the formats, or an entry is malformed."""
    if _is_parquet(path):
        return from_parquet(path, want), sha256_file(path)
    data = read_bytes(path)
    return parse(text_of(data, path), path, want), sha256_bytes(data)


def _is_parquet(path: Path) -> bool:
    if not path.is_file():  # a pipe can be read once
        return False
    try:
        with open(path, "rb") as handle:
            return handle.read(len(PARQUET)) == PARQUET
    except (OSError, ValueError):
        return False


def parse(text: str, path: Path, want: Want) -> Parsed:
    """The entries of a caption file that is text; raises as `read_captions`."""
    head = text.lstrip()[:1]
    if not head:
        raise InputError("an empty file", where=str(path), fix=f"give {FORMS}")
    if head in "[{":
        try:
            data = json_of(text, str(path), halves=True)
        except InputError:
            if head == "{" and _looks_like_lines(text):
                return from_lines(text, path, want)
            raise
        return _from_json(data, text, path, want)
    return from_csv(text, path, want)


def _looks_like_lines(text: str) -> bool:
    first = next(line for line in text.split("\n") if line.strip())
    try:
        return isinstance(json_of(first, "", halves=True), dict)
    except InputError:
        return False


def _from_json(data: Any, text: str, path: Path, want: Want) -> Parsed:
    if isinstance(data, list):
        return from_records(data, path, want)
    if not isinstance(data, dict):
        raise InputError(f"JSON of type {kind_of(data)}", where=str(path), fix=f"give {FORMS}")
    if "annotations" in data and not isinstance(data["annotations"], str):
        return _from_coco(data, path, want)
    images = data.get("images")
    if isinstance(images, list) and images and isinstance(images[0], dict):
        return _from_karpathy(images, path, want)
    if is_row(data, want):
        return from_records([data], path, want)
    entries = []
    for index, (key, value) in enumerate(json_of(text, str(path), pairs=Pairs, halves=True), 1):
        place = f"id {visible(key[:80])!r} (number {index})"
        entries.append(CaptionRow(id_of(key, str(path), place), captions_in(value, str(path), place), place))
    return Parsed(entries, mapping=True)


def _from_coco(data: dict[str, Any], path: Path, want: Want) -> Parsed:
    annotations, images = data["annotations"], data.get("images", [])
    if not isinstance(annotations, list) or not isinstance(images, list):
        raise InputError(
            "annotations and images must be lists",
            where=str(path),
            fix="give a COCO captions file (captions_val2014.json)",
        )
    declared: list[str] = []
    groups: dict[str, str] = {}
    files: dict[str, str] = {}
    group = _group(want)
    for index, image in enumerate(images):
        place = f"images[{index}]"
        if not isinstance(image, dict) or "id" not in image:
            raise InputError("an image without id", where=f"{path}, {place}", fix="every entry of images needs an id")
        declared.append(id_of(image["id"], str(path), place))
        if isinstance(image.get("file_name"), str):
            files[declared[-1]] = image["file_name"]
        if group in image:
            groups[declared[-1]] = group_of(image[group])
    if groups:
        want.named.of("group", (group,))
    found = from_records(annotations, path, Want(candidates=want.candidates), "annotations")
    return Parsed(found.entries, tuple(declared), groups=groups, files=files)


def _group(want: Want) -> str:
    """The field of an image's group."""
    return next(iter(want.named.by_role.get("group", ())), GROUP)


def _from_karpathy(images: list[Any], path: Path, want: Want) -> Parsed:
    """Karpathy's: ``{"images": [{"filename", "cocoid", "split", "sentences": [{"raw"}]}]}``.

    An image's id is its ``cocoid``, or its ``filename`` where it has none (Flickr8k, Flickr30k).
    """
    entries: list[CaptionRow] = []
    splits: list[str] = []
    groups: dict[str, str] = {}
    files: dict[str, str] = {}
    group = _group(want)
    for index, image in enumerate(images):
        place = f"images[{index}]"
        if not isinstance(image, dict) or not isinstance(image.get("sentences"), list):
            raise InputError(
                "an image without sentences",
                where=f"{path}, {place}",
                fix='give COCO JSON with annotations, or Karpathy\'s: {"filename", "split", "sentences": [{"raw"}]}',
            )
        id = id_of(image.get("cocoid", image.get("filename")), str(path), place)
        entries.append(CaptionRow(id, captions_in(image["sentences"], str(path), place), place))
        splits.append(want.split_of(image.get("split", ALL)))
        if isinstance(image.get("filename"), str):
            files[id] = "/".join(filter(None, (image.get("filepath"), image["filename"])))
        if group in image:
            groups[id] = group_of(image[group])
    if groups:
        want.named.of("group", (group,))
    chosen = want.choose(list(dict.fromkeys(splits)), str(path))
    kept = [entry for entry, own in zip(entries, splits, strict=True) if chosen in (ALL, own)]
    ids = tuple(entry.image for entry in entries)
    return Parsed(
        kept,
        tuple(entry.image for entry in kept),
        groups=groups,
        split=chosen,
        files=files,
        splits=dict(zip(ids, splits, strict=True)),
    )
