"""Whether a split's files fit on the disk, or have to be streamed."""

import shutil
from pathlib import Path

from vlmbench.data.hub.files import Source
from vlmbench.data.hub.index import size
from vlmbench.data.names import NO, YES
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.paths import user_path
from vlmbench.foundations.text import visible
from vlmbench.hub.client import cached_file, offline

RESERVE = 2 * 1024**3
"""Bytes of a disk that fetched datasets leave free."""


def is_streamed(source: Source, split: str, *, indexed: bool) -> bool:
    """Whether a split is read from the hub as it is needed.

    It is where the user says so; else where its files are neither here nor fit on the disk, and, without a network,
    where they are not here but all that a run with stored features needs is. `indexed` says whether it was streamed
    before. Raises `UsageError` where a directory is to be streamed.
    """
    if source.repository is None or not source.sizes:
        if source.stream == YES and source.repository is None:
            raise UsageError(
                f"nothing to stream: {visible(source.id)} is on this machine",
                where=source.id,
                fix="leave out ?stream=yes",
            )
        return False
    if source.stream in (YES, NO):
        return source.stream == YES
    if not _missing(source, split):
        return False
    return indexed if offline() else shortage(source, split) is not None


def shortage(source: Source, split: str) -> str | None:
    """What a disk lacks for a split's files and for the Arrow tables, as large again, that `datasets` makes of them.

    Of tars it makes none: they are read as they are.
    """
    from datasets import config
    from huggingface_hub import constants

    needs: dict[int, tuple[int, Path]] = {}
    absent = sum(source.sizes.get(name, 0) for name in _missing(source, split))
    whole = 0 if source.has_shards(split) else sum(source.sizes.get(name, 0) for name in source.files(split))
    for place, count in ((constants.HF_HUB_CACHE, absent), (config.HF_DATASETS_CACHE, whole)):
        directory = _existing(Path(place))
        disk = directory.stat().st_dev
        needs[disk] = (needs.get(disk, (0, directory))[0] + count, directory)
    for needed, directory in needs.values():
        free = max(0, shutil.disk_usage(directory).free - RESERVE)
        if needed > free:
            return f"would take {size(needed)} of {directory}, but only {size(free)} can be used"
    return None


def _missing(source: Source, split: str) -> list[str]:
    """The files of a split that were not fetched before."""
    return [
        name for name in source.files(split) if cached_file(str(source.repository), str(source.commit), name) is None
    ]


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    path = user_path(path).absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())
