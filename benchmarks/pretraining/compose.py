"""Whole images: glyphs, shapes, several shapes, pairs and textures, each with the facts that `captions.py` puts in
words.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.pretraining import captions as c
from benchmarks.pretraining.augment import CANVAS, FAR, Augmenter
from benchmarks.pretraining.textures import texture

SHARE = {
    "digit": 0.42,
    "letter": 0.10,
    "shape": 0.17,
    "count": 0.18,
    "texture": 0.04,
    "pair": 0.09,
}  # of a training batch


class Renderer(Augmenter):
    """Draws labelled images and mixed batches."""

    def _glyphs(self, n: int, digits: bool) -> tuple[np.ndarray, Tensor, np.ndarray]:
        """Distance fields [n, FIELD, FIELD] uint8, pens [n], facts [n, F] of random digits or letters."""
        facts = np.full((n, len(c.FIELDS)), c.UNNAMED, dtype=np.int64)
        facts[:, c.KIND] = c.DIGIT if digits else c.LETTER
        facts[:, c.COUNT] = 1
        fields, written = [], np.zeros(n, dtype=bool)
        labels = self.rng.integers(10 if digits else 26, size=n)
        for i, label in enumerate(labels):
            facts[i, c.LABEL] = label
            if digits and self.rng.random() < 0.72:
                fields.append(self.hands[label, self.rng.integers(self.hands.shape[1])])
                facts[i, c.HAND], written[i] = 1, True
                continue
            low = int(self.rng.random() < 0.5)
            glyph = self.draw(self.by_digit[label] if digits else self.by_letter[label][low])
            fields.append(self.glyphs[glyph])
            facts[i, c.HAND] = self.glyph_hand[glyph]
            if not digits and c.LETTERS[label] in c.CASED:
                facts[i, c.CASE] = 1 - low
        stack = np.stack(fields)
        pen = torch.where(torch.from_numpy(written), self.uniform(0.03, 0.105, n), self.uniform(-0.008, 0.03, n))
        return stack, pen, facts

    def glyph_canvases(self, n: int, digits: bool) -> tuple[Tensor, np.ndarray]:
        """Glyphs in named colours: images [n, 3, CANVAS, CANVAS] in 0..1, facts [n, F]."""
        stack, pen, facts = self._glyphs(n, digits)
        full, facts[:, c.COLOUR], facts[:, c.BACKGROUND] = self._on_canvas(stack, pen + 0.012, 0.1, 0.1)
        return full, facts

    def glyph_images(self, n: int, digits: bool, route: str = "mixed") -> tuple[Tensor, np.ndarray]:
        """Digits or letters: images [n, 3, size, size] uint8, facts [n, F].

        `route`: mixed, bitmap (the UCI-like one) or canvas.
        """
        stack, pen, facts = self._glyphs(n, digits)
        share = 0.62 if digits else 0.3
        to_bitmap = np.full(n, route == "bitmap") if route != "mixed" else self.rng.random(n) < share
        images = torch.empty(n, 3, self.size, self.size, dtype=torch.uint8)
        index = np.flatnonzero(to_bitmap)
        if len(index):
            ink, paper, names = self.colours(len(index), 0.72, 0.12)
            facts[index, c.COLOUR], facts[index, c.BACKGROUND] = names.T
            for k, cover in enumerate(self.bitmap(stack[index], pen[index] + 0.012)):
                image = paper[k][:, None, None] + cover * (ink[k] - paper[k])[:, None, None]
                images[index[k]] = self.resize(image[None])[0]
        index = np.flatnonzero(~to_bitmap)
        if len(index):
            full, facts[index, c.COLOUR], facts[index, c.BACKGROUND] = self._on_canvas(
                stack[index], pen[index], 0.25, 0.2
            )
            images[index] = self._shrink(full)
        return images, facts

    def _on_canvas(
        self, fields: np.ndarray, pen: Tensor, plain: float, inverse: float
    ) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Glyphs in colour anywhere on a canvas.

        Images [m, 3, CANVAS, CANVAS] in 0..1, ink names [m], paper names [m].
        """
        m = len(fields)
        ink, paper, names = self.colours(m, plain, inverse)
        side = self.uniform(0.5, 0.95, m)
        at = (torch.rand(m, 2, generator=self.gen) * 2 - 1) * (1 - side)[:, None]
        aspect, turn, slant = self.uniform(0.7, 1.25, m), self.normal(0.12, m), self.normal(0.15, m)
        d = self.warp(fields, CANVAS, side, aspect, turn, slant, at, 0.09)
        cover = self.ink(d, pen, side * CANVAS)[:, None]
        full = self.finish(paper[:, :, None, None] + cover * (ink - paper)[:, :, None, None])
        return full, names[:, 0], names[:, 1]

    def _shrink(self, full: Tensor) -> Tensor:
        """One image in four loses resolution on the way to the model's size."""
        out = self.resize(full)
        for i in np.flatnonzero(self.rng.random(len(full)) < 0.25):
            pixels = int(self.rng.integers(10, 22))
            out[i] = self.resize(F.interpolate(full[i][None], size=(pixels, pixels), mode="area"))[0]
        return out

    def _things(self, paper: Tensor, owner: np.ndarray, shape: np.ndarray, at: np.ndarray, ink: Tensor) -> Tensor:
        """Shapes on backgrounds.

        Paper [n, 3]; for each of T things its image, shape, (x, y, side) [T, 3] and ink [T, 3].
        """
        total = len(owner)
        fields = self.shapes[shape, self.rng.integers(self.shapes.shape[1], size=total)]
        flip = (shape == c.SHAPES.index("arrow")) & (self.rng.random(total) < 0.5)
        fields = np.where(flip[:, None, None], fields[:, :, ::-1], fields)
        place = torch.from_numpy(at.astype(np.float32))
        side = place[:, 2]
        turn = self.normal(self.turn_sd, total)
        d = self.warp(
            fields, CANVAS, side, self.uniform(0.88, 1.12, total), turn, torch.zeros(total), place[:, :2], 0.025
        )
        cover = self.ink(d, torch.zeros(total), side * CANVAS)[:, None]
        images = paper[:, :, None, None].repeat(1, 1, CANVAS, CANVAS)
        rank = np.array([np.sum(owner[:i] == owner[i]) for i in range(total)])
        for k in range(int(rank.max()) + 1):
            index = np.flatnonzero(rank == k)
            host = owner[index]
            images[host] = images[host] * (1 - cover[index]) + ink[index][:, :, None, None] * cover[index]
        return self.finish(images)

    def _shape_colour(self, shape: int, paper: int) -> int:
        choice = np.flatnonzero(self.pairs[shape] & FAR[: c.N_SHAPE_COLOURS, paper])
        return int(self.rng.choice(choice)) if len(choice) else -1

    def _paper(self, shape: int) -> int:
        while True:
            paper = (
                8 + int(self.rng.integers(3)) if self.rng.random() < 0.45 else int(self.rng.integers(len(c.COLOURS)))
            )
            if self._shape_colour(shape, paper) >= 0:
                return paper

    def shape_images(self, n: int, counts: bool, count: int | None = None) -> tuple[Tensor, np.ndarray]:
        """One shape (`counts` false) or 1 to 5 of them; images [n, 3, size, size] uint8, facts [n, F]."""
        full, facts = self.shape_canvases(n, counts, count)
        return (self.resize(full) if counts else self._shrink(full)), facts

    def shape_canvases(self, n: int, counts: bool, count: int | None = None) -> tuple[Tensor, np.ndarray]:
        """As `shape_images`, before the resize: [n, 3, CANVAS, CANVAS] in 0..1."""
        facts = np.full((n, len(c.FIELDS)), c.UNNAMED, dtype=np.int64)
        facts[:, c.KIND] = c.SHAPE
        owner, shapes, places, inks, papers = [], [], [], [], []
        for i in range(n):
            shape = int(self.rng.integers(len(c.SHAPES)))
            paper = self._paper(shape)
            colour = self._shape_colour(shape, paper)
            if counts:
                k = count or int(self.rng.integers(1, 6))
                layout = self.layouts[k][self.rng.integers(len(self.layouts[k]))]
            else:
                k = 1
                side = self.rng.uniform(*self.sides)
                layout = np.array([[*self.rng.uniform(-0.97 + side, 0.97 - side, 2), side]])
                facts[i, c.SIZE] = 0 if side < 0.34 else (1 if side > 0.6 else c.UNNAMED)
            many = k > 1 and self.rng.random() < self.mixed
            one_shape, one_colour = not many or self.rng.random() < 0.5, not many or self.rng.random() < 0.4
            used = []
            for place in layout:
                s = shape if one_shape else int(self.rng.integers(len(c.SHAPES)))
                ink = colour if one_colour and self.pairs[s, colour] else self._shape_colour(s, paper)
                if ink < 0:
                    s, ink = shape, colour
                used.append((s, ink))
                owner.append(i)
                shapes.append(s)
                places.append(place)
            inks.append(self.tint([ink for _, ink in used]))
            facts[i, c.COUNT], facts[i, c.BACKGROUND] = k, paper
            facts[i, c.LABEL] = shape if len({s for s, _ in used}) == 1 else c.UNNAMED
            facts[i, c.COLOUR] = used[0][1] if len({ink for _, ink in used}) == 1 else c.UNNAMED
            facts[i, c.LABEL] = used[0][0] if facts[i, c.LABEL] != c.UNNAMED else c.UNNAMED
            papers.append(self.tint([paper])[0])
        full = self._things(
            torch.from_numpy(np.stack(papers)),
            np.array(owner),
            np.array(shapes),
            np.array(places),
            torch.from_numpy(np.concatenate(inks)),
        )
        return full, facts

    def pair_canvases(self, n: int) -> tuple[Tensor, np.ndarray]:
        """Two different shapes, one beside or above the other; [n, 3, CANVAS, CANVAS] in 0..1, facts [n, F]."""
        facts = np.full((n, len(c.FIELDS)), c.UNNAMED, dtype=np.int64)
        facts[:, c.KIND], facts[:, c.COUNT] = c.PAIR, 2
        shapes, places, inks, papers = [], [], [], []
        for i in range(n):
            while True:
                two = sorted(self.rng.choice(len(c.SHAPES), 2, replace=False).tolist())
                paper = self._paper(two[0])
                colours = [self._shape_colour(s, paper) for s in two]
                if min(colours) >= 0:
                    break
            relation = int(self.rng.integers(4))
            side = self.rng.uniform(0.24, 0.42, 2)
            gap = 1.05 * side.sum() + 0.06
            along = self.rng.uniform(gap, max(gap, 1.94 - side.sum()))
            start = (
                self.rng.uniform(-0.97 + side[0], 0.97 - side[1] - along)
                if 1.94 - side.sum() > along
                else -0.97 + side[0]
            )
            across = self.rng.uniform(-0.25, 0.25) + self.rng.uniform(-0.15, 0.15, 2)
            first, second = (start, across[0]), (start + along, across[1])
            if relation % 2:  # right of, below: mirrored
                first, second = (-start, across[0]), (-start - along, across[1])
            if relation >= 2:
                first, second = first[::-1], second[::-1]
            shapes += two
            places += [[*first, side[0]], [*second, side[1]]]
            inks.append(self.tint(colours))
            papers.append(self.tint([paper])[0])
            facts[i, [c.LABEL, c.COLOUR, c.LABEL2, c.COLOUR2]] = two[0], colours[0], two[1], colours[1]
            facts[i, c.RELATION], facts[i, c.BACKGROUND] = relation, paper
        owner = np.repeat(np.arange(n), 2)
        full = self._things(
            torch.from_numpy(np.stack(papers)),
            owner,
            np.array(shapes),
            np.array(places),
            torch.from_numpy(np.concatenate(inks)),
        )
        return full, facts

    def texture_canvases(self, n: int) -> tuple[Tensor, np.ndarray]:
        """Patterns in two colours; [n, 3, CANVAS, CANVAS] in 0..1, facts [n, F]."""
        facts = np.full((n, len(c.FIELDS)), c.UNNAMED, dtype=np.int64)
        facts[:, c.KIND] = c.TEXTURE
        images = []
        for i in range(n):
            label = int(self.rng.integers(len(c.TEXTURES)))
            names = self.two_colours(len(c.COLOURS))
            cover = torch.from_numpy(texture(label, CANVAS, self.rng))
            ink, paper = torch.from_numpy(self.tint(list(names)))
            images.append(paper[:, None, None] + cover * (ink - paper)[:, None, None])
            facts[i, c.LABEL], facts[i, c.COLOUR], facts[i, c.BACKGROUND] = label, *names
        return self.finish(torch.stack(images)), facts

    def batch(self, n: int) -> tuple[Tensor, np.ndarray]:
        """A mixed batch: images [n, 3, size, size] uint8, facts [n, len(FIELDS)] int64."""
        counts = {kind: round(share * n) for kind, share in SHARE.items()}
        counts["digit"] += n - sum(counts.values())
        pair, pair_facts = self.pair_canvases(counts["pair"])
        fabric, fabric_facts = self.texture_canvases(counts["texture"])
        parts = [
            self.glyph_images(counts["digit"], True),
            self.glyph_images(counts["letter"], False),
            self.shape_images(counts["shape"], False),
            self.shape_images(counts["count"], True),
            (self.resize(pair), pair_facts),
            (self.resize(fabric), fabric_facts),
        ]
        return torch.cat([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def scene_canvases(self, n: int) -> tuple[Tensor, np.ndarray]:
        """All kinds for captioning, in random order: images [n, 3, CANVAS, CANVAS] in 0..1, facts [n, F]."""
        digits, letters, one, many, fabric = (int(n * share) for share in (0.1, 0.06, 0.26, 0.26, 0.05))
        first, several = self.shape_canvases(one, False), self.shape_canvases(many, True)
        parts = [self.glyph_canvases(digits, True), self.glyph_canvases(letters, False), first, several]
        parts += [self.texture_canvases(fabric), self.pair_canvases(n - digits - letters - one - many - fabric)]
        order = self.rng.permutation(n)
        facts = np.concatenate([p[1] for p in parts])[order]
        return torch.cat([p[0] for p in parts])[torch.from_numpy(order)], facts
