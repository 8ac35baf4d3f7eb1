"""A listed set's copy in CLIP_benchmark's WebDataset collection, for the text files it has at its root.

``clip-benchmark/wds_<name>`` holds, beside its shards, ``zeroshot_classification_templates.txt`` and
``classnames.txt``, an entry a line, the place of the class name written ``{c}`` (LAION-AI/CLIP_benchmark, README and
``clip_benchmark/datasets/builder.py``). Only these files are fetched. The commit is the one the catalogue pins, else
the one that was current at first use: it is kept in the cache, so that a later run has the same lines.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from vlmbench.data.bundled import bundled_names
from vlmbench.data.catalogue import CatalogueRow, listed
from vlmbench.data.fingerprint import kept_sha256
from vlmbench.data.hub.files import small_text
from vlmbench.data.names import HUB, LISTED, DatasetRef, bare_name
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.text import visible
from vlmbench.hub.client import dataset_commit, fetch_text, require_sound

TEMPLATES = "zeroshot_classification_templates.txt"
CLASSNAMES = "classnames.txt"
_WDS = re.compile(r"(?:^|/)wds_(?P<name>.+?)(?:_test)?$")


@dataclass(frozen=True)
class Lines:
    """A text file of a repository at one commit; `lines` are those that are not empty."""

    lines: tuple[str, ...]
    repository: str
    revision: str
    file: str
    sha256: str

    @property
    def where(self) -> str:
        """The place, for errors."""
        return f"{self.repository}@{self.revision[:8]}, {self.file}"

    @property
    def source(self) -> dict[str, JsonValue]:
        """What a record says of it."""
        return {name: getattr(self, name) for name in ("repository", "revision", "file", "sha256")}


def sibling_of(id: str) -> str | None:
    """The copy of the dataset called `id`, as ``owner/name[@revision]``; None where the catalogue knows of none."""
    entry = _entry(id)
    return entry.wds_id if entry is not None else None


def other_copies(id: str) -> list[str]:
    """The names of the other copies of a listed set."""
    entry = _entry(id)
    if entry is None:
        return []
    own = _bare(entry.name)
    return [name for name, other in listed().items() if _bare(name) == own and other.hub_id != entry.hub_id]


def sibling_lines(id: str, file: str, cache_dir: Path) -> Lines | None:
    """A text file (`TEMPLATES` or `CLASSNAMES`) of the copy of the dataset called `id`; None where there is no such
    copy, or it has no such file.

    Raises `AbsentError` where the copy is not on this machine and cannot be fetched, `InputError` where the file is not
    UTF-8.
    """
    named = sibling_of(id)
    if named is None:
        return None
    repository, _, revision = named.partition("@")
    command = f"hf download {repository} {file} --repo-type dataset"
    try:
        commit = dataset_commit(repository, revision or None, cache_dir, pinned=True, again=command)
        path = fetch_text(repository, commit, file, f"{command} --revision {commit}")
        if path is None:
            return None
        sha256 = kept_sha256(path, cache_dir)
        require_sound(path, sha256, repository)
    except AbsentError as error:
        what = f"{file} of {visible(id)} comes from {repository}: {error.what}"
        raise AbsentError(what, where=error.where, fix=error.fix) from error
    lines = tuple(line.strip() for line in small_text(path).splitlines() if line.strip())
    return Lines(lines, repository, commit, file, sha256)


def benchmark_names(id: str) -> tuple[str, ...]:
    """The names under which a dataset may stand in a file of CLIP_benchmark's, or of its users; the likeliest first.

    Its own are ``wds/vtab/pcam``, ``vtab/pcam`` or ``pcam`` for ``clip-benchmark/wds_vtab-pcam``, which it looks up in
    this order; it keeps VTAB's class names of Caltech-101 under ``caltech101_vtab``. Then come the name in our list
    (``patch_camelyon``), a repository's with and without owner, and the last part of a path.
    """
    ref = DatasetRef.parse(id)
    rest, own = ref.place, [str(replace(ref, options=()))]
    if ref.kind == HUB:
        rest = bare_name(rest)
        own += [rest, rest.rsplit("/", 1)[-1]]
    elif ref.kind == LISTED:
        own.append(_bare(rest))
    else:
        own += [rest, Path(rest).name, Path(rest).stem]
    found: list[str] = []
    wds = _WDS.search((sibling_of(id) or "").partition("@")[0] or rest)
    if wds:
        vtab = wds["name"].startswith("vtab-")
        short = wds["name"].removeprefix("vtab-")
        found = [f"wds/vtab/{short}", f"vtab/{short}", f"{short}_vtab", short] if vtab else [f"wds/{short}", short]
    return tuple(item for item in dict.fromkeys([*found, *own]) if item)


def _entry(id: str) -> CatalogueRow | None:
    ref = DatasetRef.parse(id)
    return listed().get(ref.place) if ref.kind == LISTED and ref.place not in bundled_names() else None


def _bare(name: str) -> str:
    return name.removeprefix("wds/").removeprefix("datacomp/")
