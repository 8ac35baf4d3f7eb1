"""From what a user calls a dataset to an open one."""

from pathlib import Path

from vlmbench.data.base import Dataset
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible
from vlmbench.metrics.choice import multilabel_only
from vlmbench.records.registry import unknown

KINDS = (
    "a name from vlmbench list datasets, hf:owner/name[:config], folder:PATH, file:PATH, "
    "coco:ANNOTATIONS.json#DIRECTORY or boxes:INSTANCES.json#DATASET"
)


def open_dataset(spec: str, cache_dir: Path, reporter: Reporter | None = None) -> Dataset:
    """The dataset a user names; the reporter hears of a hub dataset that is streamed.

    Raises:
        AbsentError: there is none of that name, or it cannot be fetched.
        InputError: it is not what a dataset has to be.
        UsageError: the prefix is none of vlmbench's.
    """
    kind, colon, rest = spec.partition(":")
    if not colon:
        return _named(spec, cache_dir, reporter)
    if not rest:
        raise UsageError(f"nothing after {visible(kind)}: in the dataset's name", where=visible(spec), fix=KINDS)
    if kind == "boxes":
        from vlmbench.data.views.boxes import open_boxes

        return open_boxes(spec, rest, cache_dir)
    if kind == "coco":
        from vlmbench.data.captions.sets import open_coco

        return open_coco(spec, rest)
    if kind == "folder":
        from vlmbench.data.captions.sets import is_captioned_folder, open_captioned_folder
        from vlmbench.data.local.folder import open_folder

        if is_captioned_folder(rest):
            return open_captioned_folder(spec, rest)

        return open_folder(spec, rest)
    if kind == "file":
        from vlmbench.data.local.files import open_file

        return open_file(spec, rest, cache_dir)
    if kind == "hf":
        from vlmbench.data.hub.dataset import open_hub

        return open_hub(spec, rest, cache_dir, reporter=reporter)
    raise UsageError(f"unknown kind of dataset: {visible(kind)}:", where=visible(spec), fix=KINDS)


def _named(spec: str, cache_dir: Path, reporter: Reporter | None) -> Dataset:
    from vlmbench.data.bundled import bundled_names, open_bundled
    from vlmbench.data.catalogue import listed, names
    from vlmbench.data.elsewhere import ELSEWHERE, elsewhere

    name, _, query = spec.partition("?")
    if not name.strip():
        raise AbsentError("an empty name of a dataset", fix="vlmbench list datasets")
    if name in bundled_names():
        return open_bundled(name)
    entry = listed().get(name)
    if entry is not None:
        from vlmbench.data.hub.dataset import Recipe, open_hub

        recipe = Recipe(
            image=entry.image,
            label=entry.label,
            splits=dict(entry.splits),
            metric=entry.metric,
            multilabel=multilabel_only(entry.metric),
            group=entry.group,
            captions=entry.captions,
        )
        rest = f"{entry.hub_id}?{query}" if query else entry.hub_id
        return open_hub(spec, rest, cache_dir, recipe, entry.revision, reporter)
    absent = elsewhere(name)
    if absent is not None:
        raise absent
    if Path(name).is_dir():
        raise unknown("dataset", visible(name), names(), fix=f"folder:{visible(name)}")
    raise unknown("dataset", visible(name), [*names(), *ELSEWHERE])
