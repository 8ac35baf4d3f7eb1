"""Charts as inline SVG in the page's light or dark colours; drawn small, so that text stays legible on a phone.

Colour is never the only cue: every series has its own marker too. Each chart has a title and a description for screen
readers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vlmbench.foundations.text import html

At = Callable[[float, float], tuple[float, float]]
"""Maps (x, value) to picture coordinates."""

Bounds = tuple[float, float | None, float | None]
"""A value with low and high."""

WIDTH, HEIGHT = 340, 250
LEFT, RIGHT, TOP, BOTTOM = 38, 14, 12, 40
COLOURS = 8
_LOGIT_TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Series:
    """A line: its name, points (x, value, low, high) with values 0 to 1, and its zero-shot level, if any."""

    name: str
    points: tuple[tuple[float, float, float | None, float | None], ...]
    level: float | None = None
    full: float | None = None
    """The value with all labels; drawn beyond the last x."""


def few_shot_svg(identity: str, title: str, series: Sequence[Series]) -> str:
    """Probe by labels per class on a log axis, with bands, and zero-shot as a dashed line of the same colour."""
    xs = sorted({x for one in series for x, *_ in one.points})
    if not xs:
        return ""
    has_full = any(one.full is not None for one in series)
    places = {x: math.log2(x) for x in xs}
    last = places[xs[-1]]
    end = last + max(1.0, last / 5) if has_full else max(last, 1.0)
    ticks = [(places[x], f"{x:g}") for x in xs] + [(end, "all")] * has_full
    return framed(identity, title, *_lines(series, places, end, ticks, "labelled images per class"))


def severity_svg(identity: str, title: str, series: Sequence[Series]) -> str:
    """A figure by the severity of a corruption, with bands; severity 0 is the clean images."""
    places = {x: x for one in series for x, *_ in one.points}
    ticks = [(x, f"{x:g}" if x else "clean") for x in sorted(places)]
    return framed(identity, title, *_lines(series, places, max(places), ticks, "severity of the corruption"))


def _lines(
    series: Sequence[Series], places: Mapping[float, float], end: float, ticks: Sequence[tuple[float, str]], axis: str
) -> tuple[str, list[str]]:
    """Lines with bands, in words and as elements; `places`: where each x lies on an axis from 0 to `end`."""
    values = [v for one in series for point in one.points for v in point[1:] if v is not None]
    values += [v for one in series for v in (one.level, one.full) if v is not None]
    low, high, step = _axis(values)

    def at(x: float, value: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / end, TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [*grid(low, high, step), *ticks_of(ticks, at, low)]
    for index, one in enumerate(series):
        parts += _one_series(one, index % COLOURS, places, end, at)
    parts.append(axis_title(axis))
    return "; ".join(_described(one) for one in series), parts


@dataclass(frozen=True)
class Scatter:
    """Points of one kind: (in distribution, shifted), each a value with low and high, all 0 to 1."""

    name: str
    points: tuple[tuple[Bounds, Bounds], ...]


def robustness_svg(identity: str, title: str, series: Sequence[Scatter], line: Callable[[float], float] | None) -> str:
    """Shifted accuracy against accuracy in distribution on logit axes, as in Taori et al. 2020, figure 1.

    Each point has its intervals; `line` is the one fitted over the baselines; dashed: no loss.
    """
    across, up = (_logit_ticks([part for one in series for point in one.points for part in point[i]]) for i in (0, 1))

    def at(x: float, value: float) -> tuple[float, float]:
        left, bottom = _along_logits(x, across), _along_logits(value, up)
        return LEFT + (WIDTH - LEFT - RIGHT) * left, TOP + (HEIGHT - TOP - BOTTOM) * (1 - bottom)

    parts = []
    for tick in up:
        _, y = at(across[0], tick)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick * 100:g}</text>')
    parts += ticks_of([(tick, f"{tick * 100:g}") for tick in across], at, up[0])
    low, high = max(across[0], up[0]), min(across[-1], up[-1])
    if low < high:
        parts.append(f'<polyline class="diagonal" fill="none" points="{points_of([at(low, low), at(high, high)])}"/>')
    if line is not None:
        xs = [point[0][0] for one in series for point in one.points]
        first, last = max(min(xs), across[0]), min(max(xs), across[-1])
        steps = [first + (last - first) * step / 40 for step in range(41)]
        parts.append(f'<polyline class="fit" points="{points_of([at(x, line(x)) for x in steps])}"/>')
    for index, one in enumerate(series):
        for (x, left, right), (y, bottom, top) in one.points:
            for ends in (((left, y), (right, y)), ((x, bottom), (x, top))):
                (x1, y1), (x2, y2) = (at(x if a is None else a, y if b is None else b) for a, b in ends)
                thin = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="1"'
                parts.append(f'<line class="bar c{index % COLOURS}" {thin}/>')
            parts.append(marker(index % COLOURS, *at(x, y)))
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    parts.append(axis_title("in distribution"))
    turned = f'transform="rotate(-90 10 {middle:.0f})"'
    parts.append(f'<text class="axis" x="10" y="{middle:.0f}" text-anchor="middle" {turned}>shifted</text>')
    words = [
        f"{one.name}: " + ", ".join(f"{y * 100:.1f} shifted with {x * 100:.1f}" for (x, *_), (y, *_) in one.points)
        for one in series
    ]
    return framed(identity, title, "; ".join(words) + " in distribution", parts)


def _logit_ticks(values: Sequence[float | None]) -> list[float]:
    """Round shares from the last below all values to the first above."""
    known = [value for value in values if value is not None]
    below = max((tick for tick in _LOGIT_TICKS if tick < min(known)), default=_LOGIT_TICKS[0])
    above = min((tick for tick in _LOGIT_TICKS if tick > max(known)), default=_LOGIT_TICKS[-1])
    return [tick for tick in _LOGIT_TICKS if below <= tick <= above]


def _along_logits(share: float, ticks: Sequence[float]) -> float:
    """Where a share lies between the first and the last tick on a logit axis, 0 to 1."""
    low, high, here = (math.log(x / (1 - x)) for x in (ticks[0], ticks[-1], min(max(share, ticks[0]), ticks[-1])))
    return (here - low) / (high - low)


def _one_series(one: Series, colour: int, places: Mapping[float, float], end: float, at: At) -> list[str]:
    parts = []
    banded = [(x, low, high) for x, _, low, high in one.points if low is not None and high is not None]
    if len(banded) > 1:
        upper = [at(places[x], high) for x, _, high in banded]
        lower = [at(places[x], low) for x, low, _ in reversed(banded)]
        parts.append(f'<polygon class="band c{colour}" points="{points_of(upper + lower)}"/>')
    if one.level is not None:
        (left, y), (right, _) = at(0, one.level), at(end, one.level)
        parts.append(f'<line class="level c{colour}" x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}"/>')
    line = [at(places[x], value) for x, value, *_ in one.points]
    parts.append(f'<polyline class="line c{colour}" points="{points_of(line)}"/>')
    if one.full is not None:
        far = at(end, one.full)
        parts.append(f'<polyline class="line dotted c{colour}" points="{points_of([line[-1], far])}"/>')
        line.append(far)
    return parts + [marker(colour, x, y) for x, y in line]


def marker(colour: int, x: float, y: float) -> str:
    """The mark of a series: circle, square, triangle or diamond by its number."""
    shape = colour % 4
    if shape == 0:
        return f'<circle class="mark c{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    shapes: dict[int, list[tuple[float, float]]] = {
        1: [(-3, -3), (3, -3), (3, 3), (-3, 3)],
        2: [(0, -3.8), (3.6, 3), (-3.6, 3)],
        3: [(0, -4), (4, 0), (0, 4), (-4, 0)],
    }
    return f'<polygon class="mark c{colour}" points="{points_of([(x + dx, y + dy) for dx, dy in shapes[shape]])}"/>'


def key_svg(colour: int, *, dashed: bool = False) -> str:
    """The legend key of a series."""
    kind = "level" if dashed else "line"
    mark = "" if dashed else marker(colour, 13, 6)
    return (
        f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true" focusable="false">'
        f'<line class="{kind} c{colour}" x1="1" y1="6" x2="25" y2="6"/>{mark}</svg>'
    )


def reliability_svg(identity: str, title: str, bins: Sequence[Mapping[str, float]]) -> str:
    """Accuracy against confidence, one point per bin, with the gap to the diagonal."""

    def at(x: float, value: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - RIGHT) * x, TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)

    parts = [*grid(0.0, 1.0, 0.2), *ticks_of([(tick / 4, f"{tick * 25}") for tick in range(5)], at, 0.0)]
    (x1, y1), (x2, y2) = at(0, 0), at(1, 1)
    parts.append(f'<line class="diagonal" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
    for one in bins:
        (x, y), (_, ideal) = at(one["confidence"], one["accuracy"]), at(one["confidence"], one["confidence"])
        parts.append(f'<line class="gap" x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{ideal:.1f}"/>')
    parts.append(
        f'<polyline class="line c0" points="{points_of([at(o["confidence"], o["accuracy"]) for o in bins])}"/>'
    )
    parts += [marker(0, *at(one["confidence"], one["accuracy"])) for one in bins]
    parts.append(axis_title("confidence"))
    points = "; ".join(f"confidence {o['confidence'] * 100:.0f}, accuracy {o['accuracy'] * 100:.0f}" for o in bins)
    return framed(identity, title, f"Accuracy in {len(bins)} bins of equal size: {points}", parts)


def framed(
    identity: str, title: str, description: str, parts: Sequence[str], width: float = WIDTH, height: float = HEIGHT
) -> str:
    """A chart of these elements, with its title and description for screen readers."""
    name = html(identity)
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{html(title)}</title><desc id="{name}-d">{html(description)}</desc>'
        + "".join(parts)
        + "</svg>"
    )


def _described(one: Series) -> str:
    points = ", ".join(f"{value * 100:.1f} with {x:g}" for x, value, *_ in one.points)
    level = "" if one.level is None else f", zero-shot {one.level * 100:.1f}"
    return f"{one.name}: {points}{level}"


def _axis(values: Sequence[float]) -> tuple[float, float, float]:
    """Lowest and highest value shown, and the step between lines: round numbers, at most six steps."""
    low, high = min(values), max(values)
    for step in (0.02, 0.05, 0.1, 0.2):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= 6:
            break
    last = max(last, first + 2)
    if last * step > 1:
        first, last = first - (last - round(1 / step)), round(1 / step)
    return max(0, first) * step, last * step, step


def grid(low: float, high: float, step: float) -> list[str]:
    """Horizontal lines with their values times 100."""
    parts = []
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value * 100:.0f}</text>')
    return parts


def ticks_of(ticks: Sequence[tuple[float, str]], at: At, low: float) -> list[str]:
    """The labels of the horizontal axis, as far as there is room."""
    parts = []
    previous = -99.0
    for x, label in ticks:
        left, y = at(x, low)
        if left - previous >= 18:
            parts.append(
                f'<text class="tick" x="{left:.1f}" y="{y + 15:.1f}" text-anchor="middle">{html(label)}</text>'
            )
            previous = left
    return parts


def axis_title(words: str) -> str:
    """The title of the horizontal axis."""
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    return f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 5}" text-anchor="middle">{html(words)}</text>'


def points_of(points: Sequence[tuple[float, float]]) -> str:
    """Points as the attribute of a polyline or polygon."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
