"""What captions are like, apart from how good they are: length, vocabulary, variety, novelty.

Distinct-n: Li et al., A Diversity-Promoting Objective Function for Neural Conversation Models, 2016.
"""

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise


def profile(
    captions: Sequence[Sequence[Hashable]], known: Iterable[Sequence[Hashable]] | None = None
) -> dict[str, float]:
    """Figures about [N] captions given as tokens; without the training captions (`known`) novelty is left out.

    Returns:
        ``words`` per caption (mean), ``vocabulary`` (distinct words), ``distinct_1`` and ``distinct_2`` (distinct
        n-grams over all n-grams, 0 if there are none; both fall as captions grow in number), ``different`` (share of
        captions that differ from all earlier ones), and ``novel`` (share not among the training captions). Captions are
        compared as tokens: lower case, without punctuation.
    """
    listed = [tuple(tokens) for tokens in captions]
    words = [word for tokens in listed for word in tokens]
    pairs = [pair for tokens in listed for pair in pairwise(tokens)]
    found = {
        "words": _share(len(words), len(listed)),
        "vocabulary": float(len(set(words))),
        "distinct_1": _share(len(set(words)), len(words)),
        "distinct_2": _share(len(set(pairs)), len(pairs)),
        "different": _share(len(set(listed)), len(listed)),
    }
    if known is not None:
        before = {tuple(tokens) for tokens in known}
        found["novel"] = _share(sum(tokens not in before for tokens in listed), len(listed))
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
