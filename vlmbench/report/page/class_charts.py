"""Charts of figures by class: ROC curves, bars with intervals, confusion matrices; drawn as those of `charts`."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.text import html, visible
from vlmbench.report.page.charts import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Bounds,
    axis_title,
    framed,
    grid,
    marker,
    points_of,
    ticks_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_NAMED = 40
"""Above this many classes a confusion matrix has no class names."""
MOST_COUNTED = 20
"""Above this many classes it has no counts in its cells."""
_LONGEST = 24
"""Characters of a class name that are shown beside a chart."""


def roc_svg(
    identity: str,
    title: str,
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    point: tuple[float, float] | None = None,
) -> str:
    """Sensitivity against 1 - specificity, a named curve for each class, with an operating point; dashed: chance."""

    def at(x: float, value: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - RIGHT) * x, TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)

    parts = [*grid(0.0, 1.0, 0.2), *ticks_of([(tick / 4, f"{tick * 25}") for tick in range(5)], at, 0.0)]
    parts.append(f'<polyline class="diagonal" fill="none" points="{points_of([at(0, 0), at(1, 1)])}"/>')
    for index, (_, curve) in enumerate(curves):
        parts.append(f'<polyline class="line c{index % COLOURS}" points="{points_of([at(x, y) for x, y in curve])}"/>')
        if len(curves) > 1:
            parts.append(marker(index % COLOURS, *at(*curve[len(curve) // 2])))
    parts.append(axis_title("1 − specificity; up: sensitivity"))
    words = f"ROC curves of {', '.join(name for name, _ in curves)}"
    if point is not None:
        parts.append(marker(1, *at(*point)))
        words += (
            f"; sensitivity {point[1] * 100:.1f} with specificity {100 - point[0] * 100:.1f} at the operating point"
        )
    return framed(identity, title, words, parts)


def per_class_svg(
    identity: str, title: str, names: Sequence[str], series: Sequence[tuple[str, Sequence[Bounds | None]]], axis: str
) -> str:
    """Bars with intervals: one for each class and series, 0 to 1; None: no bar.

    Args:
        identity: the chart's id.
        title: for screen readers.
        names: of the classes, `[C]`.
        series: each with its name and a value with low and high for each class, `[C]`.
        axis: what is shown.
    """
    shown = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in map(visible, names)]
    left, thick = 12 + 6.2 * max(map(len, shown), default=0), 11 if len(series) > 1 else 13
    group = thick * len(series) + 6
    bottom = TOP + group * len(names)

    def across(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * value

    parts = []
    for tick in range(0, 101, 25):
        x = across(tick / 100)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{tick}</text>')
    for row, name in enumerate(shown):
        top = TOP + group * row + 3
        middle = top + thick * len(series) / 2 + 4
        parts.append(f'<text class="tick" x="{left - 5:.1f}" y="{middle:.1f}" text-anchor="end">{html(name)}</text>')
        for index, (_, values) in enumerate(series):
            if (bounds := values[row]) is None:
                continue
            value, low, high = bounds
            y, tall, colour = top + thick * index, thick - 2, index % COLOURS
            corners = [(across(0), y), (across(value), y), (across(value), y + tall), (across(0), y + tall)]
            parts.append(f'<polygon class="fill c{colour}" points="{points_of(corners)}"/>')
            if low is not None and high is not None:
                ends = f'x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y + tall / 2:.1f}" y2="{y + tall / 2:.1f}"'
                parts.append(f'<line class="whisker" {ends}/>')
            parts.append(marker(colour, across(value), y + tall / 2))
    x = (left + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{x:.0f}" y="{bottom + 33}" text-anchor="middle">{html(axis)}</text>')
    words = [
        f"{name}: " + ", ".join(f"{label} {one[0] * 100:.1f}" for label, one in zip(names, values, strict=True) if one)
        for name, values in series
    ]
    return framed(identity, title, f"{axis}; {'; '.join(words)}", parts, WIDTH, bottom + 38)


def confusion_svg(identity: str, title: str, matrix: "NDArray[Any]", classnames: Sequence[str]) -> str:
    """A confusion matrix, each row as shares of its class; with class names up to 40 classes, with counts up to 20.

    Args:
        identity: the chart's id.
        title: for screen readers.
        matrix: images by class (rows) and prediction (columns), `[C, C]`.
        classnames: `[C]`.
    """
    classes = len(classnames)
    names = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in map(visible, classnames)]
    named = classes <= MOST_NAMED
    margin = 26 + (max(6.4 * max(map(len, names), default=0), 10) if named else 6)
    cell = max(300 / max(classes, 1), 16.0 if named else 300 / max(classes, 1))
    side = cell * classes
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
    parts = [
        f'<image x="{margin:g}" y="6" width="{side:g}" height="{side:g}" href="{_heat(shares)}"/>',
        f'<rect class="frame" x="{margin:g}" y="6" width="{side:g}" height="{side:g}"/>',
    ]
    for row, name in enumerate(names if named else ()):
        middle = (row + 0.5) * cell + 4
        parts.append(
            f'<text class="tick" x="{margin - 5:g}" y="{6 + middle:.1f}" text-anchor="end">{html(name)}</text>'
        )
        x, y = margin + middle, 6 + side + 5
        turned = f'transform="rotate(-90 {x:.1f} {y:.1f})"'
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="end" {turned}>{html(name)}</text>')
        for column in range(classes if classes <= MOST_COUNTED else 0):
            if matrix[row, column]:
                at = f'x="{margin + (column + 0.5) * cell:.1f}" y="{6 + middle - 0.5:.1f}" text-anchor="middle"'
                dark = "pale" if shares[row, column] > 0.5 else "ink"
                parts.append(f'<text class="count {dark}" {at}>{int(matrix[row, column])}</text>')
    width, height = margin + side + 10, side + margin + 6
    x = margin + side / 2
    parts.append(f'<text class="axis" x="{x:.1f}" y="{height - 5:.1f}" text-anchor="middle">predicted</text>')
    turned = f'transform="rotate(-90 12 {6 + side / 2:.1f})"'
    parts.append(f'<text class="axis" x="12" y="{6 + side / 2:.1f}" text-anchor="middle" {turned}>true</text>')
    return framed(identity, title, f"Confusion matrix of {classes} classes", parts, width, height)


def _heat(shares: "NDArray[Any]") -> str:
    """Shares 0 to 1 as a white-to-blue picture (``data:`` URL), enlarged so that no viewer blurs the cells."""
    import numpy as np
    from PIL import Image

    blue = np.array((11, 70, 140))
    pixels = np.rint(255 - shares[..., None] * (255 - blue)).astype(np.uint8)
    times = max(1, 800 // max(len(shares), 1))
    out = io.BytesIO()
    Image.fromarray(pixels.repeat(times, 0).repeat(times, 1)).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
