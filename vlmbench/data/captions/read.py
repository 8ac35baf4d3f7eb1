"""Reads reference and candidate captions, and checks them before anything is scored.

A file may be COCO JSON (annotations or results), Karpathy's JSON, ``{id: caption}`` or ``{id: [caption, …]}`` JSON, a
list of objects, JSONL, CSV or TSV, plain or gzipped, or Parquet; the format is detected from the content. Ids are
compared as text: ``42`` and ``"42"`` are the same image.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vlmbench.data.base import ALL
from vlmbench.data.captions.entries import CaptionRow, Want
from vlmbench.data.captions.formats import read_captions
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible

_NAMED = 5  # ids named in a message


@dataclass(frozen=True)
class References:
    """Reference captions by image, in the order of the file."""

    name: str
    """The file's name, or the dataset's id."""
    fingerprint: str
    """SHA-256 of the file, or the dataset's fingerprint."""
    captions: dict[str, list[str]]
    where: str
    split: str = ALL
    groups: Mapping[str, str] = field(default_factory=dict)
    """The group of each image that is in one (nocaps' domain)."""

    def only(self, images: Sequence[str]) -> "References":
        """The references of these images, in this order."""
        return replace(self, captions={image: self.captions[image] for image in images})


@dataclass(frozen=True)
class Candidates:
    """One system's caption by image."""

    name: str
    fingerprint: str
    captions: dict[str, str]
    where: str


@dataclass(frozen=True)
class Aligned:
    """What is scored: every reference image, and for each system the images it has a caption for."""

    ids: tuple[str, ...]
    """Images with references, in the order of the reference file, `[N]`."""
    references: list[list[str]]
    images: list[list[int]]
    """For each system the indexes of its images in `ids`, ascending."""
    candidates: list[list[str]]
    """For each system a caption for each of `images`."""
    missing: list[int] = field(default_factory=list)
    """For each system how many images with references have no caption."""
    unknown: list[int] = field(default_factory=list)
    """For each system how many captions are of images without references."""

    def only(self, rows: Sequence[int], systems: Sequence[int]) -> "Aligned":
        """The images at `rows` (ascending indexes), of these systems; captions of other images are not counted."""
        place = {row: new for new, row in enumerate(rows)}
        kept = [[k for k, image in enumerate(self.images[system]) if image in place] for system in systems]
        chosen = list(zip(systems, kept, strict=True))
        return Aligned(
            tuple(self.ids[row] for row in rows),
            [self.references[row] for row in rows],
            [[place[self.images[system][k]] for k in part] for system, part in chosen],
            [[self.candidates[system][k] for k in part] for system, part in chosen],
            [len(rows) - len(part) for part in kept],
            [0] * len(kept),
        )


def read_references(path: Path, want: Want | None = None) -> References:
    """Reads reference captions; `want` has the columns and the split, where the user names them.

    Raises `InputError` where the file or an entry is malformed (its place is named), an id occurs twice, an image has
    no reference, or there is no such split; `UsageError` where a split is named, and the file does not tell splits
    apart.
    """
    want = want or Want()
    parsed, sha256 = read_captions(path, want)
    if parsed.split is None and want.split not in (None, ALL) and not want.lenient:
        raise UsageError(
            f"{visible(path.name)} does not say which split its images are in",
            where=f"--split {visible(str(want.split))}",
            fix="leave out --split; Karpathy's files, datasets and tables with a column split have splits",
        )
    captions: dict[str, list[str]] = {image: [] for image in parsed.declared}
    if parsed.declared and len(captions) != len(parsed.declared):
        raise _problem(
            "the same image occurs twice", path, "under images", _twice(parsed.declared), "remove the second"
        )
    if parsed.mapping:
        _unique(parsed.entries, path)
    strange = [entry for entry in parsed.entries if entry.image not in captions] if parsed.declared else []
    if strange:
        what, fix = "annotations for images that are not listed under images", "add them to images, or remove them"
        raise _problem(what, path, strange[0].place, [entry.image for entry in strange], fix)
    for entry in parsed.entries:
        captions.setdefault(entry.image, []).extend(entry.captions)
    bare = [image for image, found in captions.items() if not found]
    if bare:
        raise _problem("images without a reference", path, None, bare, "give each at least one caption, or remove it")
    if not captions:
        raise InputError(
            "no caption in the file",
            where=str(path),
            fix="give references as COCO JSON, {id: [caption, ...]}, JSONL, CSV or Parquet",
        )
    return References(path.name, sha256, captions, str(path), parsed.split or ALL, parsed.groups)


def read_candidates(path: Path, name: str | None = None, want: Want | None = None) -> Candidates:
    """Reads one system's candidates, one caption per image; without `name` the system is called as the file, without
    its endings. Raises `InputError` as `read_references`, or where an image has two captions."""
    parsed, sha256 = read_captions(path, replace(want or Want(), candidates=True, lenient=True))
    if parsed.declared:
        raise InputError(
            "this is an annotations file, not a results file",
            where=str(path),
            fix="give it as -r, and as -p a list of {image_id, caption}",
        )
    several = [entry for entry in parsed.entries if len(entry.captions) != 1]
    if several:
        what, images = "a candidate must be one caption", [entry.image for entry in several]
        raise _problem(what, path, several[0].place, images, "keep one caption per image; several are references (-r)")
    _unique(parsed.entries, path)
    if not parsed.entries:
        raise InputError(
            "no caption in the file",
            where=str(path),
            fix="give candidates as a list of {image_id, caption}, {id: caption}, JSONL, CSV or Parquet",
        )
    return Candidates(
        name or stem(path), sha256, {entry.image: entry.captions[0] for entry in parsed.entries}, str(path)
    )


def stem(path: Path) -> str:
    """A file's name without ``.json``, ``.jsonl.gz`` and the like."""
    name = path.name
    for ending in (".gz", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"):
        name = name.removesuffix(ending)
    return name or path.name


def align(
    references: References, systems: Sequence[Candidates], *, allow_missing: bool = False, allow_empty: bool = False
) -> Aligned:
    """Brings captions and references together, by id. Raises `InputError` where ids are missing or unknown, a caption
    is empty, or nothing is left to score. With `allow_missing` the images that have both are scored, with `allow_empty`
    empty captions are scored as they are, instead of refusing the file."""
    wanted = references.captions
    if not allow_empty:
        blank = [image for image, found in wanted.items() if not all(map(str.strip, found))]
        if blank:
            raise InputError(
                f"empty references of {_named(blank)}",
                where=references.where,
                fix="remove them, or keep them with --allow-empty",
            )
    ids = tuple(wanted)
    images, candidates = [], []
    for system in systems:
        by_image = system.captions
        kept = [index for index, image in enumerate(ids) if image in by_image]
        if not allow_missing:
            _complete(system, references)
        if not kept:
            raise InputError(
                f"no image of {visible(system.name)} has references: the ids have nothing in common",
                where=f"{system.where} and {references.where}",
                fix=f"compare ids: {_named(list(by_image))} against {_named(list(ids))}",
            )
        captions = [by_image[ids[index]] for index in kept]
        if not allow_empty and not all(map(str.strip, captions)):
            blank = [ids[index] for index, caption in zip(kept, captions, strict=True) if not caption.strip()]
            raise InputError(
                f"empty captions of {_named(blank)}",
                where=system.where,
                fix="fill them in, or score them as they are with --allow-empty",
            )
        images.append(kept)
        candidates.append(captions)
    missing = [len(ids) - len(kept) for kept in images]
    unknown = [len(system.captions) - len(kept) for system, kept in zip(systems, images, strict=True)]
    return Aligned(ids, list(wanted.values()), images, candidates, missing, unknown)


def reference_digest(references: Mapping[str, Sequence[str]]) -> str:
    """Digest of a set of references: ids and captions, whatever their order, and whatever the file is called."""
    return digest(sorted((image, sorted(found)) for image, found in references.items()))


def _complete(system: Candidates, references: References) -> None:
    have, wanted = system.captions, references.captions
    lacking = [image for image in wanted if image not in have]
    extra = [image for image in have if image not in wanted]
    problems = [f"no caption of {_named(lacking)}"] if lacking else []
    problems += [f"no references of {_named(extra)}"] if extra else []
    if problems:
        fix = "complete the file, or score the images that have both with --allow-missing"
        if len(lacking) == len(wanted):
            fix = "no image is in both: write the ids as the references have them, or name the column with --columns"
        raise InputError(
            f"{visible(system.name)} and the references do not have the same images: {'; '.join(problems)}",
            where=f"{system.where} and {references.where}",
            fix=fix,
        )


def _unique(entries: Sequence[CaptionRow], path: Path) -> None:
    twice = _twice(entry.image for entry in entries)
    if twice:
        places = [entry.place for entry in entries if entry.image == twice[0]]
        where = f"{places[0]} and {places[1]}"
        raise _problem("the same image occurs twice", path, where, twice, "keep one of the two")


def _twice(images: Iterable[str]) -> list[str]:
    return [image for image, count in Counter(images).items() if count > 1]


def _problem(what: str, path: Path, place: str | None, images: Sequence[str], fix: str) -> InputError:
    return InputError(f"{what}: {_named(images)}", where=f"{path}, {place}" if place else str(path), fix=fix)


def _named(images: Sequence[str]) -> str:
    shown = ", ".join(visible(image[:80]) for image in images[:_NAMED])
    more = f" and {len(images) - _NAMED:,} more" if len(images) > _NAMED else ""
    return f"{len(images):,} image{'s' * (len(images) != 1)} ({shown}{more})"
