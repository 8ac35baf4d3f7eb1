"""Small pieces of scoring captions: tokenizers by backend, what Parquet can hold."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmbench.data.captions.read import Aligned, References
from vlmbench.foundations.errors import AbsentError, InputError, UsageError, VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.corpus import Caption
from vlmbench.metrics.captions.language import not_english
from vlmbench.metrics.captions.scoring import Scored, Tokenized
from vlmbench.metrics.spec import needing

if TYPE_CHECKING:
    from vlmbench.tasks.captions.clip import ClipImages


def tokenizer(backend: str) -> Callable[[Sequence[str]], Sequence[Caption]]:
    """The tokenizer of a backend: captions to their tokens."""
    if backend == "java":
        from vlmbench.metrics.captions import java

        return java.tokenize
    from vlmbench.metrics.captions.ptb.tokenizer import tokenize

    return tokenize


def known_tokens(training: Sequence[str], backend: str) -> list[Caption]:
    """The tokens of training captions, made safe as the systems' captions are."""
    from vlmbench.metrics.captions.sanitize import sanitize_all

    return list(tokenizer(backend)(sanitize_all(list(training))[0]))


def foreign_captions(names: Sequence[str], lines: Sequence[Sequence[str]], reporter: Reporter) -> dict[str, str]:
    """Whose captions are taken not to be English, and why; said once, as a warning.

    Args:
        names: the systems' names, an empty one for the references.
        lines: the captions of each.
        reporter: hears the warning.
    """
    reasons = {name: not_english(captions) for name, captions in zip(names, lines, strict=True)}
    found = {name: why for name, why in reasons.items() if why is not None}
    if found:
        whose = "; ".join(f"{visible(name) or 'the references'}: {why}" for name, why in found.items())
        reporter.warn(
            f"captions that do not look English ({whose}): the tokenizer and METEOR are made for English, "
            "and scores mislead elsewhere"
        )
    return found


def encodable(captions: Sequence[str]) -> list[str]:
    """Captions as they stood in the file, with half characters (lone surrogates) replaced: Parquet holds UTF-8."""
    return [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in captions]


def fingerprint(aligned: Aligned) -> str:
    """Digest of ids and references."""
    return digest([aligned.ids, aligned.references])


def frequency(documents: References | None, images: int) -> str:
    """Where CIDEr's document frequencies are from, for the record."""
    if documents is None:
        return f"references[{images}]"
    return f"{documents.name}[{len(documents.captions)}]@{documents.fingerprint[:8]}"


def add_clip(scored: Sequence[Scored], aligned: Aligned, seen: "ClipImages", asked: Collection[str]) -> None:
    """Adds the metrics `asked` of CLIPScore and RefCLIPScore to the columns of every system."""
    if not asked:
        return
    for item, kept, captions in zip(scored, aligned.images, aligned.candidates, strict=True):
        ids = [aligned.ids[index] for index in kept]
        found = seen.scores(ids, captions, [aligned.references[index] for index in kept])
        item.columns.update({name: found[name] for name in asked})


def add_spice(scored: Sequence[Scored], text: Tokenized, cache_dir: Path, asked: Sequence[str]) -> dict[str, str]:
    """Adds SPICE to the columns of every system; where it cannot run, nothing is added and the reason is given back.

    Raises:
        AbsentError: it cannot run, and no other metric was `asked` for.
        JavaError: its program went wrong.
    """
    from vlmbench.metrics.captions.spice import SPEC, spice_scores

    lines = [[" ".join(tokens) for tokens in captions] for captions in text.references]
    found = []
    try:
        for captions, images in zip(text.candidates, text.images, strict=True):
            chosen = [lines[image] for image in images.tolist()]
            found.append(spice_scores([" ".join(tokens) for tokens in captions], chosen, cache_dir))
    except AbsentError as error:
        if needing("java") >= set(asked):
            raise
        return dict.fromkeys(needing("java"), f"{error.what} (fix: {error.fix})")
    for item, values in zip(scored, found, strict=True):
        item.columns[SPEC.name] = values
    return {}


def nothing_left(left_out: Mapping[str, str]) -> VlmbenchError:
    """The error of a call of which no metric is left: something is absent, unless images were too few."""
    reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    kind = InputError if needing("documents") & set(left_out) else AbsentError
    return kind(f"nothing is left to score: {reasons}", where="--metrics", fix="ask for other metrics")


def distinct(names: Sequence[str | None]) -> None:
    """Refuses two systems of one name.

    Raises:
        UsageError: a name occurs twice.
    """
    given = [name for name in names if name is not None]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise UsageError(
            f"two systems are called {visible(twice[0])}", where="-p", fix="name them: -p first=FILE -p second=FILE"
        )
