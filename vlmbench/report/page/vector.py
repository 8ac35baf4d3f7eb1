"""Writes our own SVG drawings as PDF, which pdflatex includes: the elements that `raster` draws, text as text.

Letters are Helvetica's, which every viewer has and the file does not; those that Windows-1252 lacks lose their accents
or become question marks.
"""

import base64
import io
import unicodedata
import zlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vlmbench.report.page.raster import SVG, flat, number

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUND = 0.5523
"""Where the control points of a quarter of a circle are (Bézier), in radii."""
# fmt: off
_HELVETICA = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556,
    833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500,
    556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500,
    334, 260, 334, 584,
)
"""Widths of ASCII from the space on, in thousandths of the size (Adobe's metrics of the PDF's standard fonts)."""
# fmt: on


def pdf(drawing: ET.Element) -> bytes:
    """The PDF of an ``svg`` element, a point per unit; the same drawing gives the same bytes.

    Args:
        drawing: its ``viewBox`` starts at 0 0, and its styles are attributes of the elements.
    """
    width, height = (float(part) for part in drawing.get("viewBox", "").split()[2:])
    page = _Page()
    for element, dx, dy in flat(drawing, 0.0, 0.0):
        page.draw(element, dx, dy)
    content = f"1 0 0 -1 0 {height:g} cm\n" + "\n".join(page.parts)
    states = " ".join(f"/{name} << /ca {value} /CA {value} >>" for value, name in page.opacities.items())
    pictures = " ".join(f"/P{index} {6 + index} 0 R" for index in range(len(page.pictures)))
    resources = f"<< /Font << /F 5 0 R >> /ExtGState << {states} >> /XObject << {pictures} >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:g} {height:g}] "
        f"/Contents 4 0 R /Resources {resources} >>".encode(),
        _stream("", content.encode("ascii")),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        *page.pictures,
    ]
    out, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for index, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (index, one)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _stream(entries: str, data: bytes) -> bytes:
    packed = zlib.compress(data, 9)
    return f"<< {entries} /Filter /FlateDecode /Length {len(packed)} >>\nstream\n".encode() + packed + b"\nendstream"


class _Page:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.opacities: dict[str, str] = {}
        self.pictures: list[bytes] = []

    def draw(self, element: ET.Element, dx: float, dy: float) -> None:
        kind = element.tag.removeprefix(SVG)
        x, y = number(element, "x") + dx, number(element, "y") + dy
        if kind == "text":
            self._text(element, x, y)
        elif kind == "image":
            self._picture(element, x, y)
        elif kind == "line":
            ends = ((number(element, "x1"), number(element, "y1")), (number(element, "x2"), number(element, "y2")))
            self._paint(element, _path([(a + dx, b + dy) for a, b in ends]), closed=False)
        elif kind in ("polyline", "polygon"):
            pairs = [part.split(",") for part in element.get("points", "").split()]
            self._paint(element, _path([(float(a) + dx, float(b) + dy) for a, b in pairs]), closed=kind == "polygon")
        elif kind == "circle":
            x, y = number(element, "cx") + dx, number(element, "cy") + dy
            self._paint(element, _circle(x, y, number(element, "r")), closed=True)
        elif kind == "rect":
            size = f"{number(element, 'width'):g} {number(element, 'height'):g}"
            self._paint(element, f"{x:g} {y:g} {size} re", closed=True)

    def _paint(self, element: ET.Element, path: str, *, closed: bool) -> None:
        fill, stroke = element.get("fill", "black") if closed else "none", element.get("stroke", "none")
        if fill == stroke == "none":
            return
        state = ["q"]
        if (opacity := element.get("opacity", "1")) != "1":
            state.append(f"/{self.opacities.setdefault(opacity, f'G{len(self.opacities)}')} gs")
        if fill != "none":
            state.append(f"{_colour(fill)} rg")
        if stroke != "none":
            state.append(f"{_colour(stroke)} RG {number(element, 'stroke-width', 1.0):g} w")
            state.append(f"{int(element.get('stroke-linecap') == 'round')} J")
            state.append(f"{int(element.get('stroke-linejoin') == 'round')} j")
            state.append(f"[{element.get('stroke-dasharray', '').replace(',', ' ')}] 0 d")
        operator = ("s" if closed else "S") if fill == "none" else "f" if stroke == "none" else "b"
        self.parts.append(" ".join([*state, path, operator, "Q"]))

    def _text(self, element: ET.Element, x: float, y: float) -> None:
        size = number(element, "font-size", 11.0)
        data = _encoded(element.text or "")
        width = sum(_HELVETICA[code - 32] if 32 <= code < 127 else 556 for code in data) * size / 1000
        back = width * {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor", ""), 0.0)
        turned = "rotate(-90" in element.get("transform", "")
        matrix = f"0 -1 -1 0 {x:g} {y + back:g}" if turned else f"1 0 0 -1 {x - back:g} {y:g}"
        fill = _colour(element.get("fill", "black"))
        self.parts.append(f"BT {fill} rg /F {size:g} Tf {matrix} Tm <{data.hex()}> Tj ET")

    def _picture(self, element: ET.Element, x: float, y: float) -> None:
        from PIL import Image

        width, height = number(element, "width"), number(element, "height")
        self.parts.append(f"q {width:g} 0 0 {-height:g} {x:g} {y + height:g} cm /P{len(self.pictures)} Do Q")
        with Image.open(io.BytesIO(base64.b64decode(element.get("href", "").partition(",")[2]))) as picture:
            entries = f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height}"
            entries += " /ColorSpace /DeviceRGB /BitsPerComponent 8"
            self.pictures.append(_stream(entries, picture.convert("RGB").tobytes()))


def _path(points: "Sequence[tuple[float, float]]") -> str:
    return " ".join(f"{x:g} {y:g} {'l' if place else 'm'}" for place, (x, y) in enumerate(points))


def _circle(x: float, y: float, r: float) -> str:
    k = r * _ROUND
    curves = [
        (r, k, k, r, 0, r), (-k, r, -r, k, -r, 0), (-r, -k, -k, -r, 0, -r), (k, -r, r, -k, r, 0)
    ]  # fmt: skip
    moved = (" ".join(f"{at + (y if place % 2 else x):g}" for place, at in enumerate(curve)) for curve in curves)
    return f"{x + r:g} {y:g} m " + " ".join(f"{curve} c" for curve in moved)


def _colour(name: str) -> str:
    from PIL import ImageColor

    return " ".join(f"{part / 255:.3g}" for part in ImageColor.getrgb(name)[:3])


def _encoded(text: str) -> bytes:
    """In Windows-1252."""
    shown = "".join(
        char if _fits(char) else "".join(part for part in unicodedata.normalize("NFKD", char) if _fits(part)) or "?"
        for char in text.replace("−", "-")
    )
    return shown.encode("cp1252")


def _fits(char: str) -> bool:
    return char.encode("cp1252", "ignore") != b""
