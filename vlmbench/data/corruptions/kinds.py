"""The corruptions by name, with the constants of their five severities; nothing is imported to know them.

Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019; the constants are those of its ImageNet-C (github.com/hendrycks/robustness, ``create_c/make_imagenet_c.py``).
Lengths are in pixels of an image whose shorter side has `SIDE`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.plugins import nearest
from vlmbench.foundations.text import visible

SIDE = 224
"""Pixels of the shorter side at which the paper corrupts images; a larger image is made that small first."""

VERSION = 1
"""Part of the fingerprint of corrupted images: changes where their bytes do."""

SEVERITIES = (1, 2, 3, 4, 5)
ALL = "all"


@dataclass(frozen=True)
class CorruptionKind:
    """One kind of corruption.

    Attributes:
        group: ``noise``, ``blur``, ``weather`` or ``digital``.
        function: what applies it, ``"module:attr"``: pixels [H, W, 3] uint8, one entry of `constants`, the shorter side
            divided by `SIDE`, and a generator, to pixels [H, W, 3], float of 0 to 255 or uint8.
        meaning: what the constants are.
        constants: those of severity 1 to 5.
        benchmark: whether the paper's mean corruption error counts it; four are for development only.
    """

    group: str
    function: str
    meaning: str
    constants: tuple[Any, ...]
    benchmark: bool = True


_NOISE, _BLUR, _WEATHER, _DIGITAL = (
    f"vlmbench.data.corruptions.{name}" for name in ("noise", "blur", "weather", "digital")
)

KINDS: Mapping[str, CorruptionKind] = {
    "gaussian_noise": CorruptionKind(
        "noise", f"{_NOISE}:gaussian", "standard deviation, of 0 to 1", (0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    "shot_noise": CorruptionKind("noise", f"{_NOISE}:shot", "photons at full brightness", (60, 25, 12, 5, 3)),
    "impulse_noise": CorruptionKind(
        "noise", f"{_NOISE}:impulse", "share of values set to 0 or 255", (0.03, 0.06, 0.09, 0.17, 0.27)
    ),
    "speckle_noise": CorruptionKind(
        "noise", f"{_NOISE}:speckle", "standard deviation of the factor", (0.15, 0.2, 0.35, 0.45, 0.6), benchmark=False
    ),
    "defocus_blur": CorruptionKind(
        "blur",
        f"{_BLUR}:defocus",
        "radius of the disk, standard deviation of its edge",
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "glass_blur": CorruptionKind(
        "blur",
        f"{_BLUR}:glass",
        "standard deviation, greatest shift, rounds of shifts",
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": CorruptionKind(
        "blur", f"{_BLUR}:motion", "radius, standard deviation", ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
    ),
    "zoom_blur": CorruptionKind(
        "blur",
        f"{_BLUR}:zoom",
        "number of magnifications from 1 on, step",
        ((12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)),
    ),
    "gaussian_blur": CorruptionKind(
        "blur", f"{_BLUR}:gaussian", "standard deviation", (1, 2, 3, 4, 6), benchmark=False
    ),
    "snow": CorruptionKind(
        "weather",
        f"{_WEATHER}:snow",
        "mean, deviation, size, threshold of flakes; radius, deviation of their blur; weight of the image",
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "fog": CorruptionKind(
        "weather",
        f"{_WEATHER}:fog",
        "thickness, decay of the fractal",
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    ),
    "brightness": CorruptionKind("weather", f"{_DIGITAL}:brightness", "added to V of HSV", (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": CorruptionKind("digital", f"{_DIGITAL}:contrast", "factor", (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": CorruptionKind(
        "digital",
        f"{_DIGITAL}:elastic",
        "amplitude and smoothness of the displacement, greatest shift of three points",
        ((488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)),
    ),
    "pixelate": CorruptionKind("digital", f"{_DIGITAL}:pixelate", "factor of the sides", (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": CorruptionKind("digital", f"{_DIGITAL}:jpeg", "quality", (25, 18, 15, 10, 7)),
    "saturate": CorruptionKind(
        "digital",
        f"{_DIGITAL}:saturate",
        "factor of S of HSV, added to it",
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
        benchmark=False,
    ),
}
"""All but frost, which needs photographs of frost, and spatter, which needs OpenCV's edges and distances."""


@dataclass(frozen=True)
class Corruption:
    """A kind, and how severe it is: 1 to 5."""

    kind: str
    severity: int

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Parses ``fog:3``; `UsageError` where there is no such kind or severity."""
        kind, _, severity = text.partition(":")
        if kind not in KINDS:
            raise unknown(kind, where)
        if not re.fullmatch("[1-5]", severity):
            what = f"no such severity of {kind}: {visible(severity)}" if severity else f"{kind} without a severity"
            raise UsageError(what, where=where, fix=f"{kind}:3; severities are 1 to 5")
        return cls(kind, int(severity))

    def __str__(self) -> str:
        return f"{self.kind}:{self.severity}"

    @property
    def constants(self) -> Any:
        """What its severity stands for."""
        return KINDS[self.kind].constants[self.severity - 1]

    @property
    def key(self) -> list[Any]:
        """What stands for it in a fingerprint."""
        return ["corruption", VERSION, self.kind, self.severity]


def corruptions(text: str, where: str) -> list[Corruption]:
    """``all:1-5``, or ``gaussian_noise,fog:3``: kinds or groups of them, with severities.

    One without severities has those of the next that has some, as in a list of words; without any they are 1 to 5.
    Raises `UsageError` where there is no such kind, group or severity.
    """
    found: list[Corruption] = []
    severities = range(1, 6)
    for item in reversed(text.split(",")):
        name, colon, part = item.strip().partition(":")
        if colon:
            first, dash, last = part.partition("-")
            if not re.fullmatch("[1-5](-[1-5])?", part) or (dash and last < first):
                raise UsageError(f"no such severities: {visible(part)}", where=where, fix=f"{name}:3 or {name}:1-5")
            severities = range(int(first), int(last or first) + 1)
        kinds = [kind for kind, spec in KINDS.items() if name in (kind, spec.group, ALL)]
        if not kinds:
            raise unknown(name, where)
        found = [Corruption(kind, severity) for kind in kinds for severity in severities] + found
    return list(dict.fromkeys(found))


def unknown(kind: str, where: str) -> UsageError:
    """The error for a kind that there is not."""
    choices = [ALL, *dict.fromkeys(spec.group for spec in KINDS.values()), *KINDS]
    return UsageError(
        f"no such corruption: {visible(kind)}", where=where, fix=nearest(kind, KINDS, f"one of {', '.join(choices)}")
    )
