"""From a dataset's name to an open dataset: each kind of name is opened by one function, imported when it is needed.

Another installed package adds a kind by an entry point of the group ``vlmbench.datasets``: its name is the kind
(``squares`` for ``squares:…``), its object a function of a `DatasetRef` and an `Opening` that gives a `Dataset`.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from vlmbench.data.base import Dataset, Opening
from vlmbench.data.names import CLASSES, FILE, GROUP, IN_GROUPS, LISTED, DatasetName, DatasetRef
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.paths import is_file, is_there, user_path
from vlmbench.foundations.plugins import Registry, unknown
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.text import visible

ENTRY_POINTS = "vlmbench.datasets"
Opener = Callable[[DatasetRef, Opening], Dataset]

KINDS = Registry(
    "kind of dataset",
    {
        "hf": "vlmbench.data.hub.dataset:open_hub",
        "folder": "vlmbench.data.captions.sets:open_folder",
        "file": "vlmbench.data.files:open_file",
        "coco": "vlmbench.data.captions.sets:open_coco",
        "boxes": "vlmbench.data.views.boxes:open_boxes",
    },
)
"""The kinds of vlmbench's own, each with the function that opens it."""
_FORMS = (
    "a name from vlmbench list datasets, hf:owner/name[:config], folder:PATH, file:PATH, "
    "coco:ANNOTATIONS.json#DIRECTORY or boxes:INSTANCES.json#DATASET; ?corrupt=fog:3 may follow"
)


def open_dataset(name: DatasetName, cache_dir: Path, reporter: Reporter | None = None) -> Dataset:
    """The dataset a user names; the reporter hears of a hub dataset that is streamed. Raises `AbsentError` where there
    is no such dataset or it cannot be downloaded, `InputError` where it is not valid, `UsageError` where there is no
    such kind."""
    ref, reporter = DatasetRef.parse(name), reporter or Silent()
    opening = Opening(cache_dir, reporter, lambda other: open_dataset(other, cache_dir, reporter))
    if ref.view is not None:
        from vlmbench.data.views.crops import seen_as

        return seen_as(opening.open(ref.whole), ref.view)
    if ref.corruption is not None:
        from vlmbench.data.corrupted import corrupted_dataset

        return corrupted_dataset(opening.open(ref.clean), ref.corruption)
    if merged := ref.option(CLASSES):
        from vlmbench.data.merged import merged_dataset

        return merged_dataset(opening.open(ref.unmerged), user_path(merged), ref.id)
    if ref.option(IN_GROUPS) and ref.kind != FILE:
        raise UsageError(
            f"{visible(str(ref))} has no columns to group its images by",
            where="--group",
            fix="file:LIST.csv, a line for each image, with the columns file_name, label and the group's",
        )
    if ref.kind == LISTED:
        return _open_listed(ref, opening)
    if ref.kind not in kinds():
        raise UsageError(f"unknown kind of dataset: {visible(ref.kind)}:", where=visible(str(ref)), fix=_forms())
    if not (ref.place or ref.directory or ref.images):
        raise UsageError(
            f"nothing after {visible(ref.kind)}: in the dataset's name", where=visible(str(ref)), fix=_forms()
        )
    plugin = kinds().added.get(ref.kind)
    if plugin is not None:
        from vlmbench.data.added import open_added

        return open_added(plugin, ref, opening)
    opener: Opener = KINDS.load(ref.kind)
    return opener(ref, opening)


@cache
def kinds() -> Registry:
    """Every kind, those of other installed packages too. Raises `InputError`, which names the package, where one is
    there already."""
    return KINDS.with_installed(ENTRY_POINTS, (GROUP, "images"))


def captioned_ref(name: str) -> DatasetRef | None:
    """The dataset that is named where a file of captions may stand too; None: it is such a file."""
    if is_file(name):
        return None
    kind = name.partition(":")[0]
    if kind == FILE:
        from vlmbench.data.local.archives import SUFFIXES

        return DatasetRef.parse(name) if name.lower().endswith(SUFFIXES) else None
    if kind in kinds():
        return DatasetRef.parse(name)
    from vlmbench.data.catalogue import names

    return DatasetRef.parse(name) if name.partition("?")[0] in names() else None


def _forms() -> str:
    return ", ".join([_FORMS, *(f"{plugin.name}:… of {plugin.source}" for plugin in kinds().added.values())])


def _open_listed(ref: DatasetRef, opening: Opening) -> Dataset:
    from vlmbench.data.bundled import bundled_names, open_bundled
    from vlmbench.data.catalogue import listed, names
    from vlmbench.data.elsewhere import ELSEWHERE, elsewhere

    name = ref.place
    if not name.strip():
        raise AbsentError("the dataset's name is empty", fix="vlmbench list datasets")
    if name in bundled_names():
        return open_bundled(name)
    if name in listed():
        opener: Opener = KINDS.load("hf")
        return opener(ref, opening)
    absent = elsewhere(name)
    if absent is not None:
        raise absent
    if is_there(name, directory=True):
        raise unknown("dataset", visible(name), (), fix=f"folder:{visible(name)}")
    raise unknown("dataset", visible(name), [*names(), *ELSEWHERE])
