"""Signed-distance banks, rendered once and kept outside the repository: glyphs of fonts, hands and shapes.

Every item is a `FIELD` x `FIELD` uint8 map of the signed distance to its outline (for hands: the distance to the pen's
path), in units of the item's longer side. Pen width, weight, colour and every warp are applied later, for each batch,
by `augment.py`.

    python -m benchmarks.pretraining.render --cache /tmp/vlmbench-pretrain
"""

from __future__ import annotations

import argparse
import hashlib
import math
import subprocess
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from benchmarks.pretraining.captions import SHAPES
from benchmarks.pretraining.strokes import FIELD, MARGIN, distance_fields, encode_distance, sample_digit

FINE = FIELD * 3  # outlines are drawn at this size and their distances averaged down
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
HAND_WORDS = (
    "breip bwht dkg dancing kristi kaushan rufscript femke summersby humor klee kiloji seto yoz toms comic neue "
    "radisnoir lobster leckerli staypuft handwriting"
)


def signed_distance(ink: np.ndarray) -> np.ndarray:
    """[FINE, FINE] bool, True inside -> [FIELD, FIELD] float32 signed distance, negative inside, in units of the unit
    box.
    """
    outside, inside = distance_transform_edt(~ink), distance_transform_edt(ink)
    distance = (outside - inside) * (1 + 2 * MARGIN) / FINE
    return distance.reshape(FIELD, 3, FIELD, 3).mean((1, 3)).astype(np.float32)


def find_fonts() -> list[tuple[str, str, int]]:
    """(package folder, file, face index) of every installed font that fontconfig lists for English."""
    listing = subprocess.run(
        ["fc-list", ":lang=en", "file", "index"], check=True, capture_output=True, text=True
    ).stdout
    fonts = set()
    for line in listing.splitlines():
        path, _, rest = line.partition(":")
        index = int(rest.split("index=")[1].split(":")[0]) if "index=" in rest else 0
        if path.lower().endswith((".ttf", ".otf", ".ttc")) and index < 65536:
            fonts.add((Path(path).parent.name, path.strip(), index))
    return sorted(fonts)


def glyph_ink(path: str, index: int, character: str) -> np.ndarray | None:
    """The character filling the unit box of a FINE x FINE canvas, or None where the font has nothing of use for it."""
    try:
        font = ImageFont.truetype(path, 60, index=index)
        left, top, right, bottom = font.getbbox(character)
        side = max(right - left, bottom - top)
        if side < 8:
            return None
        target = FINE / (1 + 2 * MARGIN)
        font = ImageFont.truetype(path, max(8, round(60 * target / side)), index=index)
        box = font.getbbox(character)
        canvas = Image.new("L", (FINE, FINE))
        at = ((FINE - box[0] - box[2]) / 2, (FINE - box[1] - box[3]) / 2)
        ImageDraw.Draw(canvas).text(at, character, fill=255, font=font)
    except (OSError, ValueError):
        return None
    ink = np.asarray(canvas) > 127
    return ink if ink.sum() > 60 else None


def build_fonts(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Glyphs of all fonts: field [N, FIELD, FIELD], char [N], hand [N] (1 a handwriting font, 0 a plain one, 99
    neither), weight [N], held_out [N].
    """
    fields, chars, hands, weights, held = [], [], [], [], []
    fonts = find_fonts()
    packages = [package for package, _, _ in fonts]
    families = {package: packages.count(package) for package in set(packages)}
    for package, path, index in fonts:
        ten = [glyph_ink(path, index, c) for c in "0123456789"]
        if any(t is None for t in ten):
            continue
        prints = {t.tobytes() for t in ten if t is not None}
        if len(prints) < 10:
            continue
        stem = Path(path).stem.lower()
        hand = (
            1
            if any(word in stem or word in package.lower() for word in HAND_WORDS.split())
            else (99 if "aenigma" in package else 0)
        )
        out = int(hashlib.sha1(stem.split("-")[0].encode(), usedforsecurity=False).hexdigest(), 16) % 10 == 0
        letters = families[package] <= 6 or rng.random() < 6 / families[package] + 0.1
        for i, character in enumerate(CHARACTERS if letters else CHARACTERS[:10]):
            ink = ten[i] if i < 10 else glyph_ink(path, index, character)
            if ink is None:
                continue
            fields.append(encode_distance(torch.from_numpy(signed_distance(ink))).numpy())
            chars.append(i)
            hands.append(hand)
            weights.append(1 / families[package] ** 0.6)
            held.append(out)
    return {
        "field": np.stack(fields),
        "char": np.array(chars),
        "hand": np.array(hands),
        "weight": np.array(weights, dtype=np.float32),
        "held_out": np.array(held),
    }


def _polygon(n: int, turn: float, radii: tuple[float, ...] = (0.5,)) -> list[tuple[float, float]]:
    angle = [2 * math.pi * i / n + turn for i in range(n)]
    return [
        (0.5 + radii[i % len(radii)] * math.sin(a), 0.5 - radii[i % len(radii)] * math.cos(a))
        for i, a in enumerate(angle)
    ]


def shape_ink(shape: str, rng: np.random.Generator) -> np.ndarray:
    """One variant of `shape` filling the unit box; [FINE, FINE] bool."""
    u = rng.uniform
    axis = (np.arange(FINE) + 0.5) / FINE * (1 + 2 * MARGIN) - MARGIN
    x, y = np.meshgrid(axis, axis)
    r = np.hypot(x - 0.5, y - 0.5)
    if shape == "circle":
        return r < 0.5
    if shape == "ring":
        return (r < 0.5) & (r > u(0.24, 0.36))
    if shape == "semicircle":
        return (np.hypot(x - 0.5, y - 0.75) < 0.5) & (y < 0.75)
    if shape == "crescent":
        return (r < 0.5) & (np.hypot(x - 0.5 - u(0.2, 0.3), y - 0.5 + u(-0.1, 0.1)) > u(0.38, 0.45))
    if shape == "cross":
        arm = u(0.12, 0.2)
        return ((abs(x - 0.5) < arm) & (abs(y - 0.5) < 0.5)) | ((abs(y - 0.5) < arm) & (abs(x - 0.5) < 0.5))
    if shape == "heart":
        a, b = (x - 0.5) * 2.35, (0.44 - y) * 2.35
        return (a**2 + b**2 - 1) ** 3 - a**2 * b**3 * u(0.9, 1.2) < 0
    if shape == "square":
        half = u(0.42, 0.5)
        return (abs(x - 0.5) < half) & (abs(y - 0.5) < half)
    if shape == "diamond":
        return abs(x - 0.5) / u(0.36, 0.46) + abs(y - 0.5) / 0.5 < 1
    if shape == "triangle":
        points = [(u(0.42, 0.58), u(0.0, 0.1)), (1.0, 0.95), (0.0, 0.95)]
    elif shape == "star":
        points = _polygon(10, 0.0, (0.52, u(0.19, 0.25)))
    elif shape == "pentagon":
        points = _polygon(5, 0.0)
    else:  # an arrow that points to the right
        neck, arm = u(0.4, 0.55), u(0.1, 0.16)
        points = [
            (0, 0.5 - arm),
            (neck, 0.5 - arm),
            (neck, u(0.12, 0.2)),
            (1, 0.5),
            (neck, u(0.8, 0.88)),
            (neck, 0.5 + arm),
            (0, 0.5 + arm),
        ]
    canvas = Image.new("1", (FINE, FINE))
    scale = FINE / (1 + 2 * MARGIN)
    ImageDraw.Draw(canvas).polygon([((px + MARGIN) * scale, (py + MARGIN) * scale) for px, py in points], fill=1)
    return np.asarray(canvas)


def build_shapes(variants: int, rng: np.random.Generator) -> np.ndarray:
    """[len(SHAPES), variants, FIELD, FIELD] uint8."""
    rows = [[signed_distance(shape_ink(shape, rng)) for _ in range(variants)] for shape in SHAPES]
    return encode_distance(torch.from_numpy(np.array(rows))).numpy()


def build_hands(per_digit: int, rng: np.random.Generator) -> np.ndarray:
    """[10, per_digit, FIELD, FIELD] uint8."""
    paths = np.stack([sample_digit(digit, rng) for digit in range(10) for _ in range(per_digit)])
    return distance_fields(torch.from_numpy(paths)).view(10, per_digit, FIELD, FIELD).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--hands", type=int, default=8000, help="written digits for each class")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    np.save(args.cache / "shapes.npy", build_shapes(48, np.random.default_rng(args.seed + 1)))
    np.save(args.cache / "hands.npy", build_hands(args.hands, np.random.default_rng(args.seed + 2)))
    np.save(args.cache / "hands_val.npy", build_hands(400, np.random.default_rng(args.seed + 1003)))
    fonts = build_fonts(np.random.default_rng(args.seed + 3))
    np.savez(args.cache / "fonts.npz", **fonts)
    print(f"{len(fonts['char'])} glyphs, {fonts['held_out'].sum()} of them held out")


if __name__ == "__main__":
    main()
