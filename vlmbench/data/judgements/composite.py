"""Composite (Aditya et al. 2015, 2018): ``{8k,30k,coco}_{correctness,throughness}.csv``, read as they were published.

Each is a Mechanical Turk results file with ``;`` between cells, a row per image: among others the columns
``Input.image_url``, ``Input.text1`` … ``Input.textN`` (N 3 for Flickr8k, 4 for Flickr30k and COCO) and
``Answer.Q1Answer`` … ``Answer.QNAnswer`` (1 to 5), and two rows without an image at its end. That layout is taken from
independent public readers of the files, by name and by position (image in the 28th column), which agree; the files
themselves were not at hand.

What follows Hessel et al. 2021: an image's first three captions are judged (3,995 images of the three sets give 11,985
judgements, the number that papers state; a fourth, of Flickr30k and COCO, is left out), and the first, which a person
wrote and which is one of the image's references, is taken out of the references. It can differ from the reference in
case and punctuation, so the reference with the same words goes, else the nearest, if it is near.
"""

import re
from difflib import SequenceMatcher
from pathlib import Path

from vlmbench.data.judgements.base import Judgement, Judgements, number, wrong
from vlmbench.foundations.files import csv_rows
from vlmbench.foundations.text import visible

IMAGE = "input.image_url"
JUDGED = 3
NEAR = 0.8
LEFT_OUT = "the fourth caption of an image, or a caption without a rating"
_FIX = "give Composite's file as it was published, with ';' between cells"


def is_composite(text: str) -> bool:
    """Whether the first line is the header of a Composite file."""
    header = _header(text)
    return IMAGE in header and "input.text1" in header and "answer.q1answer" in header


def read(text: str, path: Path) -> Judgements:
    """The judgements; images are called by the last part of their address. Raises `InputError` where a row with an
    image lacks a caption, or a rating is not a number."""
    header = _header(text)
    known = set(header)
    texts = [f"input.text{k}" for k in range(1, len(header)) if f"input.text{k}" in known]
    answers = [name.replace("input.text", "answer.q") + "answer" for name in texts]
    lacking = [name for name in (IMAGE, *answers) if name not in known]
    if lacking or not texts:
        raise wrong(f"no column {lacking[0] if lacking else 'input.text1'}", path, "line 1", _FIX)
    items: list[Judgement] = []
    rated: dict[str, str] = {}
    left_out = 0
    rows = csv_rows(text, path, delimiter=_delimiter(text), strict=False, fix=_FIX)
    next(rows)
    for place, row in rows:
        cells = dict.fromkeys(header, "") | dict(zip(header, row, strict=False))
        image = cells[IMAGE].strip().rstrip("/").rpartition("/")[2]
        if not image:
            continue
        if any(cell.strip() for cell in row[len(header) :]):
            raise wrong(f"{len(row)} cells under {len(header)} columns", path, place, _FIX)
        for k, (caption, answer) in enumerate(zip(texts, answers, strict=True)):
            candidate, rating = cells[caption].strip(), cells[answer].strip()
            if k >= JUDGED or not rating:
                left_out += 1
                continue
            if not candidate:
                raise wrong(f"no {caption} for image {visible(image[:80])}", path, place, _FIX)
            items.append(Judgement(image, candidate, number(rating, path, place), f"{path}, {place}"))
        rated.setdefault(image, cells[texts[0]].strip())
    return Judgements(path.name, "composite", tuple(items), None, left_out, LEFT_OUT if left_out else "", rated)


def without_rated(references: list[str], rated: str) -> list[str]:
    """The references of an image without the one that was judged; all of them where none is near it."""
    words = _words(rated)
    same = [k for k, reference in enumerate(references) if _words(reference) == words]
    if not same:
        alike = [SequenceMatcher(None, _words(reference), words, autojunk=False).ratio() for reference in references]
        nearest = max(range(len(references)), key=alike.__getitem__)
        same = [nearest] if alike[nearest] >= NEAR else []
    return [reference for k, reference in enumerate(references) if k not in same[:1]]


def _words(caption: str) -> str:
    return " ".join(re.findall(r"\w+", caption.casefold()))


def _header(text: str) -> list[str]:
    first = next((line for line in text.split("\n") if line.strip()), "")
    return [cell.strip().strip('"').lower() for cell in first.rstrip("\r").split(_delimiter(text))]


def _delimiter(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0]
    return max(";\t,", key=first.count)
