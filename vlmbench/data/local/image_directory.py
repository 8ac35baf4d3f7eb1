"""Images that are asked for by name, in a directory: at any depth, with or without the file's ending."""

from collections.abc import Sequence
from pathlib import Path

from vlmbench.data.base import ALL, OpenDataset
from vlmbench.data.images import is_image
from vlmbench.data.local.folder import ImageRow, without_classes
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import utf8_name
from vlmbench.foundations.paths import named_directory
from vlmbench.foundations.text import composed, visible

_NAMED = 3


def open_images(directory: Path, ids: Sequence[str]) -> OpenDataset:
    """The images called `ids` [N] among those below a directory, in one split.

    A file is found by its path below the directory, by its name, or by its name without the ending (``12`` is
    ``val/12.jpg``), in that order. Raises `InputError` where images are not there, or two files have the name of one.
    """
    named_directory(directory, where="--images")
    by_path, by_name, by_stem = _index(directory)
    names: list[str] = []
    absent: list[str] = []
    for image in ids:
        name = composed(image)
        found = by_path.get(name) or by_name.get(name) or by_stem.get(name) or []
        if len(found) > 1:
            raise InputError(
                f"two files have the name of image {visible(image[:80])}: {visible(found[0])} and {visible(found[1])}",
                where=str(directory),
                fix="remove or rename one of them",
            )
        names += found
        absent += [] if found else [image]
    if absent:
        shown = ", ".join(visible(image[:80]) for image in absent[:_NAMED])
        raise InputError(
            f"{len(absent):,} of {len(ids):,} images are missing: {shown}{' …' if len(absent) > _NAMED else ''}",
            where=str(directory),
            fix="add them (a file is called as the judgements call the image, with or without its ending), "
            "or remove CLIPScore and RefCLIPScore from --metrics",
        )
    rows = tuple(ImageRow(ALL, image, name) for image, name in zip(ids, names, strict=True))
    return without_classes(f"images:{directory}", directory, rows)


def _index(directory: Path) -> tuple[dict[str, list[str]], ...]:
    by_path: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    by_stem: dict[str, list[str]] = {}
    for path in sorted(directory.rglob("*")):
        if is_image(path.name) and path.is_file():
            name = utf8_name(path.relative_to(directory).as_posix(), str(directory))
            for names, own in ((by_path, name), (by_name, path.name), (by_stem, path.stem)):
                names.setdefault(composed(own), []).append(name)
    return by_path, by_name, by_stem
