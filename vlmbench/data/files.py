"""``file:PATH``: a list of images, a Parquet or Arrow file, or an archive of any layout vlmbench reads."""

from pathlib import Path

from vlmbench.data.base import ALL, Dataset, Opening
from vlmbench.data.captions.sets import captioned_folder
from vlmbench.data.hub.dataset import Hub
from vlmbench.data.hub.files import Source, local
from vlmbench.data.hub.webdataset import MODULE
from vlmbench.data.local.archives import SUFFIXES as ARCHIVES
from vlmbench.data.local.archives import is_webdataset, unpack
from vlmbench.data.local.folder import labelled_folder
from vlmbench.data.local.listing import SUFFIXES as LISTS
from vlmbench.data.local.listing import open_list
from vlmbench.data.names import IN_GROUPS, DatasetRef
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import regular_file
from vlmbench.foundations.paths import user_path
from vlmbench.foundations.text import visible

_FIX = "a .csv, .tsv or .jsonl list, a .parquet or .arrow file, or a .zip or .tar archive"


def open_file(ref: DatasetRef, opening: Opening) -> Dataset:
    """The dataset ``file:PATH``; `InputError` where it is none of the kinds above."""
    spec, cache_dir = ref.id, opening.cache_dir
    path = regular_file(user_path(ref.place), where=spec, fix=_FIX)
    ending = path.suffix.lower()
    if ending in LISTS:
        return open_list(spec, path, group=ref.option(IN_GROUPS))
    if ending in {".parquet", ".arrow"}:
        return Hub(spec, _single(spec, path, ending.lstrip("."), cache_dir))
    if path.name.lower().endswith(ARCHIVES):
        if ending == ".tar" and is_webdataset(path):
            return Hub(spec, _single(spec, path, MODULE, cache_dir))
        return _unpacked(spec, unpack(path, cache_dir), cache_dir)
    raise InputError(f"not a dataset file: {visible(path.name)}", where=spec, fix=_FIX)


def _single(spec: str, path: Path, module: str, cache_dir: Path) -> Source:
    home = path.absolute().parent
    beside = tuple(sorted(item.name for item in home.glob("*.txt")))
    return Source(spec, cache_dir, root=home, module=module, data_files={ALL: (path.name,)}, other_files=beside)


def _unpacked(spec: str, root: Path, cache_dir: Path) -> Dataset:
    captioned = captioned_folder(spec, root)
    if captioned is not None:
        return captioned
    lists = sorted(path for ending in LISTS for path in root.glob(f"*{ending}"))
    if lists:
        return open_list(spec, lists[0], enclosed=True)
    if any(root.rglob("*.parquet")) or any(root.rglob("*.arrow")) or any(root.rglob("*.tar")):
        return Hub(spec, local(spec, root, None, cache_dir))
    return labelled_folder(spec, root)
