"""CLIPScore and RefCLIPScore from embeddings (Hessel et al., CLIPScore: A Reference-free Evaluation Metric, 2021)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.spec import CaptionSpec

Floats = NDArray[np.float64]

W = 2.5
"""The paper's scale, so that scores of real captions spread over 0 to 1."""
PREFIX = "A photo depicts "
"""Prepended to every caption, candidate or reference, before it is embedded."""


def clip_scores(images: Floats, candidates: Floats, references: Sequence[Floats]) -> tuple[Floats, Floats]:
    """CLIPScore ``w max(cos(c, v), 0)`` and RefCLIPScore, its harmonic mean with ``max_r max(cos(c, r), 0)``.

    Args:
        images: [N, D] unit-norm image embeddings.
        candidates: [N, D] unit-norm embeddings of the prefixed candidates.
        references: for each image [R, D] unit-norm embeddings of its prefixed references, R at least 1.

    Returns:
        CLIPScore [N], 0 to 2.5, and RefCLIPScore [N], 0 to 1.43; RefCLIPScore is 0 if either part is.
    """
    image_part = W * np.maximum((images * candidates).sum(axis=1), 0.0)
    pairs = zip(candidates, references, strict=True)
    text_part = np.array([max(float((group @ caption).max()), 0.0) for caption, group in pairs])
    total = image_part + text_part
    both = np.divide(2 * image_part * text_part, total, out=np.zeros_like(total), where=total > 0)
    return image_part, both


_SOURCE = "Hessel et al. 2021"
_BLIND = "what its CLIP misses: counts, small objects, relations, text in images"
SPECS = [
    CaptionSpec(
        name="clipscore",
        title="CLIPScore",
        definition="CLIPScore, w 2.5: image against caption, 0 to 2.5 (Hessel et al. 2021)",
        source=_SOURCE,
        blind_to=_BLIND,
        range=(0.0, W),
        needs="images",
        prominence=5,
        order=100,
    ),
    CaptionSpec(
        name="refclipscore",
        title="RefCLIPScore",
        definition="RefCLIPScore: its harmonic mean with the nearest reference, 0 to 1.43",
        source=_SOURCE,
        blind_to=_BLIND,
        range=(0.0, 2 * W / (W + 1)),
        needs="images",
        order=110,
    ),
]
