"""The layout of CLIP_benchmark's WebDatasets: ``train/0.tar``, ``train/1.tar`` … and ``train/nshards.txt``, so for each
split; beside the splits ``classnames.txt``, ``zeroshot_classification_templates.txt`` and ``dataset_type.txt``.

So `clip_benchmark.webdataset_builder` writes them, and so they lie on the hub (``clip-benchmark/wds_*``,
``mteb/wds_*``, ``djghosh/wds_*_test``). `datasets` would guess the format by counting endings in each split, and takes
one tar beside ``nshards.txt`` for text.
"""

import re
from collections.abc import Callable, Iterable

from vlmbench.data.base import ALL
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural

MODULE = "webdataset"
_COUNT = "nshards.txt"
_NUMBERED = re.compile(r"/\d+\.tar$")
_BESIDE = frozenset({"classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt"})


def find_shards(names: Iterable[str], read: Callable[[str], str]) -> dict[str, tuple[str, ...]] | None:
    """The tars of each split, in the order of their numbers, where files are laid out as CLIP_benchmark lays them out.

    Args:
        names: files of a repository or directory, relative to it.
        read: gives the text of one of them.

    Returns:
        Split to tars: those that ``nshards.txt`` counts, whether they are there or not, else all. None where it is
        another layout.

    Raises:
        InputError: ``nshards.txt`` holds no number.
    """
    names = set(names)
    folders: dict[str, list[str]] = {}
    for name in names:
        if name.endswith(".tar") and name.count("/") <= 1:
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    counted = {folder for folder in folders if _path(folder, _COUNT) in names}
    if not counted and names & _BESIDE:
        folders = {folder: tars for folder, tars in folders.items() if folder and all(map(_NUMBERED.search, tars))}
    elif not counted:
        return None
    if set(folders) != {""}:
        folders.pop("", None)
    if not folders:
        return None
    return {
        folder or ALL: _numbered(folder, tars, read) if folder in counted else _sorted(tars)
        for folder, tars in sorted(folders.items())
    }


def _numbered(folder: str, tars: list[str], read: Callable[[str], str]) -> tuple[str, ...]:
    name = _path(folder, _COUNT)
    text = read(name).strip()
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise InputError(
            f"{name} holds no number of shards: {visible(text[:40])}", where=name, mend="write how many tars there are"
        )
    wanted = tuple(_path(folder, f"{number}.tar") for number in range(int(text)))
    return wanted if wanted[0] in tars else _sorted(tars)


def _sorted(tars: list[str]) -> tuple[str, ...]:
    return tuple(sorted(tars, key=natural))


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
