"""Curves, reliability diagrams and confusion matrices as files: the page's drawings, as SVG and PNG."""

import csv
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import factory
import numpy as np
import pytest
from PIL import Image

from vlmbench.metrics.calibration import calibration_bins
from vlmbench.report.page import raster
from vlmbench.report.page.charts import Series, reliability_svg
from vlmbench.report.page.figures import (
    SCALE,
    confusion_picture,
    few_shot_curve,
    few_shot_series,
    reliability_diagram,
    significance_figures,
    standalone,
    write_confusion_csv,
    write_figures,
)
from vlmbench.report.page.write import render_report
from vlmbench.report.tables.rows import classification_rows
from vlmbench.report.tables.write import build_tables

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SVG = "{http://www.w3.org/2000/svg}"

CURVE = Series(
    "tiny $x_1", ((1.0, 0.5, 0.4, 0.6), (2.0, 0.65, None, None), (16.0, 0.8, 0.78, 0.82)), level=0.7, full=0.9
)


def draw(kind, stem):
    if kind == "curve":
        return few_shot_curve([CURVE, replace(CURVE, name="other <b>", level=None)], stem, title="digits <b>")
    if kind == "reliability":
        confidence = np.random.default_rng(0).random(300)
        return reliability_diagram(calibration_bins(confidence, confidence > 0.4), stem, title="a & b")
    return confusion_picture(np.array([[5, 1], [0, 0]]), ["$\\frac{1}$", "数"], stem, title="c")


@pytest.mark.parametrize("kind", ["curve", "reliability", "confusion"])
def test_pictures_are_whole_and_the_same_each_time(kind, tmp_path):
    png, svg, _ = draw(kind, tmp_path / "a.b")
    assert (png.name, svg.name) == ("a.b.png", "a.b.svg")
    with Image.open(png) as image:
        image.load()
        assert min(image.size) > 300
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10
    ET.parse(svg)  # noqa: S314 (our own file)
    again = draw(kind, tmp_path / "again")
    assert png.read_bytes() == again[0].read_bytes()
    assert svg.read_bytes() == again[1].read_bytes()


def test_the_confusion_table_holds_the_counts_and_no_formula(tmp_path):
    path = write_confusion_csv(np.array([[5, 1], [0, 2]]), ["=cmd()", "b"], tmp_path / "c.csv")
    rows = list(csv.reader(path.open(encoding="utf-8")))
    assert rows[0][1:] == ["'=cmd()", "b"]
    assert rows[1] == ["'=cmd()", "5", "1"]
    assert rows[2] == ["b", "0", "2"]


def points(svg):
    return re.findall(r'points="([^"]+)"', svg)


def test_the_files_hold_the_drawings_of_the_page(tmp_path):
    runs = factory.write_demo(tmp_path)
    page = render_report(runs, [])
    written = write_figures(runs, tmp_path)
    curves = sorted(path for path in written if path.name.startswith("few-shot") and path.suffix == ".svg")
    assert [path.name for path in curves] == ["few-shot-counting.svg", "few-shot-digits.svg"]
    for path in curves:
        lines = [line for line in points(path.read_text("utf-8")) if len(line.split()) > 4]
        assert len(lines) >= 4  # two models, each with a band
        assert all(f'points="{line}"' in page for line in lines)


def test_few_shot_runs_need_no_other_runs(tmp_path):
    runs = [factory.write_classification(tmp_path, "linear-probe", shots=k) for k in (1, 4)]
    ((place, (series,)),) = few_shot_series(classification_rows(runs))
    assert [x for x, *_ in series.points] == [1, 4]
    assert (series.level, series.full) == (None, None)
    assert place.dataset == "digits"
    assert {path.suffix for path in write_figures(runs, tmp_path)} == {".png", ".svg", ".pdf"}


def test_zero_shot_as_the_probes_run_noted_it_is_the_level(tmp_path):
    curve = {"metric": "accuracy", "points": [], "zero_shot": 0.75}
    runs = [factory.write_classification(tmp_path, "linear-probe", shots=k, detail={"curve": curve}) for k in (1, 4)]
    ((_, (series,)),) = few_shot_series(classification_rows(runs))
    assert series.level == 0.75


def test_styles_stand_at_the_elements(tmp_path):
    for kind in ("curve", "reliability", "confusion"):
        _, svg, _ = draw(kind, tmp_path / kind)
        text = svg.read_text("utf-8")
        assert "class=" not in text
        assert "var(" not in text
        shapes = [one for one in ET.parse(svg).iter() if one.tag.removeprefix(SVG) in ("line", "polyline", "circle")]  # noqa: S314
        assert all(one.get("stroke", "none") != "none" or one.get("fill") for one in shapes)


def test_names_are_text(tmp_path):
    _, svg, _ = confusion_picture(
        np.eye(2), ["<script>alert(1)</script>", 'a\x1b[2J\u202e & "b"'], tmp_path / "c", title="<b>"
    )
    root = ET.parse(svg).getroot()  # noqa: S314
    assert not [one for one in root.iter() if one.tag in (f"{SVG}script", f"{SVG}b", "b")]
    assert "\x1b" not in "".join(root.itertext())
    assert "<script>alert(1)</scrip…" in "".join(root.itertext())


def test_the_picture_shows_the_values(tmp_path):
    with Image.open(confusion_picture(np.array([[9, 1], [0, 4]]), ["a", "b"], tmp_path / "m", title="m")[0]) as image:
        frame = next(
            one
            for one in ET.parse(tmp_path / "m.svg").iter(f"{SVG}image")  # noqa: S314
        )
        left, top, side = (float(frame.get(name)) for name in ("x", "y", "width"))
        above = float(re.search(r"translate\(0 (\d+)\)", (tmp_path / "m.svg").read_text("utf-8"))[1])
        quarter = [
            (side * 0.15, side * 0.15),
            (side * 0.65, side * 0.15),
            (side * 0.15, side * 0.65),
            (side * 0.65, side * 0.65),
        ]
        seen = [image.getpixel((round((left + x) * SCALE), round((top + above + y) * SCALE))) for x, y in quarter]
    assert seen[2] == (255, 255, 255)
    assert seen[3] == (11, 70, 140)
    assert seen[3] < seen[0] < seen[1] < seen[2]


def test_a_thousand_classes_make_a_small_file(tmp_path):
    picture, svg, _ = confusion_picture(np.eye(1000), [str(n) for n in range(1000)], tmp_path / "m", title="m")
    assert picture.stat().st_size < 1e6
    assert svg.stat().st_size < 1e6


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("kind", ["curve", "reliability", "confusion"])
def test_the_png_is_what_a_browser_makes_of_the_svg(kind, tmp_path):
    png, svg, _ = draw(kind, tmp_path / "drawing")
    with Image.open(png) as image:
        ours = image.convert("RGB")
    size = [round(float(ET.parse(svg).getroot().get(side))) for side in ("width", "height")]  # noqa: S314
    page = tmp_path / "page.html"
    page.write_text(f'<body style="margin:0"><img src="{svg.name}" style="display:block">', "utf-8")
    shot = tmp_path / "shot.png"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--force-device-scale-factor={SCALE:g}",
    ]
    command = [CHROMIUM, *options, f"--window-size={size[0]},{size[1] + 200}", f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as image:
        browsers = image.convert("RGB").crop((0, 0, *ours.size))
    apart = np.abs(np.asarray(ours, np.int16) - np.asarray(browsers, np.int16)).max(axis=2)
    assert (apart > 60).mean() < 0.03  # letters of another font


def test_no_drawing_loads_matplotlib(tmp_path):
    script = "import sys, vlmbench.report.page.figures, vlmbench.report.page.raster; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_charts_of_datasets_whose_names_look_alike_are_files_of_their_own(tmp_path):
    """The last of them took the others' place: what a file name leaves out told them apart."""
    names = ("a b", "a-b", "a/b")
    runs = [
        factory.write_classification(tmp_path, system=system, dataset=name, seed=seed)
        for name in names
        for seed, system in enumerate(("one", "two"))
    ]
    written = significance_figures(build_tables(runs, every_pair=True), tmp_path / "figures")
    assert len({path.name.lower() for path in written}) == len(written) == 3 * len(names)


def test_a_png_that_is_there_is_not_drawn_again(monkeypatch):
    drawing = standalone(reliability_svg("x", "t", []), [], "t")
    first = raster.png(drawing, 2.0)
    monkeypatch.setattr(raster._Sheet, "draw", lambda *_: pytest.fail("drawn"))
    assert raster.png(drawing, 2.0, first) is first
    for other in (first[:-1], raster.png(ET.Element("svg", viewBox="0 0 9 9"), 2.0)):
        with pytest.raises(pytest.fail.Exception):
            raster.png(drawing, 2.0, other)
