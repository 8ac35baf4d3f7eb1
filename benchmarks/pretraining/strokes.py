"""Synthetic handwriting: digits drawn as jittered spline strokes in several topologies.

Coordinates are (x, y) in a unit box, y downwards. A glyph is a list of strokes, a stroke a list of control points; a
point with a third element is a corner, at which the spline breaks. `sample_digit` draws one writer's version as points
along the pen's path; `distance_fields` turns those paths into distance-to-path maps, so that the pen's width can be
chosen later.
"""

from __future__ import annotations

import math

import numpy as np
import torch

Point = tuple[float, ...]
Stroke = list[Point]

FIELD = 40  # pixels a side of a stored distance field
MARGIN = 0.2  # the field spans [-MARGIN, 1 + MARGIN] of the unit box
POINTS = 128  # points kept along a pen path


def _loop(cx: float, cy: float, rx: float, ry: float, start: float, sweep: float, n: int = 8) -> Stroke:
    """Points on an ellipse from `start` degrees (0 = right, 90 = down) over `sweep` degrees."""
    angles = np.deg2rad(start + np.linspace(0, sweep, n))
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def digit_strokes(digit: int, rng: np.random.Generator) -> list[Stroke]:
    """Control points of one randomly chosen topology of `digit`, before jitter."""
    u = rng.uniform
    pick = rng.random()
    if digit == 0:
        rx = u(0.2, 0.5)
        sweep = u(335, 400) * (1 if rng.random() < 0.3 else -1)
        loop = _loop(0.5, 0.5, rx, 0.5, -90 + u(-50, 60), sweep, 10)
        if pick < 0.08:  # a hook where the pen leaves
            loop.append((loop[-1][0] + u(-0.1, 0.1), loop[-1][1] + u(0.05, 0.2)))
        return [loop]
    if digit == 1:
        top = u(0.4, 0.65)
        base = top + u(-0.15, 0.1)
        stem: Stroke = [(top, 0.0, 1), (base, 1.0)]
        if pick < 0.22:
            return [stem]
        flag: Stroke = [(top - u(0.12, 0.5), u(0.12, 0.5)), (top, 0.0, 1), (base, 1.0)]
        if rng.random() < 0.3:
            flag.insert(1, (top - u(0.08, 0.2), u(0.1, 0.2)))
        half = u(0.12, 0.4)
        foot: Stroke = [(base - half, 1.0 + u(-0.04, 0.02)), (base + half * u(0.7, 1.2), 1.0 + u(-0.04, 0.02))]
        if pick < 0.64:
            return [flag]
        return [flag, foot] if pick < 0.93 else [stem, foot]
    if digit == 2:
        head: Stroke = [
            (u(0.05, 0.2), u(0.12, 0.32)),
            (0.45, 0.0),
            (u(0.75, 0.92), u(0.2, 0.32)),
            (u(0.5, 0.65), u(0.55, 0.68)),
        ]
        if pick < 0.5:
            return [[*head, (u(0.0, 0.1), u(0.94, 1.0), 1), (u(0.85, 1.0), u(0.94, 1.03))]]
        if pick < 0.68:
            return [
                [*head, (u(0.0, 0.15), 0.97, 1), (0.4, u(0.86, 0.95)), (u(0.7, 0.8), 1.0), (u(0.9, 1.0), u(0.88, 0.95))]
            ]
        if pick < 0.9:
            low = u(0.88, 1.0)
            return [
                [
                    *head,
                    (0.25, low),
                    (u(0.02, 0.12), u(0.82, 0.92)),
                    (0.22, u(0.74, 0.82)),
                    (0.5, 0.92),
                    (u(0.85, 1.0), u(0.92, 1.03)),
                ]
            ]
        return [[(0.1, 0.06), (u(0.8, 0.9), 0.03, 1), (u(0.05, 0.15), 0.97, 1), (0.95, 0.97)]]
    if digit == 3:
        tail: Stroke = [(u(0.82, 0.95), u(0.68, 0.78)), (0.5, 1.0), (u(0.0, 0.12), u(0.82, 0.95))]
        mid = (u(0.3, 0.5), u(0.42, 0.5))
        if pick < 0.5:
            return [[(u(0.05, 0.15), u(0.08, 0.2)), (0.48, 0.0), (u(0.78, 0.9), u(0.18, 0.28)), (*mid, 1), *tail]]
        if pick < 0.68:
            return [[(u(0.02, 0.15), u(0.0, 0.06)), (u(0.8, 0.92), u(0.0, 0.05), 1), (*mid, 1), *tail]]
        if pick < 0.85:
            curl = [(0.6, 0.42), (u(0.35, 0.45), 0.47), (0.5, 0.52)]
            return [[(0.1, 0.12), (0.48, 0.0), (0.8, 0.2), *curl, *tail]]
        return [[(0.08, 0.1), (0.5, 0.0), (0.85, 0.2), (u(0.6, 0.7), 0.46), (0.75, 0.55), *tail]]
    if digit == 4:
        y = u(0.5, 0.72)
        if pick < 0.3:  # closed
            x = u(0.58, 0.75)
            return [[(x - u(-0.02, 0.05), 1.0), (x, 0.0, 1), (u(0.0, 0.1), y, 1), (u(0.88, 1.0), y + u(-0.05, 0.03))]]
        if pick < 0.66:  # open, straight
            x = u(0.55, 0.85)
            left = u(0.05, 0.4)
            right = (u(0.85, 1.0), y + u(-0.08, 0.03))
            return [[(left, 0.0), (u(0.0, 0.15), y, 1), right], [(x, u(0.0, 0.45)), (x - u(-0.02, 0.15), 1.0)]]
        if pick < 0.9:  # open, curved like a y
            x = u(0.75, 0.95)
            cup = [(u(0.05, 0.2), u(0.0, 0.1)), (u(0.02, 0.12), 0.38), (0.4, u(0.5, 0.6)), (x, u(0.38, 0.5))]
            return [cup, [(x, u(0.0, 0.1)), (x - u(-0.03, 0.25), 1.0)]]
        x = u(0.5, 0.7)
        return [[(u(0.3, 0.5), 0.0), (0.05, y, 1), (0.95, y - 0.03)], [(x, y - u(0.15, 0.3)), (x - u(0, 0.08), 1.0)]]
    if digit == 5:
        belly: Stroke = [
            (u(0.5, 0.6), u(0.34, 0.44)),
            (u(0.82, 0.95), u(0.62, 0.72)),
            (0.5, 1.0),
            (u(0.0, 0.12), u(0.82, 0.95)),
        ]
        x0, x1 = u(0.12, 0.3), u(0.08, 0.22)
        if pick < 0.42:
            return [[(u(0.8, 1.0), u(-0.03, 0.04)), (x0, 0.02, 1), (x1, u(0.4, 0.5), 1), *belly]]
        if pick < 0.78:  # the top is a stroke of its own
            gap = u(-0.02, 0.07)
            start = (x0, u(0.02, 0.1))
            return [[start, (x1, u(0.4, 0.5), 1), *belly], [(x0 + gap, u(0.0, 0.06)), (u(0.8, 1.05), u(-0.06, 0.05))]]
        return [
            [
                (u(0.75, 0.9), 0.02),
                (0.35, 0.04),
                (u(0.15, 0.25), 0.3),
                (0.6, 0.48),
                (u(0.8, 0.92), 0.74),
                (0.45, 1.0),
                (0.05, 0.92),
            ]
        ]
    if digit == 6:
        ry = u(0.17, 0.3)
        cy = 1.0 - ry
        rx = u(0.28, 0.45)
        cx = 0.5
        start_x = u(0.45, 0.95)
        body = _loop(cx, cy, rx, ry, 180, -u(330, 400), 8)
        stem6: Stroke = [(start_x, 0.0), (cx - rx * u(0.3, 0.8) + 0.05, u(0.28, 0.4))]
        if pick < 0.2:
            stem6.insert(0, (start_x + 0.12, u(0.05, 0.14)))
        if pick > 0.85:  # a straight stem with a small bowl
            stem6 = [(u(0.2, 0.4), 0.0), (u(0.1, 0.2), 0.4)]
        return [[*stem6, *body]]
    if digit == 7:
        y = u(0.0, 0.08)
        corner = (u(0.82, 1.0), u(0.0, 0.08), 1)
        foot7 = u(0.15, 0.65)
        top7: Stroke = [(u(0.0, 0.15), y), corner]
        if rng.random() < 0.25:
            top7 = [(u(0.0, 0.1), u(0.14, 0.28)), (u(0.02, 0.12), y, 1), corner]
        elif rng.random() < 0.2:
            top7 = [(0.02, u(0.06, 0.16)), (0.3, 0.0), (0.6, u(0.05, 0.1)), corner]
        down: Stroke = [(foot7 + (corner[0] - foot7) * u(0.2, 0.6), u(0.4, 0.6)), (foot7, 1.0)]
        if rng.random() < 0.5:
            down = [(foot7, 1.0)]
        strokes = [[*top7, *down]]
        if pick < 0.5:
            c = (foot7 + corner[0]) / 2
            h = u(0.15, 0.38)
            tilt = u(-0.1, 0.06)
            yb = u(0.42, 0.6)
            strokes.append([(c - h, yb - tilt), (c + h * u(0.7, 1.1), yb + tilt)])
        return strokes
    if digit == 8:
        ry = u(0.2, 0.28)
        r1, r2 = u(0.2, 0.4), u(0.26, 0.46)
        if pick < 0.3:  # two circles
            return [
                _loop(0.5 + u(-0.06, 0.06), ry, r1, ry, u(0, 360), u(340, 390)),
                _loop(0.5, 0.5 + ry, r2, 0.5 - ry, -90 + u(-40, 40), u(340, 390)),
            ]
        mid8 = 2 * ry
        s = u(-0.05, 0.12)
        eight: Stroke = [
            (0.5 + r1 * 0.85, ry * u(0.3, 0.8)),
            (0.5, 0.0),
            (0.5 - r1, ry),
            (0.5 + s, mid8),
            (0.5 + r2, (1 + mid8) / 2 + 0.02),
            (0.5, 1.0),
            (0.5 - r2, (1 + mid8) / 2 + 0.04),
            (0.5 - s, mid8 + 0.03),
            (0.5 + r1, ry * u(0.8, 1.2)),
            (0.5 + r1 * u(0.6, 1.1), ry * u(0.1, 0.7)),
        ]
        if pick > 0.85:  # drawn from the waist
            eight = eight[3:8] + eight[8:9] + [(0.5, 0.0), (0.5 - r1, ry), (0.5 + s, mid8)]
        return [eight]
    ry = u(0.17, 0.3)
    rx = u(0.26, 0.45)
    right9 = 0.5 + rx
    bowl = _loop(0.5, ry, rx, ry, u(-60, 0), -u(300, 375), 8)
    if pick < 0.35:  # straight tail
        return [[*bowl, (right9, ry * u(0.5, 1.0), 1), (right9 - u(-0.02, 0.2), 1.0)]]
    if pick < 0.65:  # curled tail
        curl9 = [(right9, ry), (right9 - u(0, 0.06), u(0.65, 0.8)), (0.45, 1.0), (u(0.05, 0.2), u(0.82, 0.95))]
        return [[*bowl, *curl9]]
    if pick < 0.85:  # slanting or bent tail
        return [[*bowl, (right9, ry * u(0.7, 1.2)), (right9 - u(0.05, 0.2), 0.65), (u(0.25, 0.55), 1.0)]]
    stem9 = [(right9, u(0.0, 0.15)), (right9 - u(-0.02, 0.12), 1.0)]
    return [_loop(0.5, ry, rx, ry, u(-60, 30), -u(330, 375), 8), stem9]


def _spline(points: np.ndarray, per_segment: int = 12) -> np.ndarray:
    """Catmull-Rom curve through `points` [P, 2]; [M, 2]."""
    if len(points) == 2:
        return np.linspace(points[0], points[1], per_segment * 2)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, per_segment, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


def sample_digit(digit: int, rng: np.random.Generator) -> np.ndarray:
    """One written digit as points along its strokes; [POINTS, 2] float32 inside the unit box, aspect as written."""
    jitter = rng.uniform(0.005, 0.055)
    pieces: list[np.ndarray] = []
    for stroke in digit_strokes(digit, rng):
        moved = np.array([p[:2] for p in stroke]) + rng.normal(0, jitter, (len(stroke), 2))
        start = 0
        for i, p in enumerate(stroke):
            if i > start and (len(p) > 2 or i == len(stroke) - 1):
                pieces.append(_spline(moved[start : i + 1]))
                start = i
    path = np.concatenate(pieces)
    # a smooth warp of the whole, then slant and a slight turn
    phase = rng.uniform(0, 2 * np.pi, 4)
    amp = rng.uniform(0, 0.035, 4)
    x, y = path[:, 0], path[:, 1]
    x = x + amp[0] * np.sin(3 * y + phase[0]) + amp[1] * np.sin(5 * y + 3 * x + phase[1])
    y = y + amp[2] * np.sin(3 * x + phase[2]) + amp[3] * np.sin(5 * x + 3 * y + phase[3])
    x = x * rng.uniform(0.6, 1.15) - rng.normal(0.05, 0.2) * (y - 0.5)
    turn = rng.normal(0, 0.1)
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    path = np.stack([x, y], 1)
    low, high = path.min(0), path.max(0)
    path = (path - (low + high) / 2) / max((high - low).max(), 1e-6) + 0.5
    keep = np.linspace(0, len(path) - 1, POINTS).round().astype(int)
    return path[keep].astype(np.float32)


def distance_fields(paths: torch.Tensor, chunk: int = 512) -> torch.Tensor:
    """Distance from each pixel to the path: [N, POINTS, 2] -> [N, FIELD, FIELD] uint8, see `encode_distance`."""
    axis = (torch.arange(FIELD) + 0.5) / FIELD * (1 + 2 * MARGIN) - MARGIN
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], -1).reshape(-1, 2)
    out = torch.empty(len(paths), FIELD, FIELD, dtype=torch.uint8)
    for i in range(0, len(paths), chunk):
        path = paths[i : i + chunk]
        squared = torch.baddbmm(
            (path**2).sum(2)[:, None], grid.expand(len(path), -1, -1), path.transpose(1, 2), alpha=-2
        )
        distance = (squared.amin(2) + (grid**2).sum(1)).clamp(min=0).sqrt()
        out[i : i + chunk] = encode_distance(distance).view(-1, FIELD, FIELD)
    return out


def encode_distance(distance: torch.Tensor) -> torch.Tensor:
    """Distances in unit-box units, clipped to [-0.5, 0.5], as uint8."""
    return (distance * 254 + 128).round().clamp(0, 255).to(torch.uint8)
