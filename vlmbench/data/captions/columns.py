"""The column names of ids, captions, predictions and groups in captioned data of every kind.

One list for caption files, ``folder:``, ``file:`` and ``hf:``: the columns of published sets (COCO's and
Karpathy's files, the copies of COCO, Flickr30k, nocaps and TextCaps on the hub, five columns per image as
``jxie/flickr8k`` has them) are found by default. ``--columns`` names others.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible

IDS = ("image_id", "cocoid", "imgid", "img_id", "id", "question_id")
FILES = ("file_name", "filename", "image", "image_path", "path")
"""Columns with an image's file name, used if it has no id."""
CAPTIONS = (
    "captions",
    "caption",
    "sentences",
    "annotations_captions",
    "caption_str",
    "references",
    "texts",
    "txt",
    "text",
    "answer",
)
PREDICTIONS = ("prediction", "candidate")
"""Before `CAPTIONS` where candidates are looked for: a file that has both has references under the others."""
GROUP = "domain"
"""nocaps' in-domain, near-domain and out-domain."""
ROLES = ("image", "captions", "prediction", "group", "split")
_NUMBERED = re.compile(r"(?:caption|reference|sentence)_?\d+")


@dataclass(frozen=True)
class Named:
    """Columns as ``--columns`` names them, by role (see `ROLES`); what it does not name has its usual name."""

    by_role: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Roles whose column stood in a file; filled while files are read."""

    def of(self, role: str, there: Collection[str]) -> tuple[str, ...]:
        """The columns named for a role, if the file has them; None where it lacks one, or none is named."""
        columns = self.by_role.get(role, ())
        if not columns or not set(columns) <= set(there):
            return ()
        self.used.add(role)
        return columns

    def check(self) -> None:
        """Rejects a column name that is in no file (its role was never used) with a `UsageError`."""
        for role, columns in self.by_role.items():
            if role not in self.used:
                raise UsageError(
                    f"none of the files has a column {visible('|'.join(columns))}",
                    where=f"--columns {role}={visible('|'.join(columns))}",
                    fix="name a column of a CSV, TSV, JSONL, Parquet file or list of objects, spelled as in the file",
                )


def parse_named(text: str | None) -> Named:
    """``image=file,captions=refs,prediction=out`` by role; several columns of captions are separated by ``|``. Raises
    `UsageError` where it is not of this form, or a role is unknown or occurs twice."""
    found: dict[str, tuple[str, ...]] = {}
    for part in (text or "").split(",") if text is not None else ():
        role, equals, names = part.strip().partition("=")
        columns = tuple(name.strip() for name in names.split("|"))
        if not equals or role not in ROLES or role in found or not all(columns):
            raise UsageError(
                f"invalid column setting: {visible(part.strip())}",
                where="--columns",
                fix=f"--columns image=file,captions=references,prediction=output (roles: {', '.join(ROLES)})",
            )
        found[role] = columns
    return Named(found)


def id_column(there: Iterable[str]) -> str | None:
    """The column that names the image: an id, else its file."""
    present = set(there)
    return next((name for name in (*IDS, *FILES) if name in present), None)


def caption_columns(there: Iterable[str], *, candidates: bool = False) -> tuple[str, ...]:
    """The columns of captions (with `candidates`, of a system's): one of a usual name, else all that are numbered
    (``caption_0`` … ``caption_4``), in order."""
    present = list(there)
    for name in (*(PREDICTIONS if candidates else ()), *CAPTIONS):
        if name in present:
            return (name,)
    numbered = [name for name in present if _NUMBERED.fullmatch(name)]
    return tuple(sorted(numbered, key=lambda name: int(re.sub(r"\D", "", name))))
