"""From tokenized captions to per-image scores and sufficient statistics, with the native scorers or Java."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.background import Arrays
from vlmbench.metrics.captions.bleu import BLEU, STATISTICS, Bleu, bleu_scores
from vlmbench.metrics.captions.cider import FEWEST, Cider
from vlmbench.metrics.captions.corpus import Caption, Corpus, Scorer
from vlmbench.metrics.captions.rouge import rouge_l
from vlmbench.metrics.spec import caption_specs, needing

if TYPE_CHECKING:
    from vlmbench.metrics.captions.meteor.index import MeteorIndex

Columns = dict[str, NDArray[np.float64]]


@dataclass
class Tokenized:
    """Tokens of references and of every system's candidates."""

    references: list[list[Caption]]
    """`[N]` images with at least one caption each."""
    candidates: list[list[Caption]]
    """For each system one caption for each of its images."""
    images: list[NDArray[np.int64]]
    """For each system the indexes of its images, ascending."""
    documents: list[list[Caption]] | None = None
    """Where document frequencies come from; None: `references`."""


@dataclass
class Scored:
    """One system's scores."""

    columns: Columns = field(default_factory=dict)
    """Per-image scores and statistics, `[n]` each; METEOR's statistics `[n, K]`."""
    corpus: dict[str, float] = field(default_factory=dict)
    """Corpus scores from the reference program itself; empty for the native scorers."""


def refusals(metrics: Sequence[str], images: int) -> dict[str, str]:
    """Metrics that cannot be computed from this few images, with the reason."""
    if images >= FEWEST:
        return {}
    why = "needs at least two images: with one, every n-gram occurs in every document and every score is 0"
    return {name: why for name in metrics if name in needing("documents")}


def score_native(text: Tokenized, metrics: Sequence[str]) -> list[Scored]:
    """BLEU, ROUGE-L and CIDEr of every system with the native scorers, and metrics with a scorer of their own. Raises
    `InputError` for CIDEr with fewer than two documents."""
    corpus = Corpus(text.references, text.candidates, images=list(text.images), documents=text.documents)
    found = [Scored() for _ in text.candidates]
    wanted = [name for name in ("cider", "cider_d") if name in metrics]
    bleu = Bleu(corpus) if any(name in BLEU for name in metrics) else None
    cider = Cider(corpus) if wanted else None
    scorers: list[Scorer] = [scorer for scorer in (bleu, cider) if scorer is not None]
    corpus.scan(*scorers)
    for system, scored in enumerate(found):
        if bleu is not None:
            statistics = bleu.statistics(system)
            scored.columns.update(zip(BLEU, bleu_scores(statistics).T, strict=True))
            scored.columns.update(zip(STATISTICS, statistics.T, strict=True))
        if "rouge_l" in metrics:
            scored.columns["rouge_l"] = rouge_l(corpus, system)
        if cider is not None:
            scored.columns.update(dict.fromkeys(wanted, cider.scores(system)))
        references = [text.references[image] for image in text.images[system].tolist()]
        for spec in caption_specs():
            if spec.score is not None and spec.name in metrics:
                scored.columns[spec.name] = np.asarray(spec.score(text.candidates[system], references), np.float64)
    return found


def score_meteor(text: Tokenized, index: "MeteorIndex") -> Arrays:
    """For each system METEOR's statistics `[n, K]` and scores `[n]`, from the native scorer."""
    from vlmbench.metrics.captions.meteor.score import meteor_statistics

    found: Arrays = []
    for captions, images in zip(text.candidates, text.images, strict=True):
        found += meteor_statistics(captions, [text.references[image] for image in images.tolist()], index)
    return found


def score_java(text: Tokenized, metrics: Sequence[str]) -> list[Scored]:
    """Scores every system with ``pycocoevalcap`` and METEOR's jar; intervals come from the native statistics. Raises
    `AbsentError` without Java or ``pycocoevalcap``, `JavaError` where a program fails or goes silent."""
    from vlmbench.metrics.captions import java
    from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS, summable

    found = score_native(text, [name for name in metrics if name != "meteor"])
    lines = [[" ".join(caption) for caption in captions] for captions in text.references]
    chosen = [[lines[image] for image in images.tolist()] for images in text.images]
    candidate_lines = [[" ".join(caption) for caption in captions] for captions in text.candidates]
    for scored, candidates, references in zip(found, candidate_lines, chosen, strict=True):
        if text.documents is None and len(references) == len(lines) and any(map(any, references)):
            each, corpus = java.bleu_rouge_cider(candidates, references)
            names = {**{name: name for name in each}, "cider_d": "cider"}
            for name in metrics:
                if name in names:
                    scored.columns[name], scored.corpus[name] = each[names[name]], corpus[names[name]]
    if "meteor" in metrics:
        with java.Meteor() as program:
            for scored, candidates, references in zip(found, candidate_lines, chosen, strict=True):
                answers = program.statistics(java.meteor_lines(candidates), references)
                scored.columns["meteor"], scored.corpus["meteor"] = program.scores(answers)
                counts = np.array([line.split() for line in answers], dtype=np.float64)
                scored.columns[METEOR_STATISTICS] = summable(counts)
    return found
