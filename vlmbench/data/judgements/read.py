"""Reads captions that people have rated: a table of judgements, or a published set of them in its own layout.

``csv``
    CSV, TSV or JSONL with ``image_id``, ``candidate`` (or ``caption``) and ``rating`` (any number, higher is better),
    one row a judgement: several raters of a caption are several rows. References stand in ``references`` (a JSON list)
    or in ``reference_1``, ``reference_2`` …; or, if there is no such column, in a file of their own.
``expert``, ``cf``
    Flickr8k's ``ExpertAnnotations.txt`` and ``CrowdFlowerAnnotations.txt``: see `judged_flickr8k`.
``composite``
    Composite's ``8k_correctness.csv`` and its five siblings: see `judged_composite`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vlmbench.data.captions.tables import separator
from vlmbench.data.judgements import composite as judged_composite
from vlmbench.data.judgements import flickr8k as judged_flickr8k
from vlmbench.data.judgements.base import COLUMNS, Judgement, Judgements, number, wrong
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.files import csv_rows, json_lines, json_of, read_text
from vlmbench.foundations.text import visible

FORMATS = ("auto", "csv", "expert", "cf", "composite")
TAU = {"expert": "c", "cf": "b", "composite": "c"}
"""The coefficient that papers report on a published set (Anderson et al. 2016, Hessel et al. 2021)."""


def read_judgements(paths: Sequence[Path], kind: str = "auto", captions: Sequence[Path] = ()) -> Judgements:
    """Reads files of judgements, all of one format; several files are one set. Raises `UsageError` where there is no
    such format, the files are of several, or Flickr8k's captions are not given; `InputError` where a line is malformed,
    or no judgement is left. `captions` are ``Flickr8k.token.txt``, for Flickr8k's files."""
    if kind not in FORMATS:
        raise UsageError(f"no such format: {visible(kind)}", where="--format", fix=f"choose from {', '.join(FORMATS)}")
    twice = [path for place, path in enumerate(paths) if path in paths[:place]]
    if twice:
        raise UsageError(f"given twice: {visible(str(twice[0]))}", where="-j", fix="give each file once")
    found = [_read(path, kind, captions) for path in paths]
    for one in found[1:]:
        if one.format != found[0].format:
            raise UsageError(
                f"{found[0].name} is {found[0].format}, {one.name} is {one.format}",
                where="-j",
                fix="run the command once for each",
            )
    return found[0] if len(found) == 1 else _joined(found)


def _read(path: Path, kind: str, captions: Sequence[Path]) -> Judgements:
    text = read_text(path)
    if not text.strip():
        raise InputError("an empty file", where=str(path), fix=f"give a CSV with {COLUMNS}")
    if kind == "auto":
        kind = judged_flickr8k.guess(text) or ("composite" if judged_composite.is_composite(text) else "csv")
    if kind == "csv":
        found = _table(text, path)
    elif kind == "composite":
        found = judged_composite.read(text, path)
    elif not captions:
        raise UsageError(
            "Flickr8k's judgements name captions by id", where="-r", fix="give the captions: -r Flickr8k.token.txt"
        )
    else:
        tokens: dict[str, dict[str, str]] = {}
        for file in captions:
            tokens |= judged_flickr8k.read_tokens(file)
        found = judged_flickr8k.read(text, path, kind, tokens, ", ".join(map(str, captions)))
    if not found.items:
        raise InputError("no judgement in the file", where=str(path), fix=f"give a CSV with {COLUMNS}")
    return found


def _joined(found: Sequence[Judgements]) -> Judgements:
    """Several sets of one format as one; `InputError` where they give an image different references."""
    references: dict[str, list[str]] | None = None if found[0].references is None else {}
    rated: dict[str, str] = {}
    for one in found:
        if (one.references is None) != (references is None):
            raise InputError(
                "references in some files but not in others",
                where="-j",
                fix="give them in all files, or in none and use -r",
            )
        for image, own in (one.references or {}).items():
            if references is not None and references.setdefault(image, own) != own:
                raise InputError(
                    f"image {visible(image[:80])} has different references in {one.name}",
                    where="-j",
                    fix="make them the same",
                )
        rated |= {image: caption for image, caption in one.rated.items() if image not in rated}
    items = tuple(item for one in found for item in one.items)
    why = next((one.why for one in found if one.why), "")
    name = "+".join(one.name for one in found)
    return Judgements(name, found[0].format, items, references, sum(one.left_out for one in found), why, rated)


def _table(text: str, path: Path) -> Judgements:
    items: list[Judgement] = []
    references: dict[str, list[str]] = {}
    without = ""
    for place, row in json_lines(text, path) if text.lstrip()[:1] == "{" else _rows(text, path):
        image, candidate = row.get("image_id"), row.get("candidate", row.get("caption"))
        if isinstance(image, int) and not isinstance(image, bool):
            image = str(image)
        if not isinstance(image, str) or not image.strip():
            raise wrong("no image_id", path, place, f"give {COLUMNS}")
        if not isinstance(candidate, str) or not candidate.strip():
            raise wrong(f"no candidate for image {visible(image[:80])}", path, place, f"give {COLUMNS}")
        image = image.strip()
        items.append(Judgement(image, candidate, number(row.get("rating"), path, place), f"{path}, {place}"))
        own = _references(row, path, place)
        if own is None:
            without = without or place
        elif references.setdefault(image, own) != own:
            raise wrong(
                f"image {visible(image[:80])} has different references in an earlier line",
                path,
                place,
                "make them the same",
            )
    if references and without:
        raise wrong("no references, but other lines have some", path, without, "give every line its references")
    return Judgements(path.name, "csv", tuple(items), references or None)


def _references(row: dict[str, Any], path: Path, place: str) -> list[str] | None:
    columns = sorted(
        (int(match.group(1)), name) for name in row if (match := re.fullmatch(r"references?_(\d{1,6})", name))
    )
    if "references" not in row and not columns:
        return None
    found = (
        row["references"] if "references" in row else [row[name] for _, name in columns if row[name] not in ("", None)]
    )
    if isinstance(found, str):
        try:
            found = json_of(found, f"{path}, {place}")
        except InputError as error:
            raise wrong("references that are not a JSON list", path, place, 'for example ["a dog", "a cat"]') from error
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one.strip() for one in found):
        raise wrong("references must be a list of captions, none of them empty", path, place, "give at least one")
    return found


def _rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    header: list[str] = []
    for place, row in csv_rows(text, path, delimiter=separator(text), fix="quote captions that contain quotes"):
        if not header:
            header = [cell.strip().lower() for cell in row]
            lacking = [name for name in ("image_id", "rating") if name not in header]
            lacking += [] if {"candidate", "caption"} & set(header) else ["candidate"]
            if lacking or len(set(header)) < len(header):
                what = f"no columns {', '.join(lacking)}" if lacking else "two columns have the same name"
                fix = f"the first line names each column once: {COLUMNS}, in any order"
                raise wrong(what, path, place, fix)
        elif len(row) != len(header):
            fix = "quote captions that contain commas, quotes or line breaks"
            raise wrong(f"{len(row)} cells under {len(header)} columns", path, place, fix)
        else:
            yield place, dict(zip(header, row, strict=True))
