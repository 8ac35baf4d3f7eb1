"""METEOR 1.5, English, `-norm`: per-image statistics and scores equal to the jar's, without Java.

Sources: Denkowski and Lavie 2014, "Meteor Universal: Language Specific Translation Evaluation for Any Target
Language", section 2 (equations 1 to 6); Denkowski and Lavie 2011, "Meteor 1.3". The reference implementation is
`meteor-1.5.jar` in `pycocoevalcap` 1.2.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.captions.meteor.align import MODULE_WEIGHTS
from vlmbench.metrics.captions.meteor.corpus import describe, number_words
from vlmbench.metrics.captions.meteor.index import MeteorIndex, Progress, silent
from vlmbench.metrics.captions.meteor.index import load_index as _load_index
from vlmbench.metrics.captions.meteor.native import load_kernel
from vlmbench.metrics.captions.meteor.native import pair_statistics as _compiled
from vlmbench.metrics.captions.meteor.reference import pair_statistics as _interpreted
from vlmbench.metrics.spec import CaptionSpec

_Number = TypeVar("_Number", np.int32, np.float64)

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
"""Denkowski and Lavie 2014, table 2: English, tuned for ranking."""

STATISTICS = (
    "candidate_length",
    "reference_length",
    "candidate_function_words",
    "reference_function_words",
    *(
        f"{module}_{side}_{kind}"
        for module in ("exact", "stem", "synonym", "paraphrase")
        for kind in ("content", "function")
        for side in ("candidate", "reference")
    ),
    "chunks",
    "candidate_matches",
    "reference_matches",
)
"""The K = 23 counts of a pair, in the jar's order; those of a corpus are their sums."""


def load_index(cache_dir: Path, *, progress: Progress | None = None) -> MeteorIndex:
    """METEOR's data (`index.load_index`) and compiled kernel from the cache directory; built there first if absent or
    outdated."""
    index = _load_index(cache_dir, progress=progress)
    load_kernel(index.folder.parent, progress or silent)
    return index


def meteor_score(stats: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """METEOR from counts [..., K] of one pair as `meteor_statistics` gives them, or sums over pairs: [...] float64, 0
    to 1 (Denkowski and Lavie 2014, equations 1 to 6); 0 if nothing matches."""
    counts = np.asarray(stats, dtype=np.float64)
    matched = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 4)
    weights = np.asarray(MODULE_WEIGHTS)
    content = (matched[..., 0:2] * weights[:, None]).sum(axis=-2)
    function = (matched[..., 2:4] * weights[:, None]).sum(axis=-2)
    lengths, functions = counts[..., 0:2], counts[..., 2:4]
    with np.errstate(divide="ignore", invalid="ignore"):
        covered = (DELTA * content + (1 - DELTA) * function) / (DELTA * (lengths - functions) + (1 - DELTA) * functions)
        precision, recall = covered[..., 0], covered[..., 1]
        mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall)
        chunks, matches = counts[..., 20], counts[..., 21:23]
        penalty = GAMMA * (chunks / (matches.sum(axis=-1) / 2)) ** BETA
        return np.where((precision > 0) & (recall > 0), mean * (1.0 - penalty), 0.0)


def summable(stats: NDArray[_Number]) -> NDArray[_Number]:
    """[..., K] counts as printed by the jar to counts as summed by it: an identical pair counts no chunk."""
    whole = (stats[..., 20] == 1) & (stats[..., 21:23] == stats[..., 0:2]).all(axis=-1)
    stats = stats.copy()
    stats[..., 20][whole] = 0
    return stats


def meteor_statistics(
    candidates: Sequence[Sequence[str]],
    references: Sequence[Sequence[Sequence[str]]],
    index: MeteorIndex,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The counts of each image's best reference, and each image's score.

    Args:
        candidates: [N] captions, as tokens of the Penn Treebank tokenizer.
        references: [N][R_i] captions, as tokens; the first of the best-scoring references counts.

    Returns:
        [N, K] float64 counts in the order of `STATISTICS`, with the corpus score `meteor_score(counts.sum(0))`, and
        [N] float64 scores, 0 to 1. An image without references has zero matches.
    """
    if len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} candidates, but references for {len(references)} images")
    sizes = np.fromiter(map(len, references), dtype=np.int64, count=len(references))
    sentences: list[Sequence[str]] = [_without_separator(tokens) for tokens in candidates]
    for refs in references:
        sentences += refs or [()]
    sizes = np.maximum(sizes, 1)
    numbered, words = number_words(sentences)
    vocabulary = describe(words, index)
    image_starts = np.concatenate(([0], np.cumsum(sizes)))
    kernel = load_kernel(index.folder.parent)
    if kernel is None:
        stats = _interpreted(numbered, vocabulary, image_starts, index)
    else:
        stats = _compiled(numbered, vocabulary, image_starts, index, kernel)
    stats = summable(stats)
    scores = meteor_score(stats)
    best = _first_best(scores, image_starts)
    return stats[best].astype(np.float64), scores[best]


def _without_separator(tokens: Sequence[str]) -> Sequence[str]:
    """`tokens` without the ``|||`` of the jar's protocol, which pycocoevalcap removes from candidates."""
    if any("|||" in token for token in tokens):
        return [token.replace("|||", "") for token in tokens]
    return tokens


def _first_best(scores: NDArray[np.float64], image_starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """[N] int64: of each image's pairs, the first with the highest score."""
    if len(image_starts) == 1:
        return np.zeros(0, dtype=np.int64)
    highest = np.maximum.reduceat(scores, image_starts[:-1])
    hits = np.flatnonzero(scores == np.repeat(highest, np.diff(image_starts)))
    return hits[np.searchsorted(hits, image_starts[:-1])]


METEOR_STATISTICS = "meteor_statistics"
"""The column of a per-sample file that holds `STATISTICS`."""
SPEC = CaptionSpec(
    name="meteor",
    title="METEOR",
    definition="METEOR 1.5, English, normalised (Denkowski and Lavie 2014)",
    source="Denkowski and Lavie 2014; meteor-1.5.jar",
    blind_to="languages other than English, and meaning beyond words, stems, synonyms and paraphrases",
    columns=(METEOR_STATISTICS,),
    total=meteor_score,
    needs="index",
    usual=True,
    prominence=2,
    order=60,
)
