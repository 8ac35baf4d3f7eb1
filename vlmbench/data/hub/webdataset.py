"""The layout of CLIP_benchmark's WebDatasets: ``train/0.tar``, ``train/1.tar`` … and ``train/nshards.txt``, so for each
split; beside the splits ``classnames.txt``, ``zeroshot_classification_templates.txt`` and ``dataset_type.txt``.

So `clip_benchmark.webdataset_builder` writes them, and so they lie on the hub (``clip-benchmark/wds_*``,
``mteb/wds_*``, ``djghosh/wds_*_test``). `datasets` would guess the format by counting endings in each split, and takes
one tar beside ``nshards.txt`` for text.
"""

import re
from collections.abc import Iterable

from vlmbench.data.base import ALL
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural

MODULE = "webdataset"
COUNT = "nshards.txt"
_NUMBERED = re.compile(r"(^|/)\d+\.tar$")
_BESIDE = frozenset({"classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt"})


def find_shards(names: Iterable[str]) -> dict[str, tuple[str, ...]] | None:
    """The tars of each split, in the order of their numbers, where files (named relative to a repository or directory)
    are laid out as CLIP_benchmark lays them out; None where they are not."""
    names = set(names)
    folders: dict[str, list[str]] = {}
    for name in names:
        if name.endswith(".tar") and name.count("/") <= 1:
            folders.setdefault(name.rpartition("/")[0], []).append(name)
    chosen = {folder for folder in folders if beside(folder, COUNT) in names}
    if not chosen and names & _BESIDE:
        chosen = {folder for folder, tars in folders.items() if folder and all(map(_NUMBERED.search, tars))}
    return {folder or ALL: tuple(sorted(folders[folder], key=natural)) for folder in sorted(chosen)} or None


def beside(folder: str, name: str) -> str:
    """The path of a file in a folder; of one at the top its name."""
    return f"{folder}/{name}" if folder else name


def counted(tars: tuple[str, ...], text: str | None, id: str) -> tuple[str, ...]:
    """The tars of a split that ``nshards.txt`` counts, from ``0.tar`` on, as CLIP_benchmark reads them; all of them
    without that file's `text`.

    Raises `AbsentError` where there are fewer, `InputError` where it holds no number.
    """
    if text is None:
        return tars
    folder = tars[0].rpartition("/")[0]
    where = beside(folder, COUNT)
    number = text.strip()
    count = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 0
    if not count:
        raise InputError(
            f"{visible(where)} of {visible(id)} contains no number of tars: {visible(number[:40])}",
            where=id,
            fix="write the number of the split's tars into it",
        )
    wanted = tuple(beside(folder, f"{k}.tar") for k in range(count))
    if not _NUMBERED.search(tars[0]):
        wanted = tars[:count]
    absent = [name for name in wanted if name not in tars]
    if absent or len(wanted) < count:
        first = f": {visible(absent[0])}{' …' if len(absent) > 1 else ''}" if absent else ""
        raise AbsentError(
            f"{count - len(wanted) + len(absent)} of the {number} tars that {visible(where)} of {visible(id)} "
            f"counts are missing{first}",
            where=id,
            fix=f"download them, or correct the number in {visible(where)}",
        )
    return wanted
