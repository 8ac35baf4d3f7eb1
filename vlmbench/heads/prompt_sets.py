"""Named prompt sets.

``clip7`` and ``clip80`` are the ImageNet templates published with CLIP (Radford et al. 2021; openai/CLIP, MIT licence,
notebooks/Prompt_Engineering_for_ImageNet.ipynb): the ensemble of 80, and the seven that forward selection kept.
"""

_CLIP7 = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)


def _articles(*patterns: str) -> list[str]:
    """Each pattern with ``a`` and with ``the`` in the place marked ``@``."""
    return [pattern.replace("@", article) for pattern in patterns for article in ("a", "the")]


_CLIP80 = tuple(
    sorted(
        {
            *_articles(
                "a bad photo of @ {}.",
                "a bright photo of @ {}.",
                "a cropped photo of @ {}.",
                "a close-up photo of @ {}.",
                "a dark photo of @ {}.",
                "a good photo of @ {}.",
                "a low resolution photo of @ {}.",
                "a pixelated photo of @ {}.",
                "a jpeg corrupted photo of @ {}.",
                "a blurry photo of @ {}.",
                "a black and white photo of @ {}.",
                "a rendition of @ {}.",
                "a rendering of @ {}.",
                "a sculpture of @ {}.",
                "a sketch of @ {}.",
                "a doodle of @ {}.",
                "a drawing of @ {}.",
                "a painting of @ {}.",
                "a tattoo of @ {}.",
                "art of @ {}.",
                "graffiti of @ {}.",
                "itap of @ {}.",
                "@ cartoon {}.",
                "@ embroidered {}.",
                "@ origami {}.",
                "@ plastic {}.",
                "@ plushie {}.",
                "@ toy {}.",
                "@ {} in a video game.",
                "a photo of @ {}.",
                "a photo of @ clean {}.",
                "a photo of @ dirty {}.",
                "a photo of @ cool {}.",
                "a photo of @ weird {}.",
                "a photo of @ nice {}.",
                "a photo of @ small {}.",
                "a photo of @ large {}.",
                "a photo of @ hard to see {}.",
            ),
            *("a photo of many {}.", "a photo of my {}.", "a photo of one {}.", "itap of my {}."),
        }
    )
)

SETS: dict[str, tuple[str, ...]] = {
    "default": ("a photo of a {}.",),
    "name": ("{}",),
    "clip7": _CLIP7,
    "clip80": _CLIP80,
}
"""Set name to its templates."""

ALIASES = {"imagenet": "clip80"}
"""Other names of sets."""
