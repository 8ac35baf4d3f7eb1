"""Whether a caption is one of the references, token by token."""

import numpy as np

from vlmbench.metrics.spec import CaptionSpec


def score(candidates, references):
    """1 or 0 for each candidate."""
    known = [{tuple(reference) for reference in group} for group in references]
    return np.array([tuple(said) in group for said, group in zip(candidates, known, strict=True)], dtype=np.float64)


SPEC = CaptionSpec(
    name="exact_match",
    title="Exact match",
    definition="share of captions that are one of the references",
    source="this sample",
    blind_to="everything but identity",
    score=score,
)
