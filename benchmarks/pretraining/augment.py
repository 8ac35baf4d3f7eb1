"""From distance banks to batches: warps, pens, low resolution, colours, composition; everything vectorised over the
batch.

Images are drawn on a canvas of `CANVAS` px (or on an 8 x 8 one, see `Augmenter.bitmap`) and reach the model's size by
the antialiased bicubic filter that Pillow, and so the image processor, uses. `compose.py` makes whole images of these
parts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.pretraining import captions as c
from benchmarks.pretraining.strokes import MARGIN

CANVAS = 48
_RGB = np.array(c.RGB, dtype=np.float32) / 255
FAR = np.linalg.norm(_RGB[:, None] - _RGB[None], axis=2) > 0.4  # colour pairs that can be told apart
_OPEN_PAIR = np.array([[(s, k) not in c.HELD_OUT for k in range(c.N_SHAPE_COLOURS)] for s in range(len(c.SHAPES))])


def pillow_bicubic(images: Tensor, size: int) -> Tensor:
    """Pillow's bicubic resize, which rounds and clips after each of its two passes.

    Args: images [N, C, H, W] in 0..255. Returns: [N, C, size, size], whole numbers in 0..255.
    """
    if images.shape[-1] != size:
        images = (
            F.interpolate(images, size=(images.shape[-2], size), mode="bicubic", antialias=True).round().clamp(0, 255)
        )
    if images.shape[-2] != size:
        images = F.interpolate(images, size=(size, size), mode="bicubic", antialias=True).round().clamp(0, 255)
    return images


class Augmenter:
    """Banks and the means of drawing from them. `held_out` takes glyphs of the held-out fonts and the validation hands
    instead of the training ones; `pairs` is "open" (training) or "held" (only the colour and shape pairs that training
    never shows)."""

    def __init__(self, cache: Path, seed: int, size: int, held_out: bool = False, pairs: str = "open") -> None:
        self.rng = np.random.default_rng(seed)
        # how varied the shapes are; the data sets are drawn with wider values than the training images
        self.equal_area = 0.67  # share of layouts whose painted area does not depend on the count
        self.spread = 0.15  # how much the sizes within a layout differ
        self.gap = (1.12, 0.06)  # least distance of two things: so many times the sum of their sides, plus this
        self.mixed = 0.3  # share of counts whose things differ in shape or colour
        self.sides = (0.2, 0.85)  # of a single shape, as a share of the canvas
        self.tint_sd = 0.04
        self.turn_sd = 0.16
        self.gen = torch.Generator().manual_seed(seed)
        self.size = size
        self.hands = np.load(cache / ("hands_val.npy" if held_out else "hands.npy"), mmap_mode="r")
        self.shapes = np.load(cache / "shapes.npy")
        fonts = np.load(cache / "fonts.npz")
        keep = fonts["held_out"] == held_out
        self.glyphs, self.chars, self.glyph_hand = fonts["field"][keep], fonts["char"][keep], fonts["hand"][keep]
        weight = fonts["weight"][keep] * np.where(self.glyph_hand == 1, 3.0, 1.0)
        self.by_digit = [self._pool(self.chars == d, weight) for d in range(10)]
        self.by_letter = [[self._pool(self.chars == 10 + 26 * low + i, weight) for low in (0, 1)] for i in range(26)]
        self.pairs = _OPEN_PAIR if pairs == "open" else ~_OPEN_PAIR
        self.layouts = {n: [self.layout(n) for _ in range(1200)] for n in range(1, 6)}

    # -- sampling ---
    @staticmethod
    def _pool(mask: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = np.flatnonzero(mask)
        return index, np.cumsum(weight[index]) / weight[index].sum()

    def draw(self, pool: tuple[np.ndarray, np.ndarray]) -> int:
        """One index from a pool, by its weights."""
        return int(pool[0][min(np.searchsorted(pool[1], self.rng.random()), len(pool[0]) - 1)])

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform numbers of this shape."""
        return torch.rand(*shape, generator=self.gen) * (high - low) + low

    def normal(self, sd: float, *shape: int) -> Tensor:
        """Normal numbers of this shape, mean 0."""
        return torch.randn(*shape, generator=self.gen) * sd

    def layout(self, n: int) -> np.ndarray:
        """Centres and sizes of `n` things that do not touch; [n, 3] (x, y in -1..1, side as a share of the canvas).

        `equal_area` of the layouts fix the painted area and divide it among the things, so that the area does not give
        the count away.
        """
        while True:
            if self.rng.random() < self.equal_area:
                even = np.full(n, np.sqrt(self.rng.uniform(0.11, 0.32) / n))
                sides = even * self.rng.uniform(1 - self.spread, 1 + self.spread, n)
            else:
                sides = self.rng.uniform(0.15, 0.36) * self.rng.uniform(0.8, 1.2, n)
            points: list[np.ndarray] = []
            for side in sides:
                for _ in range(30):
                    at = self.rng.uniform(-0.97 + side, 0.97 - side, 2)
                    if all(np.hypot(*(at - p[:2])) > self.gap[0] * (side + p[2]) + self.gap[1] for p in points):
                        points.append(np.array([*at, side]))
                        break
                else:
                    break
            if len(points) == n:
                return np.array(points)

    # -- geometry ---
    def warp(
        self,
        fields: np.ndarray,
        pixels: int,
        side: Tensor,
        aspect: Tensor,
        turn: Tensor,
        slant: Tensor,
        at: Tensor,
        elastic: float,
    ) -> Tensor:
        """Distance maps on a canvas.

        [N, FIELD, FIELD] uint8 -> [N, pixels, pixels] in the item's own units (its longer side = 1).
        """
        n = len(fields)
        axis = (torch.arange(pixels) + 0.5) / pixels * 2 - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        dx, dy = x[None] - at[:, 0, None, None], y[None] - at[:, 1, None, None]
        cos, sin = torch.cos(turn)[:, None, None], torch.sin(turn)[:, None, None]
        unit = (1 + 2 * MARGIN) * side[:, None, None]
        u = (cos * dx + sin * dy) / unit / aspect[:, None, None]
        v = (-sin * dx + cos * dy) / unit
        grid = torch.stack([u + slant[:, None, None] * v, v], -1)
        if elastic > 0:
            strength = self.uniform(0, elastic, n, 1, 1, 1)
            flow = F.interpolate(
                self.normal(1.0, n, 2, 4, 4) * strength, size=(pixels, pixels), mode="bilinear", align_corners=True
            )
            grid = grid + flow.permute(0, 2, 3, 1)
        field = (torch.from_numpy(np.ascontiguousarray(fields)).float()[:, None] - 128) / 254
        return F.grid_sample(field, grid, padding_mode="border", align_corners=False)[:, 0]

    @staticmethod
    def ink(distance: Tensor, pen: Tensor, scale: Tensor) -> Tensor:
        """Coverage in 0..1, antialiased over one pixel; `scale` [N] is the item's longer side in pixels."""
        return ((pen[:, None, None] - distance) * scale[:, None, None] + 0.5).clamp(0, 1)

    def bitmap(self, fields: np.ndarray, pen: Tensor) -> list[Tensor]:
        """Glyphs as the UCI documentation describes its digits: a tight box filled, 32 x 32, two levels, counted in 4 x
        4 blocks.

        Returns N maps in 0..1, most of them 8 x 8, some of a finer or a softer kind.
        """
        n, r = len(fields), 44
        zero = torch.zeros(n)
        d = self.warp(
            fields,
            r,
            zero + 0.78,
            self.uniform(0.75, 1.25, n),
            self.normal(0.09, n),
            self.normal(0.13, n),
            torch.zeros(n, 2),
            0.11,
        )
        ink = self.ink(d, pen, zero + 0.78 * r)
        cols, rows = ink.amax(1) > 0.5, ink.amax(2) > 0.5
        left, right = cols.int().argmax(1), r - cols.flip(1).int().argmax(1)
        top, bottom = rows.int().argmax(1), r - rows.flip(1).int().argmax(1)
        width, height = (right - left).clamp(min=1).float(), (bottom - top).clamp(min=1).float()
        natural = 32 * width / height
        pick = torch.rand(n, generator=self.gen)
        target = torch.where(
            pick < 0.5, (natural * self.uniform(0.85, 1.5, n)).clamp(3, 24), natural * self.uniform(0.9, 1.1, n)
        )
        target = torch.where((pick > 0.75) & (natural > 9), self.uniform(17, 25, n), target)
        tall = torch.where(torch.rand(n, generator=self.gen) < 0.85, zero + 32, self.uniform(24, 32, n))
        over = (target / 32).clamp(min=1)
        target, tall = target / over, tall / over
        cx = 16 + self.normal(1.0, n).clamp(-3, 3)
        cy = 16 + (self.uniform(-0.5, 0.5, n) * (32 - tall))
        axis = torch.arange(32) + 0.5
        sx = left[:, None] + ((axis[None] - cx[:, None]) / target[:, None] + 0.5) * width[:, None]
        sy = top[:, None] + ((axis[None] - cy[:, None]) / tall[:, None] + 0.5) * height[:, None]
        grid = torch.stack(
            [(sx / r * 2 - 1)[:, None, :].expand(n, 32, 32), (sy / r * 2 - 1)[:, :, None].expand(n, 32, 32)], -1
        )
        big = F.grid_sample(ink[:, None], grid, align_corners=False)[:, 0]
        rough = big + self.normal(1.0, n, 32, 32) * self.uniform(0, 0.22, n, 1, 1)
        binary = (rough > 0.5).float()
        kind = self.rng.random(n)
        out = []
        for i in range(n):
            if kind[i] < 0.75:
                out.append(F.avg_pool2d(binary[i][None], 4)[0])
            elif kind[i] < 0.85:
                out.append(F.adaptive_avg_pool2d(binary[i][None], int(self.rng.integers(9, 17)))[0])
            else:  # framed like the better known 28 px digits
                side = int(self.rng.integers(18, 25))
                small = F.interpolate(big[i][None, None], size=(side, side), mode="bilinear", antialias=True)[0, 0]
                out.append(F.pad(small, [2 + (24 - side) // 2] * 4))
        return out

    # -- colour and finish ---
    def colours(self, n: int, plain: float, inverse: float) -> tuple[Tensor, Tensor, np.ndarray]:
        """Ink and paper for glyphs.

        [n, 3], [n, 3], names [n, 2]. `plain` of them white on black, `inverse` black on white.
        """
        pick = self.rng.random(n)
        names = np.empty((n, 2), dtype=np.int64)
        rgb = np.empty((n, 2, 3), dtype=np.float32)
        for i in range(n):
            if pick[i] < plain:
                names[i] = (9, 8)
                high, low = self.rng.uniform(0.9, 1.0), self.rng.uniform(0, 0.06) * (self.rng.random() < 0.4)
                rgb[i] = [[high] * 3, [low] * 3]
            elif pick[i] < plain + inverse:
                names[i] = (8, 9)
                rgb[i] = [[self.rng.uniform(0, 0.15)] * 3, [self.rng.uniform(0.88, 1.0)] * 3]
            else:
                names[i] = self.two_colours(len(c.COLOURS))
                rgb[i] = self.tint(names[i])
        return torch.from_numpy(rgb[:, 0]), torch.from_numpy(rgb[:, 1]), names

    def two_colours(self, inks: int) -> tuple[int, int]:
        """Indices of an ink, among the first `inks` colours, and a paper that it stands out from."""
        while True:
            ink, paper = int(self.rng.integers(inks)), int(self.rng.integers(len(c.COLOURS)))
            if self.rng.random() < 0.4:
                paper = 8 + int(self.rng.integers(2))
            if FAR[ink, paper]:
                return ink, paper

    def tint(self, names: np.ndarray | list[int]) -> np.ndarray:
        """Shades of the named colours; [N, 3] float32 in 0..1."""
        names = np.asarray(names)
        return np.clip(_RGB[names] + self.rng.normal(0, self.tint_sd, (len(names), 3)), 0, 1).astype(np.float32)

    def finish(self, images: Tensor) -> Tensor:
        """Light, noise and blur on [N, 3, H, W] in 0..1."""
        n, _, h, w = images.shape
        ramp = torch.linspace(-1, 1, h)[:, None] * self.normal(0.1, n, 1, 1, 1) + torch.linspace(
            -1, 1, w
        ) * self.normal(0.1, n, 1, 1, 1)
        images = images * (1 + ramp * (torch.rand(n, 1, 1, 1, generator=self.gen) < 0.3))
        soft = F.avg_pool2d(F.pad(images, [1, 1, 1, 1], mode="replicate"), 3, 1)
        images = torch.where(torch.rand(n, 1, 1, 1, generator=self.gen) < 0.2, soft, images)
        level = self.uniform(0, 0.07, n, 1, 1, 1) * (torch.rand(n, 1, 1, 1, generator=self.gen) < 0.4)
        return (images + self.normal(1.0, n, 1, h, w) * level).clamp(0, 1)

    def resize(self, images: Tensor) -> Tensor:
        """To the model's size; [N, 3, H, W] in 0..1 -> [N, 3, size, size] uint8."""
        return pillow_bicubic((images * 255).round(), self.size).to(torch.uint8)
