"""Folders, and captioned image sets: a folder with a ``metadata`` file, or COCO annotations with their images.

``folder:PATH`` with ``PATH/metadata.jsonl`` (or ``.csv``): one line per image, ``file_name`` and ``captions`` (a list)
or ``caption`` (one; several lines for the same image are combined), maybe ``image_id``, ``split`` and ``domain``, or
whatever else `vlmbench.data.captions.columns` knows; or ``PATH/{train,val,test}/metadata.jsonl``.
``coco:ANNOTATIONS.json[?restval=yes]#DIRECTORY``: COCO's ``images`` and ``annotations``, or Karpathy's ``images`` with
``sentences`` and ``split``; the directory defaults to the file's own. Karpathy's ``restval`` is a split of its own, or
with ``?restval=yes`` a part of ``train``, as most training runs on COCO have it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmbench.data.base import ALIASES, ALL, OpenDataset, Opening
from vlmbench.data.captions.columns import FILES, GROUP, IDS, caption_columns
from vlmbench.data.captions.entries import Want, captions_of, group_of
from vlmbench.data.captions.formats import read_captions
from vlmbench.data.captions.tables import cell
from vlmbench.data.local.folder import LAYOUT, ImageRow, labelled_folder, without_classes
from vlmbench.data.local.listing import table_rows
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.paths import leads_outside, named_directory, named_file, user_path
from vlmbench.foundations.text import visible

METADATA = ("metadata.jsonl", "metadata.csv")
_FIX = 'write one line per image: {"file_name": "cat.jpg", "captions": ["a cat", "a cat on a mat"]}'


def open_folder(ref: DatasetRef, opening: Opening) -> OpenDataset:
    """The dataset ``folder:PATH``: captioned where it, or a split of it, has a metadata file with captions. Raises
    `InputError`, with file and line, where that is malformed."""
    root = named_directory(user_path(ref.place), where=ref.id, fix=LAYOUT)
    return captioned_folder(ref.id, root) or labelled_folder(ref.id, root)


def captioned_folder(id: str, root: Path) -> OpenDataset | None:
    """The captioned set that a directory holds; None where no metadata file in it has captions. Raises `InputError`,
    with file and line, where that is malformed."""
    whole = _metadata(root)
    places = [(ALL, "", whole)] if whole is not None else _split_files(root)
    if not places or not caption_columns(next(_entries(places[0][2]), ("", {}))[1]):
        return None
    rows = [row for split, folder, file in places for row in _rows(file, split, folder)]
    return without_classes(id, root, _checked(rows, places[0][2]))


def open_coco(ref: DatasetRef, opening: Opening) -> OpenDataset:
    """The captioned set ``coco:ANNOTATIONS.json[?restval=yes]#DIRECTORY``. Raises `InputError` where it is neither
    COCO's nor Karpathy's format."""
    path, restval = user_path(ref.place), bool(ref.options)
    root = user_path(ref.directory) if ref.directory else path.parent
    fix = "the format is coco:ANNOTATIONS.json#IMAGE_DIRECTORY"
    named_file(path, what="annotations file", where=ref.id, fix=fix)
    named_directory(root, what="image directory", where=ref.id, fix=fix)
    found, _ = read_captions(path, Want(split=ALL, restval=restval))
    captions: dict[str, list[str]] = {image: [] for image in found.declared}
    if not set(captions) <= set(found.files) or not captions or len(captions) < len(found.declared):
        raise InputError(
            "neither COCO's captions format nor Karpathy's",
            where=str(path),
            fix="it needs images (unique id, file_name) and annotations (image_id, caption)",
        )
    for entry in found.entries:
        if entry.image not in captions:
            what = f"an annotation for an image that is not listed under images: {visible(entry.image)}"
            raise InputError(what, where=f"{path}, {entry.place}", fix="add it to images, or remove the annotation")
        captions[entry.image] += entry.captions
    rows = [
        ImageRow(found.splits.get(image, ALL), image, found.files[image], 0, tuple(own), found.groups.get(image, ""))
        for image, own in captions.items()
    ]
    return without_classes(ref.id, root, _checked(rows, path))


def _split_files(root: Path) -> list[tuple[str, str, Path]]:
    """Split, directory below `root` and metadata file of each split that has one."""
    named = [(ALIASES.get(path.name.lower()), path) for path in sorted(root.iterdir()) if path.is_dir()]
    return [(split, path.name + "/", file) for split, path in named if split and (file := _metadata(path)) is not None]


def _metadata(directory: Path) -> Path | None:
    return next((directory / name for name in METADATA if (directory / name).is_file()), None)


def _rows(file: Path, split: str, folder: str) -> list[ImageRow]:
    """The images of a metadata file, in order; lines for the same image are combined."""
    found: dict[tuple[str, str], ImageRow] = {}
    for place, entry in _entries(file):
        name = next((entry[field] for field in FILES if field in entry), None)
        if not isinstance(name, str) or not name:
            raise InputError("no file_name", where=place, fix=_FIX)
        if leads_outside(name):
            raise InputError(
                f"file_name points outside the folder: {visible(name)}", where=place, fix="use files below the folder"
            )
        texts = [entry[field] for field in caption_columns(entry) if entry[field] not in (None, "")]
        captions = captions_of(texts[0] if len(texts) == 1 else texts)
        if not captions:
            raise InputError(f"{visible(name)} has no caption", where=place, fix=_FIX)
        own = entry.get("split")
        key = (ALIASES.get(str(own).lower(), str(own)) if own else split, folder + name)
        image = str(next((entry[field] for field in IDS if entry.get(field) not in (None, "")), name))
        before = found.get(key)
        group = "" if entry.get(GROUP) is None else group_of(entry[GROUP])
        found[key] = ImageRow(key[0], image, key[1], 0, (before.captions if before else ()) + captions, group)
    return list(found.values())


def _entries(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each entry with its place; a list of captions that stands in a cell of a CSV is one."""
    for place, entry in table_rows(file, what="metadata file", fix=_FIX):
        own = entry if file.suffix == ".jsonl" else {name: cell(str(value)) for name, value in entry.items()}
        yield f"{file}, {place}", own


def _checked(rows: Sequence[ImageRow], where: Path) -> tuple[ImageRow, ...]:
    """Rejects a set without images, without captions, or with an id twice in a split."""
    if not rows:
        raise InputError("no images", where=str(where), fix=_FIX)
    known: set[tuple[str, str]] = set()
    for row in rows:
        wrong, fix = "", ""
        if not row.captions:
            wrong, fix = f"the image {visible(row.id)} has no caption", "give it one, or remove it"
        elif leads_outside(row.file):
            wrong, fix = f"a file name points outside the folder: {visible(row.file)}", "use files below the folder"
        elif (row.split, row.id) in known:
            wrong, fix = f"the image {visible(row.id)} occurs twice", "keep one of the two"
        if wrong:
            raise InputError(wrong, where=str(where), fix=fix)
        known.add((row.split, row.id))
    return tuple(rows)
