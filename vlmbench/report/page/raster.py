"""Renders our own SVG drawings as PNG with Pillow: lines, polygons, circles, texts and pictures with plain attributes.

They are drawn at twice the size and reduced, which smooths the edges. ASCII comes from Pillow's own font, other letters
from DejaVu or Arial where the system has them (the SVG holds text, and whatever shows it chooses the font).
"""

import base64
import io
import math
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vlmbench.foundations.hashing import digest, sha256_file

if TYPE_CHECKING:
    from PIL import Image, ImageFont

Point = tuple[float, float]
SVG = "{http://www.w3.org/2000/svg}"
_SMOOTH = 2
_HEAD, _END = 200, b"IEND\xaeB`\x82"
"""Bytes of a PNG within which its source is named, and its last."""
_TRANSLATED = re.compile(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)")


def png(drawing: ET.Element, scale: float, before: bytes = b"") -> bytes:
    """The PNG of an ``svg`` element, `scale` pixels per unit; the same drawing gives the same bytes.

    Args:
        drawing: its ``viewBox`` starts at 0 0, and its styles are attributes of the elements.
        scale: pixels per unit of the view box.
        before: an earlier PNG, which is the result where it says that it is of this drawing: drawing takes a while.
    """
    from PIL import Image, __version__
    from PIL.PngImagePlugin import PngInfo

    source = digest([ET.tostring(drawing, "unicode"), scale, _own_code(), __version__])
    if source.encode() in before[:_HEAD] and before.endswith(_END):
        return before
    width, height = (float(part) for part in drawing.get("viewBox", "").split()[2:])
    size = (round(width * scale), round(height * scale))
    sheet = _Sheet(Image.new("RGB", (size[0] * _SMOOTH, size[1] * _SMOOTH), "white"), scale * _SMOOTH)
    for element, dx, dy in flat(drawing, 0.0, 0.0):
        sheet.draw(element, dx, dy)
    out = io.BytesIO()
    facts = PngInfo()
    facts.add_text("Source", source)
    sheet.image.reduce(_SMOOTH).save(out, "PNG", pnginfo=facts)
    return out.getvalue()


@cache
def _own_code() -> str:
    return sha256_file(Path(__file__))


def flat(parent: ET.Element, dx: float, dy: float) -> Iterator[tuple[ET.Element, float, float]]:
    """Every visible element, with the translation of its groups."""
    for child in parent:
        moved = _TRANSLATED.search(child.get("transform", ""))
        x, y = (dx + float(moved[1]), dy + float(moved[2])) if moved else (dx, dy)
        if child.tag == f"{SVG}g":
            yield from flat(child, x, y)
        else:
            yield child, x, y


class _Sheet:
    def __init__(self, image: "Image.Image", scale: float) -> None:
        self.image = image
        self.scale = scale

    def draw(self, element: ET.Element, dx: float, dy: float) -> None:
        def at(x: str, y: str) -> Point:
            return ((number(element, x) + dx) * self.scale, (number(element, y) + dy) * self.scale)

        kind = element.tag.removeprefix(SVG)
        if kind == "line":
            self._shape(element, [at("x1", "y1"), at("x2", "y2")], closed=False)
        elif kind in ("polyline", "polygon"):
            pairs = [part.split(",") for part in element.get("points", "").split()]
            points = [((float(x) + dx) * self.scale, (float(y) + dy) * self.scale) for x, y in pairs]
            self._shape(element, points, closed=kind == "polygon")
        elif kind == "circle":
            (x, y), r = at("cx", "cy"), number(element, "r") * self.scale
            turns = [2 * math.pi * step / 48 for step in range(48)]
            self._shape(element, [(x + r * math.cos(turn), y + r * math.sin(turn)) for turn in turns], closed=True)
        elif kind == "rect":
            (x, y), w, h = at("x", "y"), number(element, "width") * self.scale, number(element, "height") * self.scale
            self._shape(element, [(x, y), (x + w, y), (x + w, y + h), (x, y + h)], closed=True)
        elif kind == "text":
            self._text(element, *at("x", "y"))
        elif kind == "image":
            self._picture(element, *at("x", "y"))

    def _shape(self, element: ET.Element, points: list[Point], *, closed: bool) -> None:
        from PIL import Image, ImageDraw

        opacity = number(element, "opacity", 1.0)
        fill, stroke = element.get("fill", "black"), element.get("stroke", "none")
        if opacity < 1:  # drawn opaque, then what was there is blended in
            edge = number(element, "stroke-width", 1.0) * self.scale + 2
            (left, upper), (right, lower) = (tuple(f(axis) for axis in zip(*points, strict=True)) for f in (min, max))
            box = (int(left - edge), int(upper - edge), int(right + edge), int(lower + edge))
            before = self.image.crop(box)
        pen = ImageDraw.Draw(self.image)
        if fill != "none" and closed:
            pen.polygon(points, fill=fill)
        if stroke != "none" and len(points) > 1:
            width = max(1, round(number(element, "stroke-width", 1.0) * self.scale))
            path = [*points, points[0]] if closed else points
            for part in _dashed(path, [float(x) * self.scale for x in element.get("stroke-dasharray", "").split()]):
                pen.line(part, fill=stroke, width=width, joint="curve")
                for x, y in (part[0], part[-1]) if element.get("stroke-linecap") == "round" else ():
                    pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=stroke)
        if opacity < 1:
            self.image.paste(Image.blend(before, self.image.crop(box), opacity), box)

    def _text(self, element: ET.Element, x: float, y: float) -> None:
        from PIL import Image, ImageDraw

        text, font = _fitting(element.text or "", round(number(element, "font-size", 11.0) * self.scale))
        along = {"middle": "m", "end": "r"}.get(element.get("text-anchor", ""), "l")
        if "rotate(-90" not in element.get("transform", ""):
            ImageDraw.Draw(self.image).text((x, y), text, element.get("fill", "black"), font, along + "s")
            return
        left, top, right, bottom = font.getbbox(text, anchor="ls")
        mask = Image.new("L", (max(1, math.ceil(right - left)), max(1, math.ceil(bottom - top))))
        ImageDraw.Draw(mask).text((-left, -top), text, 255, font, "ls")
        turned = mask.transpose(Image.Transpose.ROTATE_90)
        lower = y - {"m": -turned.height / 2, "r": -turned.height, "l": 0}[along] - turned.height
        self.image.paste(
            Image.new("RGB", turned.size, element.get("fill", "black")), (round(x + top), round(lower)), turned
        )

    def _picture(self, element: ET.Element, x: float, y: float) -> None:
        from PIL import Image

        data = base64.b64decode(element.get("href", "").partition(",")[2])
        width, height = (round(number(element, side) * self.scale) for side in ("width", "height"))
        with Image.open(io.BytesIO(data)) as picture:
            self.image.paste(
                picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST), (round(x), round(y))
            )


def _dashed(path: list[Point], pattern: list[float]) -> Iterator[list[Point]]:
    """The drawn parts of a dashed path; all of it without a dash pattern."""
    if not pattern:
        yield path
        return
    left, drawn = pattern[0], True
    for (x1, y1), (x2, y2) in pairwise(path):
        length, done = math.dist((x1, y1), (x2, y2)), 0.0
        while length - done > 1e-9:
            step = min(left, length - done)
            if drawn:
                a, b = done / length, (done + step) / length
                yield [(x1 + (x2 - x1) * a, y1 + (y2 - y1) * a), (x1 + (x2 - x1) * b, y1 + (y2 - y1) * b)]
            done, left = done + step, left - step
            if left <= 1e-9:
                drawn = not drawn
                left = pattern[0 if drawn else 1]


def number(element: ET.Element, name: str, default: float = 0.0) -> float:
    """A number among an element's attributes."""
    return float(element.get(name, default))


@cache
def _fitting(text: str, size: int) -> "tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]":
    """A font for a text; if none has letters beyond ASCII, accents are left out."""
    from PIL import ImageFont

    for name in () if text.isascii() else ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf"):
        try:
            return text, ImageFont.truetype(name, size)
        except OSError:
            continue
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return plain, ImageFont.load_default(size)
