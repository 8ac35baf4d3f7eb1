"""Checks captions from Python code, sanitises and tokenizes them, and brings them into one order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.corpus import Caption, Corpus

Captions = Sequence[str] | Mapping[Any, str] | Sequence[Caption] | Mapping[Any, Caption]
"""[N] captions, or ``{image: caption}``; with ``tokenized=True`` a caption is a list of tokens."""
CaptionLists = (
    Sequence[Sequence[str]]
    | Mapping[Any, Sequence[str]]
    | Sequence[Sequence[Caption]]
    | Mapping[Any, Sequence[Caption]]
)
"""[N] lists of captions, or ``{image: [caption, …]}``."""


@dataclass(frozen=True)
class CaptionInputs:
    """Tokens of candidates [N] and references [N][R], and the image ids if these were given."""

    candidates: list[Caption]
    references: list[list[Caption]]
    ids: tuple[str, ...] | None

    def corpus(self, documents: "Sequence[Sequence[Caption]] | None" = None) -> Corpus:
        """Both as a corpus of one system."""
        return Corpus(self.references, [self.candidates], images=[np.arange(len(self.candidates))], documents=documents)


def caption_inputs(candidates: Captions, references: CaptionLists, *, tokenized: bool = False) -> CaptionInputs:
    """Candidates and references of the same images, in the order of the references, as tokens.

    Text is sanitised and tokenized as by ``vlmbench caption-eval``. Raises `InputError` where only one is a mapping,
    their images differ, or as `caption_lists`.

    Args:
        candidates: `[N]` captions, or ``{image: caption}`` (or ``{image: [caption]}``, as in pycocoevalcap).
        references: `[N]` lists of captions, or ``{image: [caption, …]}``.
        tokenized: captions are already lists of tokens, and are used as they are.
    """
    _require(candidates, "candidates")
    wanted = caption_lists(references, "references", tokenized=tokenized)
    if isinstance(candidates, Mapping) != isinstance(references, Mapping):
        raise InputError(
            "of candidates and references, only one has image ids",
            fix="give both as lists in the same order, or both as {image: …}",
        )
    if isinstance(candidates, Mapping):
        found = {str(image): one for image, one in candidates.items()}
        missing, extra = [image for image in wanted if image not in found], [i for i in found if i not in wanted]
        wrong = [f"no candidate for {_named(missing)}"] if missing else []
        wrong += [f"no reference for {_named(extra)}"] if extra else []
        if wrong:
            raise InputError(
                f"candidates and references have different images: {'; '.join(wrong)}",
                fix="give both for the same images",
            )
        ordered = [found[image] for image in wanted]
    elif len(candidates) != len(wanted):
        raise InputError(
            f"{len(candidates)} candidates, but references for {len(wanted)} images", fix="give one candidate per image"
        )
    else:
        ordered = list(candidates)
    one_each = [_candidate(caption, image, tokenized) for image, caption in zip(wanted, ordered, strict=True)]
    ids = tuple(wanted) if isinstance(references, Mapping) else None
    if tokenized:
        return CaptionInputs(one_each, list(wanted.values()), ids)
    tokens = [one for (one,) in reference_tokens([[caption] for caption in one_each])]
    return CaptionInputs(tokens, reference_tokens(list(wanted.values())), ids)


def caption_lists(references: Any, what: str, *, tokenized: bool = False) -> dict[str, list[Any]]:
    """Checked lists of captions by image id (by position if they are a list). Raises `InputError` where a value is not
    a list of captions, an image has none, or there is no image."""
    _require(references, what)
    items = references.items() if isinstance(references, Mapping) else enumerate(references)
    found: dict[str, list[Any]] = {}
    for image, captions in items:
        where = f"{what}, image {visible(str(image))[:80]}"
        if isinstance(captions, str) or not isinstance(captions, Sequence):
            raise InputError(
                f"{_kind(captions)} instead of a list of captions", where=where, fix='["a dog.", "a brown dog"]'
            )
        if not captions:
            raise InputError("the image has no caption", where=where, fix="give every image a reference")
        found[str(image)] = [_caption(caption, where, tokenized) for caption in captions]
    if not found:
        raise InputError(f"{what} contain no image", fix="give at least one")
    return found


def reference_tokens(captions: Sequence[Sequence[str]]) -> list[list[Caption]]:
    """The tokens of every image's references, `[N][R]`, from raw text."""
    from vlmbench.metrics.captions.ptb.tokenizer import tokenize
    from vlmbench.metrics.captions.sanitize import sanitize_all

    safe, _ = sanitize_all(list(chain.from_iterable(captions)))
    return by_image(safe, iter(tokenize(safe)), map(len, captions))


def by_image(
    lines: Iterable[str], tokens: Iterator[Caption], sizes: Iterable[int], *, native: bool = True
) -> list[list[Caption]]:
    """Splits a flat sequence of captions into each image's list, `[N][R]`. The rest stays in the iterator `tokens`.
    `native`: they come from our own tokenizer, which reads each caption by itself: an initial at the end of one is
    resolved by the next caption."""
    from vlmbench.metrics.captions.ptb.tokenizer import settle_initials

    texts, found = iter(lines), list[list[Caption]]()
    for size in sizes:
        found.append(list(islice(tokens, size)))
        own = list(islice(texts, size))
        if native:
            settle_initials(own, found[-1])
    return found


def _require(value: Any, what: str) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        raise InputError(
            f"{what} are {_kind(value)}, not a list or a mapping", fix="give a caption, or a list, per image"
        )


def _candidate(caption: Any, image: str, tokenized: bool) -> Any:
    one = not tokenized and isinstance(caption, Sequence) and not isinstance(caption, str)
    if one and len(caption) != 1:
        raise InputError(
            f"{len(caption)} captions instead of one", where=f"candidates, image {visible(image)[:80]}",
            fix="give one candidate per image",
        )  # fmt: skip
    return _caption(caption[0] if one else caption, f"candidates, image {visible(image)[:80]}", tokenized)


def _caption(caption: Any, where: str, tokenized: bool) -> Any:
    if isinstance(caption, str) and not tokenized:
        return caption
    if tokenized and isinstance(caption, Sequence) and not isinstance(caption, str):
        if all(isinstance(token, str) for token in caption):
            return caption
        raise InputError("a token is not text", where=where, fix='["a", "brown", "dog"]')
    expected, example = ("a list of tokens", '["a", "brown", "dog"]') if tokenized else ("a caption", '"a brown dog"')
    raise InputError(f"{_kind(caption)} instead of {expected}", where=where, fix=example)


def _kind(value: Any) -> str:
    return (
        "text" if isinstance(value, str) else "nothing" if value is None else f"a value of type {type(value).__name__}"
    )


def _named(images: Sequence[str]) -> str:
    shown = ", ".join(visible(image[:80]) for image in images[:5])
    return f"{len(images):,} image{'s' * (len(images) != 1)} ({shown}{', …' if len(images) > 5 else ''})"
