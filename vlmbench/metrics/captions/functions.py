"""BLEU, ROUGE-L, METEOR and CIDEr as plain functions: from captions to the corpus score and each image's score.

They are `vlmbench.metrics.bleu`, `rouge_l`, `meteor` and `cider`; the scores are those of ``vlmbench caption-eval`` and
of ``pycocoevalcap`` 1.2. Captions are sanitised and tokenized as by that command; with ``tokenized=True`` they are
lists of tokens and are used as they are.
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.captions import bleu as _bleu
from vlmbench.metrics.captions import cider as _cider
from vlmbench.metrics.captions import rouge as _rouge
from vlmbench.metrics.captions.inputs import CaptionLists, Captions, caption_inputs, caption_lists, reference_tokens
from vlmbench.metrics.captions.statistics import Statistics

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CaptionScores:
    """The scores of a caption metric.

    Attributes:
        score: the corpus score.
        scores: `[N]` float64, each image's score.
        ids: `[N]` the image ids, in the order of the references; None if these were a list.
    """

    score: float
    scores: Floats
    ids: tuple[str, ...] | None = None

    def by_image(self) -> dict[str, float]:
        """Scores by image id, or by position if no ids were given."""
        return _by_image(self.ids, self.scores)


@dataclass(frozen=True, eq=False)
class BleuScores:
    """The scores of BLEU-1 to BLEU-4.

    Attributes:
        score: corpus BLEU-1, -2, -3 and -4.
        scores: `[N, 4]` float64, each image's scores.
        ids: `[N]` the image ids, in the order of the references; None if these were a list.
    """

    score: tuple[float, float, float, float]
    scores: Floats
    ids: tuple[str, ...] | None = None

    def by_image(self) -> dict[str, tuple[float, float, float, float]]:
        """Four scores by image id, or by position if no ids were given."""
        return _by_image(self.ids, self.scores)


def bleu(candidates: Captions, references: CaptionLists, *, tokenized: bool = False) -> BleuScores:
    """BLEU-1 to BLEU-4 (Papineni et al. 2002), 0 to 1; the corpus scores come from summed counts, not from means.

    Args:
        candidates: `[N]` captions, or ``{image: caption}``.
        references: `[N]` lists of captions, or ``{image: [caption, …]}``.
        tokenized: captions are lists of tokens.

    Raises:
        InputError: a value is not a caption, the images differ, or an image has no reference.

    Examples:
        >>> from vlmbench.metrics import bleu
        >>> found = bleu(["a dog runs on grass"], [["a dog runs on the grass.", "The dog is running"]])
        >>> [round(value, 4) for value in found.score]
        [1.0, 0.866, 0.7937, 0.7071]
    """
    text = caption_inputs(candidates, references, tokenized=tokenized)
    statistics = _bleu.bleu(text.corpus())[0]
    one, two, three, four = map(float, _bleu.bleu_scores(statistics.sum(axis=0)))
    return BleuScores((one, two, three, four), _bleu.bleu_scores(statistics), text.ids)


def rouge_l(candidates: Captions, references: CaptionLists, *, tokenized: bool = False) -> CaptionScores:
    """ROUGE-L (Lin 2004), 0 to 1, with β 1.2 as in pycocoevalcap; the corpus score is the mean over images.

    Args:
        candidates: `[N]` captions, or ``{image: caption}``.
        references: `[N]` lists of captions, or ``{image: [caption, …]}``.
        tokenized: captions are lists of tokens.

    Raises:
        InputError: as in `bleu`.

    Examples:
        >>> from vlmbench.metrics import rouge_l
        >>> round(rouge_l({"7": "a dog runs on grass"}, {"7": ["a dog runs on the grass."]}).score, 4)
        0.8944
    """
    text = caption_inputs(candidates, references, tokenized=tokenized)
    return _scored("rouge_l", {"rouge_l": _rouge.rouge_l(text.corpus(), 0)}, text.ids)


def meteor(
    candidates: Captions,
    references: CaptionLists,
    *,
    tokenized: bool = False,
    cache_dir: str | PathLike[str] | None = None,
) -> CaptionScores:
    """METEOR 1.5 for English (Denkowski and Lavie 2014), 0 to 1; the corpus score comes from summed counts.

    The scores are those of the reference program, computed without Java. The first call builds METEOR's index in the
    cache directory, which takes half a minute.

    Args:
        candidates: `[N]` captions, or ``{image: caption}``.
        references: `[N]` lists of captions, or ``{image: [caption, …]}``.
        tokenized: captions are lists of tokens.
        cache_dir: vlmbench's cache directory; None: the platform's.

    Raises:
        InputError: as in `bleu`.
        AbsentError: pycocoevalcap, which contains METEOR's data, is not installed.
        OutputError: the cache directory cannot be written.
    """
    from vlmbench.foundations.paths import default_cache_dir
    from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS, load_index, meteor_statistics

    text = caption_inputs(candidates, references, tokenized=tokenized)
    index = load_index(default_cache_dir() if cache_dir is None else Path(cache_dir))
    counts, scores = meteor_statistics(text.candidates, text.references, index)
    return _scored("meteor", {"meteor": scores, METEOR_STATISTICS: counts}, text.ids)


def cider(
    candidates: Captions,
    references: CaptionLists,
    *,
    document_frequency: CaptionLists | None = None,
    tokenized: bool = False,
) -> CaptionScores:
    """CIDEr (CIDEr-D of Vedantam et al. 2015), 0 to 10; the corpus score is the mean over images.

    Args:
        candidates: `[N]` captions, or ``{image: caption}``.
        references: `[N]` lists of captions, or ``{image: [caption, …]}``.
        document_frequency: references (of any images) that document frequencies come from; None: `references`.
        tokenized: captions are lists of tokens, those of `document_frequency` too.

    Raises:
        InputError: as in `bleu`, or there is only one document, so that every score would be 0.

    Examples:
        >>> from vlmbench.metrics import cider
        >>> references = {"7": ["a dog runs on grass", "a running dog"], "8": ["two cats sleep", "cats on a bed"]}
        >>> found = cider({"7": "a dog runs", "8": "two cats sleep on a bed"}, references)
        >>> round(found.score, 3), {image: round(score, 3) for image, score in found.by_image().items()}
        (3.589, {'7': 3.109, '8': 4.069})
    """
    text = caption_inputs(candidates, references, tokenized=tokenized)
    documents = None
    if document_frequency is not None:
        lists = list(caption_lists(document_frequency, "document_frequency", tokenized=tokenized).values())
        documents = lists if tokenized else reference_tokens(lists)
    return _scored("cider", {"cider": _cider.cider(text.corpus(documents))[0]}, text.ids)


def _scored(name: str, columns: dict[str, Floats], ids: tuple[str, ...] | None) -> CaptionScores:
    return CaptionScores(Statistics.of(columns, [name]).corpus()[name], columns[name], ids)


def _by_image(ids: tuple[str, ...] | None, scores: Floats) -> dict[str, Any]:
    names = ids if ids is not None else map(str, range(len(scores)))
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in zip(names, scores.tolist(), strict=True)
    }
