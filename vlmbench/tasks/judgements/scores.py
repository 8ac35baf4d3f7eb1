"""Every metric's score for each judged caption, and the references it is scored against."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.base import ALL
from vlmbench.data.judgements.base import Judgements
from vlmbench.data.judgements.composite import without_rated
from vlmbench.data.judgements.flickr8k import is_tokens, read_tokens, stem
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.paths import is_file
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.inputs import by_image
from vlmbench.metrics.captions.scoring import Tokenized, refusals, score_meteor, score_native
from vlmbench.metrics.spec import caption_specs, needing
from vlmbench.session.context import Context
from vlmbench.tasks.captions.evaluate import open_references
from vlmbench.tasks.captions.scoring import add_spice, nothing_left, tokenizer

if TYPE_CHECKING:
    from vlmbench.tasks.captions.clip import ClipImages

Floats = NDArray[np.float64]
References = dict[str, list[str]]


def with_references(found: Judgements, given: Sequence[str], context: Context) -> tuple[Judgements, References]:
    """The judgements that can be scored, and the references of their images.

    An image is looked up by its name, by its name up to the first dot, and, if it is called ``COCO_val2014_…``, by its
    COCO id. If the format says that a judged caption is one of the references, that reference is removed, and so are
    the judgements of an image without other references.

    Args:
        found: the judgements.
        given: the values of ``-r``: files or captioned sets; Flickr's ``*.token.txt`` too.
        context: where data sets are.

    Raises:
        UsageError: references are given twice or not at all.
        InputError: an image has no reference, or an empty one.
    """
    if found.references is not None:
        if found.format == "csv" and given:
            raise UsageError("the judgements contain their own references", where="-r", fix="leave out -r")
        return found, found.references
    if not given:
        raise UsageError(
            "no references", where="-r", fix="give -r FILE, or a column references or reference_1, reference_2 …"
        )
    books = [_book(spec, context) for spec in given]
    references: References = {}
    absent: dict[str, str] = {}
    for item in found.items:
        if item.image in references or item.image in absent:
            continue
        captions = _look_up(item.image, books)
        if captions is None:
            absent[item.image] = item.place
        elif not all(map(str.strip, captions)):
            raise InputError(f"an empty reference for image {_name(item.image)}", where=given[0], fix="remove it")
        else:
            references[item.image] = list(captions)
    if absent:
        first, place = next(iter(absent.items()))
        raise InputError(
            f"no references for {len(absent):,} of {len(absent) + len(references):,} images, the first: {_name(first)}",
            where=place,
            fix=f"add them to {', '.join(map(visible, given))}, or name another file as well: -r FILE -r FILE",
        )
    return _settled(found, references, context)


def _settled(found: Judgements, references: References, context: Context) -> tuple[Judgements, References]:
    far = 0
    for image, caption in found.rated.items():
        kept = without_rated(references[image], caption) if image in references else []
        far += len(kept) == len(references.get(image, []))
        references[image] = kept
    if far:
        context.reporter.warn(
            f"{far:,} images: the judged human caption matches none of the references closely, so all of them are used"
        )
    items = tuple(item for item in found.items if references[item.image])
    if not items:
        raise InputError("no judgement is left: no image has another reference", where="-r", fix="give more references")
    judged = {item.image for item in items}
    left_out = found.left_out + len(found.items) - len(items)
    return (
        replace(found, items=items, left_out=left_out),
        {image: captions for image, captions in references.items() if image in judged},
    )


def _book(spec: str, context: Context) -> tuple[bool, References]:
    """Whether it is a Flickr caption file, and its captions by image."""
    path = Path(spec)
    if is_file(path):
        from vlmbench.foundations.files import read_text

        text = read_text(path)
        if is_tokens(text):
            return True, {image: list(captions.values()) for image, captions in read_tokens(path, text).items()}
    return False, open_references(spec, context, ALL if is_file(path) else None).captions


def _look_up(image: str, books: Sequence[tuple[bool, References]]) -> list[str] | None:
    """An image's captions, looked up by its full name, then by each file format's name for it."""
    for _, captions in books:
        if image in captions:
            return captions[image]
    tail = stem(image).rpartition("_")[2]
    coco = str(int(tail)) if image.startswith("COCO_") and tail.isascii() and tail.isdigit() else ""
    for flickr, captions in books:
        name = coco if coco and not flickr else stem(image)
        if name in captions:
            return captions[name]
    return None


def score_judgements(
    found: Judgements,
    references: References,
    metrics: Sequence[str],
    context: Context,
    *,
    seen: "ClipImages | None" = None,
    documents: str = "images",
) -> dict[str, Floats]:
    """Scores by metric, `[N]` each, in the order of the judgements.

    Each pair of image and caption is scored once, as an item with its image's references.

    Args:
        found: the judgements.
        references: the captions of the judged images only.
        metrics: names of caption metrics.
        context: where METEOR's and SPICE's data are, reporter.
        seen: the images, for CLIPScore and RefCLIPScore.
        documents: what CIDEr's document frequencies count: ``images``, each once regardless of how many captions of it
            were judged, or ``judgements``, each with its image's references.

    Raises:
        UsageError: CLIPScore without images.
        InputError: an image is absent, or there are too few images for a requested metric.
        AbsentError: what METEOR or SPICE needs is missing and nothing else was asked for.
    """
    asked = [name for name in metrics if name in needing("images")]
    if asked and seen is None:
        raise UsageError(
            "CLIPScore needs the images, which judgements do not contain",
            where="--metrics",
            fix="name their directory: --images DIR",
        )
    pairs = list(dict.fromkeys((item.image, item.candidate) for item in found.items))
    columns: dict[str, Floats] = {}
    if asked and seen is not None:  # first, to report absent images early
        each = seen.scores(
            [image for image, _ in pairs], [text for _, text in pairs], [references[i] for i, _ in pairs]
        )
        columns |= {name: each[name] for name in asked}
    left_out = refusals(metrics, len(references))
    rest = [name for name in metrics if name not in asked]
    if rest:
        text = _tokens(pairs, references, [item.image for item in found.items] if documents == "judgements" else None)
        scored = score_native(text, [name for name in rest if name not in left_out])
        for name in needing("index") & set(rest):
            try:
                scored[0].columns[name] = _meteor(text, context)
            except AbsentError as error:
                if len(metrics) == 1:
                    raise
                left_out[name] = f"{error.what} (fix: {error.fix})"
        if needing("java") & set(rest):
            left_out |= add_spice(scored, text, context.cache_dir, metrics)
        columns |= scored[0].columns
    for name, why in left_out.items():
        context.reporter.warn(f"{name} is left out: {why}")
    names = [spec.name for spec in caption_specs() if spec.name in metrics and spec.name not in left_out]
    if not names:
        raise nothing_left(left_out)
    place = {pair: index for index, pair in enumerate(pairs)}
    rows = np.array([place[item.image, item.candidate] for item in found.items], dtype=np.int64)
    return {name: np.asarray(columns[name], dtype=np.float64)[rows] for name in names}


def _tokens(pairs: Sequence[tuple[str, str]], references: References, judged: Sequence[str] | None) -> Tokenized:
    from vlmbench.metrics.captions.sanitize import sanitize_all

    safe, _ = sanitize_all(list(chain.from_iterable(references.values())))
    candidates, _ = sanitize_all([candidate for _, candidate in pairs])
    tokens = iter(tokenizer("native")([*safe, *candidates]))
    by_id = dict(zip(references, by_image(safe, tokens, map(len, references.values())), strict=True))
    given = [next(tokens) for _ in pairs]
    order = np.arange(len(pairs), dtype=np.int64)
    documents = list(by_id.values()) if judged is None else [by_id[image] for image in judged]
    return Tokenized([by_id[image] for image, _ in pairs], [given], [order], documents)


def _meteor(text: Tokenized, context: Context) -> Floats:
    from vlmbench.metrics.captions.meteor.score import load_index

    return score_meteor(text, load_index(context.cache_dir, progress=context.reporter.task))[1]


def _name(image: str) -> str:
    return visible(image[:80])
