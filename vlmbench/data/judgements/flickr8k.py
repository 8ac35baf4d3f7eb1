"""Flickr8k's two files of judgements (Hodosh et al. 2013), as CLIPScore's evaluation reads them.

``expert``
    ``ExpertAnnotations.txt``: image, caption id, three ratings 1 to 4, by tabs. Each rating is a judgement of its own,
    and a pair whose caption is among the image's references is left out (16,992 judgements of 5,664 pairs remain).
``cf``
    ``CrowdFlowerAnnotations.txt``: image, caption id, share of yes, number of yes and of no, by tabs. The share is the
    rating, and a caption that is judged is taken out of the image's references.

Captions come from ``Flickr8k.token.txt`` (``image#k``, tab, caption). What is left out and what a judgement is follow
Hessel et al. 2021, appendix A, and that paper's own preprocessing of Flickr8k. As there, an image's name counts up to
its first dot.
"""

from pathlib import Path

from vlmbench.data.judgements.base import Judgement, Judgements, lines, number, wrong
from vlmbench.foundations.files import read_text
from vlmbench.foundations.text import visible

LEFT_OUT = "the caption is among the image's references, or leaves it none"
_SHARE = 1e-4


def guess(text: str) -> str | None:
    """``expert`` or ``cf`` where the first line is of such a file, else nothing."""
    cells = next(line for _, line in lines(text)).split("\t")
    if len(cells) != 5 or "#" not in cells[1]:
        return None
    try:
        share, yes, no = map(float, cells[2:])
    except ValueError:
        return None
    return "cf" if yes + no > 0 and abs(share - yes / (yes + no)) < _SHARE else "expert"


def is_tokens(text: str) -> bool:
    """Whether the first line is one of ``Flickr8k.token.txt``: ``image#k``, a tab, a caption."""
    name, tab, caption = next((line for _, line in lines(text)), "").partition("\t")
    image, mark, k = name.strip().rpartition("#")
    return bool(tab and mark and image and k.isdigit() and caption.strip())


def read_tokens(path: Path, text: str | None = None) -> dict[str, dict[str, str]]:
    """``Flickr8k.token.txt`` or Flickr30k's: captions by image (its name up to the first dot) and caption id. `text`
    is what is in the file, where that was read already. Raises `InputError` where a line is not ``image#k``, tab,
    caption; an id occurs twice; a caption is empty."""
    found: dict[str, dict[str, str]] = {}
    for place, line in lines(read_text(path) if text is None else text):
        name, tab, caption = line.partition("\t")
        image, mark, _ = name.strip().rpartition("#")
        if not tab or not mark or not image or not caption.strip():
            raise wrong("not image#k, a tab and a caption", path, place, "give Flickr8k.token.txt as it was published")
        captions = found.setdefault(stem(image), {})
        if name.strip() in captions:
            raise wrong(f"caption {visible(name.strip()[:80])} occurs twice", path, place, "keep one of the two")
        captions[name.strip()] = caption.strip()
    return found


def stem(image: str) -> str:
    """An image's name up to its first dot."""
    return image.strip().split(".")[0]


def read(text: str, path: Path, kind: str, tokens: dict[str, dict[str, str]], captions: str) -> Judgements:
    """The judgements of ``expert`` or ``cf``. Raises `InputError` where a line is malformed, or names a caption that is
    not there. `tokens` are those of `read_tokens`, from the files `captions`."""
    texts = {identity: caption for group in tokens.values() for identity, caption in group.items()}
    references: dict[str, list[str]] = {}
    items: list[Judgement] = []
    left_out = 0
    for place, line in lines(text):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 5:
            raise wrong(f"{len(cells)} cells, not 5", path, place, "give Flickr8k's file as it was published")
        image, identity = cells[:2]
        if identity not in texts or stem(image) not in tokens:
            missing = identity if identity not in texts else image
            raise wrong(f"{visible(missing[:80])} is not in {captions}", path, place, "give the matching captions: -r")
        ratings = _expert(cells, path, place) if kind == "expert" else _share(cells, path, place)
        candidate = texts[identity]
        own = references.setdefault(image, list(tokens[stem(image)].values()))
        if candidate in own:
            if kind == "expert":
                left_out += len(ratings)
                continue
            own.remove(candidate)
        items += [Judgement(image, candidate, rating, f"{path}, {place}") for rating in ratings]
    kept = tuple(item for item in items if references[item.image])
    judged = {item.image for item in kept}
    references = {image: found for image, found in references.items() if image in judged}
    return Judgements(path.name, kind, kept, references, left_out + len(items) - len(kept), LEFT_OUT)


def _expert(cells: list[str], path: Path, place: str) -> list[float]:
    if not all(cell in ("1", "2", "3", "4") for cell in cells[2:]):
        raise wrong("an expert's rating that is not 1, 2, 3 or 4", path, place, "or choose another --format")
    return [float(cell) for cell in cells[2:]]


def _share(cells: list[str], path: Path, place: str) -> list[float]:
    share, yes, no = (number(cell, path, place) for cell in cells[2:])
    if min(yes, no) < 0 or yes + no == 0 or abs(share - yes / (yes + no)) > _SHARE:
        raise wrong("the share of yes does not follow from the counts", path, place, "or choose another --format")
    return [share]
