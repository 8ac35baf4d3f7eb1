"""The datasets with a short name: the bundled ones, and the listed ones on the hub."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vlmbench.data.base import TEST, TRAIN
from vlmbench.data.bundled import bundled_names, open_bundled
from vlmbench.data.corruptions.kinds import corruptions
from vlmbench.data.names import CORRUPT, GROUP, LISTED, DatasetName, DatasetRef, bare_name
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible
from vlmbench.metrics.choice import DEFAULT

CAPTIONED = "captioned"
FAMILY = "family"
"""Where a test set is named: the other datasets of the training set's family."""


@dataclass(frozen=True)
class CatalogueRow:
    """What is known about a hub dataset; any field may be unknown.

    Attributes:
        name: its short name.
        group: ``fine-grained``, ``natural``, ``abstract``, ``specialised``, ``text``, ``imagenet`` …, or `CAPTIONED`.
        tags: further groups (``clip27``, ``vtab``).
        hub_id: its id on the hub.
        revision: the pinned commit, where the facts name one.
        splits: our split to the repository's.
        image: the image column, where the facts name one.
        label: the label column, likewise.
        captions: the caption columns of a captioned set.
        metric: the metric the literature reports.
        classes: how many classes, if known.
        family: the datasets with the same classes that shift from each other, for ``--test-on family``, if any.
        wds_id: the set's copy in CLIP_benchmark's WebDataset collection, ``owner/name[@revision]``, if it has one.
    """

    name: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()
    hub_id: str = ""
    revision: str | None = None
    splits: tuple[tuple[str, str], ...] = ()
    image: str | None = None
    label: str | None = None
    captions: tuple[str, ...] = ()
    metric: str = DEFAULT
    classes: int | None = None
    wds_id: str | None = None
    family: str | None = None


@cache
def listed() -> dict[str, CatalogueRow]:
    """The hub datasets by name, in the order of their groups."""
    captioned = ({"group": CAPTIONED, "metric": "recall"} | row for row in _rows("captioned.csv"))
    return {row["name"]: _read(row) for row in (*_rows("datasets.csv"), *captioned)}


def _read(row: dict[str, str]) -> CatalogueRow:
    """A row of either table; empty fields are unknown."""
    known = {column: value for column, value in row.items() if value}
    return CatalogueRow(
        name=row["name"],
        group=row["group"],
        tags=tuple(filter(None, row.get("tags", "").split("|"))),
        hub_id=row["hub_id"],
        revision=known.get("revision"),
        splits=tuple((ours, known[f"{ours}_split"]) for ours in (TRAIN, TEST) if f"{ours}_split" in known),
        image=known.get("image_column"),
        label=known.get("label_column"),
        captions=tuple(filter(None, row.get("caption_column", "").split("|"))),
        metric=known.get("metric", DEFAULT),
        classes=int(row["classes"]) if row.get("classes", "").isdigit() else None,
        wds_id=known.get("wds_id"),
        family=known.get("family"),
    )


def names() -> list[str]:
    """Every name that needs no prefix."""
    return [*bundled_names(), *listed()]


def groups() -> dict[str, list[str]]:
    """Group to its datasets; a tag is a group too."""
    found: dict[str, list[str]] = {}
    for name in bundled_names():
        found.setdefault(str(open_bundled(name).facts.get("group", "bundled")), []).append(name)
    for name, entry in listed().items():
        for group in (entry.group, *entry.tags):
            if "/" not in name or entry.group == CAPTIONED:
                found.setdefault(group, []).append(name)
    return found


def expand(named: Iterable[DatasetName]) -> list[DatasetRef]:
    """The named datasets, with ``group:NAME`` replaced by its members, without duplicates.

    Options after a question mark (``group:text?stream=yes``) apply to every member on the hub, ``corrupt`` to all.
    Raises `UsageError` where there is no such group (the known ones are named), or the options are invalid.
    """
    found: list[DatasetRef] = []
    for ref in map(DatasetRef.parse, named):
        if ref.kind != GROUP:
            found.append(ref)
            continue
        known = groups()
        if ref.place not in known:
            raise UsageError(f"no such group: {visible(ref.place)}", where="-d", fix=f"one of {', '.join(known)}")
        corrupt = tuple(option for option in ref.options if option[0] == CORRUPT)
        found += [
            DatasetRef(LISTED, member, ref.options if member in listed() else corrupt) for member in known[ref.place]
        ]
    return list(dict.fromkeys(found))


def families() -> dict[str, list[str]]:
    """Family to its datasets."""
    found: dict[str, list[str]] = {}
    for name, entry in listed().items():
        if entry.family:
            found.setdefault(entry.family, []).append(name)
    return found


def family(ref: DatasetRef) -> list[DatasetRef]:
    """The other datasets of a dataset's family; `UsageError` where it is in none."""
    entry = listed().get(bare_name(ref.id))
    if entry is None or entry.family is None:
        known = "; ".join(f"{name}: {', '.join(members)}" for name, members in families().items())
        raise UsageError(
            f"{visible(ref.id)} is in no family of datasets", where="--test-on family", fix=f"the families are {known}"
        )
    return [DatasetRef(LISTED, name) for name in families()[entry.family] if name != entry.name]


def with_corruptions(refs: Sequence[DatasetRef], kinds: str | None) -> list[DatasetRef]:
    """The datasets, each followed by itself in every corruption that is named (``all:1-5``); None: none. Raises
    `UsageError` where there is no such corruption, or a dataset is corrupted already."""
    if kinds is None:
        return list(refs)
    named = corruptions(kinds, f"--corrupt {visible(kinds)}")
    for ref in refs:
        if ref.corruption is not None:
            raise UsageError(
                f"{visible(str(ref))} is corrupted already", where="--corrupt", fix=f"-d {visible(str(ref.clean))}"
            )
    return [one for ref in refs for one in (ref, *(ref.corrupted(corruption) for corruption in named))]


def _rows(name: str) -> list[dict[str, str]]:
    with open(Path(__file__).with_name(name), encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, restval=""))
