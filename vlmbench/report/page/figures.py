"""Pictures for papers and slides, as SVG, PDF and PNG: few-shot curves, figures by class, ROC and reliability curves.

The drawings are those of ``report.html`` (`charts`), with title and legend, in the page's light colours; PNG and
PDF are that SVG, drawn by `raster` and `vector`. The files are identical from one call to the next.
"""

import csv
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from vlmbench.foundations.atomic import write_bytes, write_text
from vlmbench.foundations.paths import distinct_slugs
from vlmbench.foundations.text import csv_cell, visible
from vlmbench.records.classification import ClassFigures, ClassificationDetail, ProbeDetail
from vlmbench.records.result import Metric
from vlmbench.records.store import StoredRun, read_samples
from vlmbench.report.grouping import Place, place_labels, unique
from vlmbench.report.page.charts import (
    COLOURS,
    Bounds,
    Scatter,
    Series,
    few_shot_svg,
    marker,
    reliability_svg,
    robustness_svg,
    severity_svg,
)
from vlmbench.report.page.class_charts import confusion_svg, per_class_svg, roc_svg
from vlmbench.report.page.raster import SVG, png
from vlmbench.report.page.significance import significance_svg, title_of
from vlmbench.report.page.vector import pdf
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Table
from vlmbench.report.tables.comparisons import matrices
from vlmbench.report.tables.corruptions import sweeps, without_sweeps
from vlmbench.report.tables.per_class import THRESHOLD, class_areas, class_names
from vlmbench.report.tables.robustness import ZERO_SHOT, Shift, shifts
from vlmbench.report.tables.rows import Row, classification_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 4.0
"""Pixels of the PNG per unit of the drawing; a few-shot curve is 1,360 wide."""
_LARGEST = 4000
_LINE = 15
_RULE = re.compile(r"^((?:\.[\w.]+(?:, )?)+) \{ ([^}]*) \}", re.MULTILINE)

ET.register_namespace("", SVG.strip("{}"))


def write_figures(runs: Sequence[StoredRun], folder: Path, tables: Sequence[Table] = ()) -> list[Path]:
    """Draws every figure of these runs in a folder, each as SVG, PDF and PNG.

    Of `tables`, pairwise comparisons are drawn. For zero-shot and a probe on all labels, unless on corrupted images:
    confusion matrix (also CSV), recall by class (CSV: more figures), reliability diagram, ROC curves. For few-shot
    runs: one chart per dataset with one line per model. For probes on other test sets: a chart of shifted accuracy
    each. For corruptions of several severities: the mean over corruptions by severity.

    Returns:
        The files.

    Raises:
        OutputError: a file cannot be written.
    """
    written: list[Path] = []
    for run in without_sweeps(runs):
        record = run.record
        if record.shots is None and isinstance(record.detail, ClassificationDetail) and record.detail.per_class:
            written += _one_run(run, record.detail.per_class, folder)
    curves = list(few_shot_series(classification_rows(unique(runs))))
    names = place_labels(sorted(place for place, _ in curves))
    stems = distinct_slugs([f"few-shot-{names[place]}" for place, _ in curves], longest=100)
    for (place, series), stem in zip(curves, stems, strict=True):
        metric = place.metric.replace("_", " ")
        written += few_shot_curve(series, folder / stem, title=f"{names[place]}: {metric} (%) by labels per class")
    severities = severity_series(runs, Pairs())
    stems = distinct_slugs([f"severity-{title}" for title, _ in severities], longest=100)
    for (title, lines), stem in zip(severities, stems, strict=True):
        legend = [(index % COLOURS, one.name, False) for index, one in enumerate(lines)]
        written += _save(severity_svg("severity", title, lines), legend, folder / stem, f"{title} (%) by severity")
    return written + robustness_figures(runs, folder) + significance_figures(tables, folder)


def severity_series(runs: Sequence[StoredRun], pairs: Pairs) -> list[tuple[str, list[Series]]]:
    """Dataset and metric of each chart by severity, with a line for each system: the means over corruptions."""
    found: dict[str, list[Series]] = {}
    for sweep in sweeps(runs):
        if points := sweep.by_severity(pairs):
            kinds = sweep.kinds[0] if len(sweep.kinds) == 1 else f"mean over {len(sweep.kinds)} corruptions"
            title = f"{sweep.dataset}, {kinds}: {sweep.metric.replace('_', ' ')}"
            found.setdefault(title, []).append(Series(f"{sweep.model}, {sweep.classifier}", tuple(points)))
    return list(found.items())


def robustness_figures(runs: Sequence[StoredRun], folder: Path) -> list[Path]:
    """Draws shifted accuracy against accuracy in distribution for every training and test set."""
    charts: list[_Chart] = []
    for shift in shifts(runs, Pairs()):
        title = f"{shift.place.dataset} after training on {shift.trained_on}: {shift.metric.replace('_', ' ')} (%)"
        points = robustness_series(shift)
        legend = [(index % COLOURS, one.name, False) for index, one in enumerate(points)]
        chart = robustness_svg("robustness", title, points, line_of(shift))
        charts.append((f"robustness-{shift.trained_on}-{shift.place.dataset}", chart, legend, title))
    return _save_all(charts, folder)


def significance_figures(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Draws all systems against all on each dataset, from the pairwise comparisons among `tables`."""
    charts: list[_Chart] = []
    for matrix in (found for table in tables if table.name == "comparisons" for found in matrices(table)):
        title = f"{title_of(matrix)} (x 100), row minus column; filled: significant"
        name = f"differences-{matrix.dataset}-{matrix.task}-{matrix.metric}"
        charts.append((name, significance_svg("differences", matrix), [], title))
    return _save_all(charts, folder)


_Chart = tuple[str, str, Sequence[tuple[int, str, bool]], str]
"""A drawing's name, the drawing, its legend and title."""


def _save_all(charts: Sequence[_Chart], folder: Path) -> list[Path]:
    stems = distinct_slugs([name for name, *_ in charts], longest=100)
    found = zip(stems, charts, strict=True)
    return [path for stem, (_, chart, legend, title) in found for path in _save(chart, legend, folder / stem, title)]


def robustness_series(shift: Shift) -> list[Scatter]:
    """The points of a chart of shifted accuracy: the probes of each model, and its zero-shot classifiers."""
    found: dict[str, list[tuple[Bounds, Bounds]]] = {}
    for point in shift.points:
        name = f"{point.model}, {ZERO_SHOT if point.zero_shot else 'probe'}"
        both = (run.record.metrics[shift.metric] for run in (point.own, point.run))
        own, shifted = ((metric.value, metric.low, metric.high) for metric in both)
        found.setdefault(name, []).append((own, shifted))
    return [Scatter(name, tuple(points)) for name, points in found.items()]


def line_of(shift: Shift) -> Callable[[float], float] | None:
    """The line over the probes, if there is one."""
    return None if shift.robustness is None else shift.robustness.line.at


def few_shot_series(rows: Sequence[Row]) -> Iterator[tuple[Place, list[Series]]]:
    """The lines of the chart of every place with few-shot runs."""
    for place in dict.fromkeys(row.place for row in rows if row.shots):
        series = []
        for row in rows:
            if row.place != place or not row.shots:
                continue
            metrics = [(float(shots), row.shots[shots].record.metrics[place.metric]) for shots in sorted(row.shots)]
            points = tuple((shots, metric.value, metric.low, metric.high) for shots, metric in metrics)
            full = row.full.record.metrics[place.metric].value if row.full else None
            series.append(Series(row.label, points, _level(row, place.metric), full))
        yield place, series


def _level(row: Row, metric: str) -> float | None:
    """The zero-shot figure of a few-shot curve: from its own run, or as the probe's run recorded it."""
    if row.zero is not None:
        return row.zero.record.metrics[metric].value
    detail = row.any_run.record.detail
    curve = detail.curve if isinstance(detail, ProbeDetail) else None
    return curve.zero_shot if curve is not None and curve.metric == metric else None


def few_shot_curve(series: Sequence[Series], stem: Path, *, title: str) -> list[Path]:
    """Writes a few-shot curve as ``stem.svg``, ``.pdf`` and ``.png``, a line for each series."""
    legend = [(index % COLOURS, one.name, one.level is not None) for index, one in enumerate(series)]
    return _save(few_shot_svg("curve", title, series), legend, stem, title)


def reliability_diagram(bins: Sequence[Mapping[str, float]], stem: Path, *, title: str) -> list[Path]:
    """Writes accuracy over confidence (bins of `metrics.calibration`) as ``stem.svg``, ``.pdf`` and ``.png``."""
    return _save(reliability_svg("reliability", title, bins), [], stem, f"{title}: accuracy (%) by confidence")


def confusion_picture(matrix: "NDArray[Any]", classnames: Sequence[str], stem: Path, *, title: str) -> list[Path]:
    """Writes a confusion matrix `[C, C]` (true classes in rows) as ``stem.svg``, ``.pdf`` and ``.png``."""
    return _save(confusion_svg("confusion", title, matrix, classnames), [], stem, title)


def write_confusion_csv(matrix: "NDArray[Any]", classnames: Sequence[str], path: Path) -> Path:
    """Writes a confusion matrix `[C, C]` as CSV, true classes in rows."""
    rows = [["true \\ predicted", *classnames]]
    rows += [[name, *map(str, row.tolist())] for name, row in zip(classnames, matrix, strict=True)]
    return _write_csv(path, rows)


def _one_run(run: StoredRun, classes: Sequence[ClassFigures], folder: Path) -> list[Path]:
    from vlmbench.metrics.calibration import calibration_bins
    from vlmbench.metrics.classification import confusion_matrix
    from vlmbench.metrics.one_vs_rest import by_class

    record, samples = run.record, read_samples(run)
    names = [row.name for row in classes]
    matrix = confusion_matrix(samples["label"], samples["prediction"], len(names))
    title = f"{record.system} on {record.dataset.id}, {record.spec.role}"
    stem = folder / run.path.name
    written = confusion_picture(matrix, names, stem.with_name(stem.name + "-confusion"), title=title)
    written.append(write_confusion_csv(matrix, names, stem.with_name(stem.name + "-confusion.csv")))
    keys = ("recall", "precision", "specificity", "f1")
    header = ["class", "n", *(f"{key}{end}" for key in keys for end in ("", "_low", "_high"))]
    cells = []
    for name, counts in zip(names, by_class(samples, len(names)), strict=True):
        found = counts.figures()
        values = [(one.value, one.low, one.high) if (one := found.get(key)) else ("",) * 3 for key in keys]
        cells.append([name, str(counts.n), *(str(value) for three in values for value in three)])
    written.append(_write_csv(stem.with_name(stem.name + "-per-class.csv"), [header, *cells]))
    if chart := recall_chart(names, [("recall", samples)], "recall", title):
        written += _save(chart, [], stem.with_name(stem.name + "-per-class"), f"{title}: recall (%) by class")
    if roc := roc_chart(run, samples, "roc", title):
        chart, shown, area = roc
        mean = f"mean ROC AUC over {len(names)} classes" if len(names) > 2 else "ROC AUC"
        legend = [(index, name, False) for index, name in enumerate(shown)]
        written += _save(chart, legend, stem.with_name(stem.name + "-roc"), f"{title}: {mean} {area.value * 100:.1f} %")
    bins = calibration_bins(samples["confidence"], samples["prediction"] == samples["label"])
    return written + reliability_diagram(bins, stem.with_name(stem.name + "-reliability"), title=title)


def roc_chart(
    run: StoredRun, columns: Mapping[str, Any], identity: str, title: str
) -> tuple[str, list[str], Metric] | None:
    """The ROC curves of a run, their names, and the area (the mean over classes); None: it has none.

    Of two classes the curve of the second, with the operating point of one half; of more a curve for each against the
    rest, at most `COLOURS`: those of the smallest areas.
    """
    from vlmbench.metrics.one_vs_rest import class_scores, counts_of, roc_curve, thinned

    names, scores = class_names(run), class_scores(columns)
    each, mean = class_areas(run, columns)
    if scores is None or mean is None or len(names) < 2:
        return None
    worst = sorted((one.value, index) for index, one in enumerate(each) if one is not None)[:COLOURS]
    shown = [1] if len(names) == 2 else sorted(index for _, index in worst)
    truth = [columns["label"] == index for index in shown]
    curves = [
        (names[index], thinned(roc_curve(has, scores[:, index]))) for index, has in zip(shown, truth, strict=True)
    ]
    point = None
    if len(names) == 2:
        at = counts_of(truth[0], scores[:, 1] >= THRESHOLD)
        point = (at.fp / (at.fp + at.tn), at.tp / at.n)
    return roc_svg(identity, title, curves, point), [name for name, _ in curves] if len(curves) > 1 else [], mean


def recall_chart(names: Sequence[str], runs: Sequence[tuple[str, Mapping[str, Any]]], identity: str, title: str) -> str:
    """Recall of each class with intervals, from the per-sample columns of one or two classifiers; none beyond `MOST`
    classes."""
    from vlmbench.metrics.classification import MOST
    from vlmbench.metrics.one_vs_rest import by_class

    if not 2 <= len(names) <= MOST:
        return ""
    series = []
    for name, columns in runs:
        found = [counts.figures().get("recall") for counts in by_class(columns, len(names))]
        series.append((name, [(one.value, one.low, one.high) if one is not None else None for one in found]))
    return per_class_svg(identity, title, names, series, "recall × 100")


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_cell(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())
    return path


def _save(chart: str, legend: Sequence[tuple[int, str, bool]], stem: Path, title: str) -> list[Path]:
    drawing = standalone(chart, legend, title)
    svg, picture, page = (stem.with_name(stem.name + ending) for ending in (".svg", ".png", ".pdf"))
    write_text(svg, ET.tostring(drawing, encoding="unicode") + "\n")
    write_bytes(page, pdf(drawing))
    longest = max(float(drawing.get("width", 1)), float(drawing.get("height", 1)))
    before = picture.read_bytes() if picture.is_file() else b""
    write_bytes(picture, png(drawing, min(SCALE, _LARGEST / longest), before))
    return [picture, svg, page]


def standalone(chart: str, legend: Sequence[tuple[int, str, bool]], title: str) -> ET.Element:
    """A chart of the page as a standalone drawing: title above, legend below, styles as attributes.

    Args:
        chart: from `charts`.
        legend: each line's colour, name, and whether it has a dashed zero-shot level.
        title: shown above the chart.
    """
    inner = ET.fromstring(re.sub("<svg ", f'<svg xmlns="{SVG.strip("{}")}" ', chart, count=1))  # noqa: S314 - our own
    width, height = (float(part) for part in inner.get("viewBox", "").split()[2:])
    above = textwrap.wrap(visible(title), max(20, int(width / 6.2)))[:4]
    entries = [(colour, text, dashed) for colour, name, level in legend for text, dashed in _entries(name, level)]
    top, below = _LINE * len(above) + 8, _LINE * len(entries) + 8 * bool(entries)
    size = {"width": f"{width:g}", "height": f"{height + top + below:g}"}
    root = ET.Element(f"{SVG}svg", {"viewBox": f"0 0 {size['width']} {size['height']}", **size, "role": "img"})
    ET.SubElement(root, f"{SVG}title").text = visible(title)
    ET.SubElement(root, f"{SVG}rect", {**size, "fill": "#fff"})
    for number, line in enumerate(above, 1):
        _text(root, line, width / 2, _LINE * number, "middle", "13")
    group = ET.SubElement(root, f"{SVG}g", {"transform": f"translate(0 {top})"})
    group.extend(child for child in inner if child.tag not in (f"{SVG}title", f"{SVG}desc"))
    for number, (colour, text, dashed) in enumerate(entries):
        y = height + top + _LINE * number + 10
        sample = {"class": f"{'level' if dashed else 'line'} c{colour}", "x1": "38", "x2": "62"}
        ET.SubElement(root, f"{SVG}line", {**sample, "y1": f"{y:g}", "y2": f"{y:g}"})
        if not dashed:
            root.append(ET.fromstring(re.sub(" ", f' xmlns="{SVG.strip("{}")}" ', marker(colour, 50, y), count=1)))  # noqa: S314
        _text(root, text, 68, y + 4, "start", "11")
    for element in root.iter():
        _inline(element)
    return root


def _entries(name: str, level: bool) -> list[tuple[str, bool]]:
    shown = visible(name)
    shown = shown if len(shown) <= 32 else shown[:31] + "…"
    return [(shown, False), *([(f"{shown}, zero-shot", True)] if level else [])]


def _text(parent: ET.Element, text: str, x: float, y: float, anchor: str, size: str) -> None:
    place = {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor, "font-size": size, "fill": "#1b1f24"}
    ET.SubElement(parent, f"{SVG}text", {**place, "font-family": "sans-serif"}).text = text


def _inline(element: ET.Element) -> None:
    """Turns an element's classes into attributes, which every viewer understands."""
    classes = set(element.attrib.pop("class", "").split())
    for wanted, values in _styles():
        if wanted <= classes:
            element.attrib.update(values)


@cache
def _styles() -> list[tuple[frozenset[str], dict[str, str]]]:
    """The page's style sheet for charts, more specific rules last: classes and their attributes."""
    text = (files("vlmbench.report") / "templates" / "report.css").read_text("utf-8")
    colours = dict(re.findall(r"--(\w+): ([^;]+);", text.partition("@media")[0]))
    rules = []
    for selectors, body in _RULE.findall(re.sub(r"\} \.", "}\n.", text)):
        pairs = [part.split(": ", 1) for part in body.rstrip(";").split("; ")]
        values = {name: re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], value) for name, value in pairs}
        if font := values.pop("font", None):
            values |= {"font-size": font.split("px")[0], "font-family": "sans-serif"}
        rules += [(frozenset(one.strip(".").split(".")), values) for one in selectors.split(", ")]
    return sorted(rules, key=lambda rule: len(rule[0]))
