"""Reads captions that people have rated: a table of judgements, or the two files of Flickr8k.

``csv``
    CSV, TSV or JSONL with ``image_id``, ``candidate`` (or ``caption``) and ``rating`` (any number, higher is better),
    one row a judgement: several raters of a caption are several rows. References stand in ``references`` (a JSON list)
    or in ``reference_1``, ``reference_2`` …; or, if there is no such column, in a file of their own. Composite (Aditya
    et al. 2015) goes through this format: one row for each candidate of an image, with its rating. Its published layout
    could not be checked, so no reader guesses at it.
``expert``
    Flickr8k's ``ExpertAnnotations.txt`` (Hodosh et al. 2013): image, caption id, three ratings 1 to 4, by tabs. Each
    rating is a judgement of its own, and a pair whose caption is among the image's references is left out.
``cf``
    Flickr8k's ``CrowdFlowerAnnotations.txt``: image, caption id, share of yes, number of yes and of no, by tabs. The
    share is the rating, and a caption that is judged is taken out of the image's references.

Captions of the last two come from ``Flickr8k.token.txt`` (``image#k``, tab, caption). What is left out and what a
judgement is follow the evaluation of CLIPScore (Hessel et al. 2021, appendix A, and its preprocessing of Flickr8k),
which reports tau-c for Expert and tau-b for CF. As there, an image's name counts up to its first dot.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmbench.data.caption_files import read_text
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible

FORMATS = ("auto", "csv", "expert", "cf")
_COLUMNS = "image_id, candidate and rating"
_SHARE = 1e-4


@dataclass(frozen=True)
class Judgement:
    """One rating of one caption."""

    image: str
    candidate: str
    rating: float
    place: str
    """Where it stands, for messages: ``line 3``."""


@dataclass(frozen=True)
class Judgements:
    """What people said."""

    name: str
    format: str
    where: str
    items: tuple[Judgement, ...]
    references: dict[str, list[str]] | None
    """By image; none: they are in another file."""
    left_out: int = 0
    """Judgements not taken, because the caption is a reference of the image or leaves it none."""


def read_judgements(path: Path, kind: str = "auto", captions: Path | None = None) -> Judgements:
    """Reads a file of judgements.

    Args:
        path: the file, plain or gzipped.
        kind: one of `FORMATS`.
        captions: for Flickr8k's files, ``Flickr8k.token.txt``.

    Raises:
        UsageError: no such format, or Flickr8k's captions are not given.
        InputError: a line is not what it has to be, or no judgement is left.
    """
    if kind not in FORMATS:
        raise UsageError(f"no such format: {visible(kind)}", where="--format", mend=f"choose from {', '.join(FORMATS)}")
    text, _ = read_text(path)
    if not text.strip():
        raise InputError("an empty file", where=str(path), mend=f"give a CSV with {_COLUMNS}")
    kind = _guess(text) if kind == "auto" else kind
    if kind == "csv":
        found = _table(text, path)
    else:
        if captions is None:
            raise UsageError(
                "Flickr8k's judgements name captions by id", where="-r", mend="give the captions: -r Flickr8k.token.txt"
            )
        found = _flickr(text, path, kind, read_tokens(captions), captions)
    if not found.items:
        raise InputError("no judgement in the file", where=str(path), mend=f"give a CSV with {_COLUMNS}")
    return found


def read_tokens(path: Path) -> dict[str, dict[str, str]]:
    """``Flickr8k.token.txt``: captions by image (its name up to the first dot) and caption id.

    Raises:
        InputError: a line is not ``image#k``, tab, caption; an id stands twice; a caption is empty.
    """
    found: dict[str, dict[str, str]] = {}
    for place, line in _lines(read_text(path)[0]):
        name, tab, caption = line.partition("\t")
        image, mark, _ = name.strip().rpartition("#")
        if not tab or not mark or not image or not caption.strip():
            raise _wrong("not image#k, a tab and a caption", path, place, "give Flickr8k.token.txt as it was published")
        captions = found.setdefault(_key(image), {})
        if name.strip() in captions:
            raise _wrong(f"caption {visible(name.strip()[:80])} stands twice", path, place, "keep one of the two")
        captions[name.strip()] = caption.strip()
    return found


def _guess(text: str) -> str:
    cells = next(line for _, line in _lines(text)).split("\t")
    if len(cells) != 5 or "#" not in cells[1]:
        return "csv"
    try:
        share, yes, no = map(float, cells[2:])
    except ValueError:
        return "csv"
    return "cf" if yes + no > 0 and abs(share - yes / (yes + no)) < _SHARE else "expert"


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", line.rstrip("\r")


def _key(image: str) -> str:
    return image.strip().split(".")[0]


def _flickr(text: str, path: Path, kind: str, tokens: dict[str, dict[str, str]], captions: Path) -> Judgements:
    texts = {identity: caption for group in tokens.values() for identity, caption in group.items()}
    references: dict[str, list[str]] = {}
    items: list[Judgement] = []
    left_out = 0
    for place, line in _lines(text):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 5:
            raise _wrong(f"{len(cells)} cells, not 5", path, place, "give Flickr8k's file as it was published")
        image, identity = cells[:2]
        if identity not in texts or _key(image) not in tokens:
            missing = identity if identity not in texts else image
            raise _wrong(f"{visible(missing[:80])} is not in {captions}", path, place, "give the matching captions: -r")
        ratings = _expert(cells, path, place) if kind == "expert" else _share(cells, path, place)
        candidate = texts[identity]
        own = references.setdefault(image, list(tokens[_key(image)].values()))
        if candidate in own:
            if kind == "expert":
                left_out += len(ratings)
                continue
            own.remove(candidate)
        items += [Judgement(image, candidate, rating, place) for rating in ratings]
    kept = tuple(item for item in items if references[item.image])
    judged = {item.image for item in kept}
    references = {image: found for image, found in references.items() if image in judged}
    return Judgements(path.name, kind, str(path), kept, references, left_out + len(items) - len(kept))


def _expert(cells: list[str], path: Path, place: str) -> list[float]:
    if not all(cell in ("1", "2", "3", "4") for cell in cells[2:]):
        raise _wrong("an expert's rating that is not 1, 2, 3 or 4", path, place, "or choose another --format")
    return [float(cell) for cell in cells[2:]]


def _share(cells: list[str], path: Path, place: str) -> list[float]:
    share, yes, no = (_number(cell, path, place) for cell in cells[2:])
    if min(yes, no) < 0 or yes + no == 0 or abs(share - yes / (yes + no)) > _SHARE:
        raise _wrong("the share of yes does not follow from the counts", path, place, "or choose another --format")
    return [share]


def _table(text: str, path: Path) -> Judgements:
    items: list[Judgement] = []
    references: dict[str, list[str]] = {}
    without = ""
    for place, row in _objects(text, path) if text.lstrip()[:1] == "{" else _rows(text, path):
        image, candidate = row.get("image_id"), row.get("candidate", row.get("caption"))
        if isinstance(image, int) and not isinstance(image, bool):
            image = str(image)
        if not isinstance(image, str) or not image.strip():
            raise _wrong("no image_id", path, place, f"give {_COLUMNS}")
        if not isinstance(candidate, str) or not candidate.strip():
            raise _wrong(f"no candidate of image {visible(image[:80])}", path, place, f"give {_COLUMNS}")
        image = image.strip()
        items.append(Judgement(image, candidate, _number(row.get("rating"), path, place), place))
        own = _references(row, path, place)
        if own is None:
            without = without or place
        elif references.setdefault(image, own) != own:
            raise _wrong(f"image {visible(image[:80])} has other references above", path, place, "make them the same")
    if references and without:
        raise _wrong("no references, but other lines have some", path, without, "give every line its references")
    return Judgements(path.name, "csv", str(path), tuple(items), references or None)


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
            found = json.loads(found)
        except (ValueError, RecursionError) as error:
            raise _wrong(
                "references that are not a JSON list", path, place, 'for example ["a dog", "a cat"]'
            ) from error
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one.strip() for one in found):
        raise _wrong("references must be a list of captions, none of them empty", path, place, "give at least one")
    return found


def _objects(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, line in _lines(text):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _wrong(f"not valid JSON: {error}", path, place, "one JSON object a line") from error
        if not isinstance(row, dict):
            raise _wrong("not a JSON object", path, place, "one JSON object a line")
        yield place, row


def _rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
    limit = csv.field_size_limit(len(text) + 1)
    header: list[str] = []
    line = 1
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in reader:
            place, line = f"line {line}", reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [cell.strip().lower() for cell in row]
                lacking = [name for name in ("image_id", "rating") if name not in header]
                if lacking or not {"candidate", "caption"} & set(header) or len(set(header)) < len(header):
                    raise _wrong(
                        f"the columns are not {_COLUMNS}", path, place, "name each column once, in a first line"
                    )
            elif len(row) != len(header):
                mend = "quote captions that hold commas, quotes or line ends"
                raise _wrong(f"{len(row)} cells under {len(header)} columns", path, place, mend)
            else:
                yield place, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise _wrong(f"not valid CSV: {error}", path, f"line {line}", "quote captions that hold quotes") from error
    finally:
        csv.field_size_limit(limit)


def _number(value: Any, path: Path, place: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(
            f"a rating that is not a number: {visible(str(value)[:40])!r}", path, place, "give a finite number"
        )
    return number


def _wrong(what: str, path: Path, place: str, mend: str) -> InputError:
    return InputError(what, where=f"{path}, {place}", mend=mend)
