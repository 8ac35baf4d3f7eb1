"""``report.html``: one file that opens without a network; everything from data is escaped.

Jinja escapes, and every text passes `visible` first, so that control and direction characters are shown, not
obeyed. The page's content security policy allows its own script (by hash) and inline pictures only.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from vlmbench import __version__
from vlmbench.foundations.atomic import write_text
from vlmbench.foundations.paths import slug
from vlmbench.foundations.text import visible
from vlmbench.metrics.classification.ece import SPEC as CALIBRATION
from vlmbench.records.signature import signature
from vlmbench.records.store import StoredRun
from vlmbench.report.blocks import without_constants
from vlmbench.report.formats import html_table
from vlmbench.report.grouping import of_family, unique
from vlmbench.report.page.charts import COLOURS, few_shot_svg, key_svg, reliability_svg, robustness_svg, severity_svg
from vlmbench.report.page.figures import (
    few_shot_series,
    line_of,
    recall_chart,
    robustness_series,
    roc_chart,
    severity_series,
)
from vlmbench.report.page.findings import (
    CaptionPair,
    best_and_worst,
    caption_pairs,
    class_names,
    confusion,
    disagreements,
    surest_errors,
)
from vlmbench.report.page.significance import significance_svg, title_of
from vlmbench.report.pairs import Pairs
from vlmbench.report.reading import findings
from vlmbench.report.table import Table
from vlmbench.report.tables.caption_blocks import caption_blocks
from vlmbench.report.tables.comparisons import matrices
from vlmbench.report.tables.robustness import Shift, shifts
from vlmbench.report.tables.rows import Row, classification_rows

LONGEST = 4000
"""Longest signature that is shown, in characters."""

FOLDED = 12
"""Rows of these tables shown at once; more are collapsed, so that curves and pictures are not far below."""
FOLDABLE = {"comparisons": "comparisons", "per_class": "rows, one for each class of a run"}

Pictures = Callable[[str, str, Sequence[str]], Mapping[str, bytes]]
"""Maps dataset id, split and image ids to small PNG or JPEG pictures by id; ids without a picture are left out."""


@dataclass
class _Names:
    """Link anchors, unique on the page."""

    used: set[str] = field(default_factory=set)

    def __call__(self, text: str) -> str:
        name = base = slug(text).lower()
        number = 1
        while name in self.used:
            number += 1
            name = f"{base}-{number}"
        self.used.add(name)
        return name


def write_report(
    runs: Sequence[StoredRun], tables: Sequence[Table], path: Path, *, pictures: Pictures | None = None
) -> Path:
    """Writes the report over `runs` and returns its path.

    Args:
        runs: the runs that the tables were built from.
        tables: from `build_tables`.
        path: the file.
        pictures: where pictures come from; None: the report has no pictures.

    Raises:
        InputError: a per-sample file cannot be read.
        OutputError: the file cannot be written.
    """
    write_text(path, render_report(runs, tables, pictures=pictures))
    return path


def render_report(runs: Sequence[StoredRun], tables: Sequence[Table], *, pictures: Pictures | None = None) -> str:
    """The report's HTML."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("vlmbench.report") / "templates"
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    chosen = unique(runs)
    pairs, names = Pairs(), _Names()
    script = (folder / "report.js").read_text("utf-8")
    rows = classification_rows(chosen)
    return environment.get_template("report.html.j2").render(
        version=__version__,
        style=Markup((folder / "report.css").read_text("utf-8")),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        findings=findings(tables),
        tables=[_table(table, names) for table in tables],
        curves=_curves(rows, names),
        shifts=_shifts(shifts(chosen, pairs), names),
        severities=_severities(chosen, pairs, names),
        models=[_model(row, pairs, names, pictures) for row in _two_first(rows)],
        caption_pairs=_caption_pairs(chosen, pairs, pictures),
        captions=[_caption_run(run, pairs, names, pictures) for run in of_family(chosen, "captions")],
        runs=[(run, _long_signature(run)) for run in chosen],
        n_datasets=len({run.record.dataset.id for run in chosen}),
    )


def _two_first(rows: Sequence[Row]) -> list[Row]:
    """The rows with figures of their own, those with both zero-shot and probe first."""
    return sorted((row for row in rows if row.zero or row.full), key=lambda row: not (row.zero and row.full))


def _long_signature(run: StoredRun) -> str:
    """The long form; empty if it would fill pages (a thousand class names): the record has all of it."""
    line = signature(run.record.model_copy(update={"signature": ""}), __version__, long=True)
    return line if len(line) <= LONGEST else ""


def _safe(html: str) -> Any:
    """HTML from functions of this package, which escape their input."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704 - see above


def _table(table: Table, names: _Names) -> dict[str, Any]:
    first, *more = table.shown()
    matrices_of = matrices(table) if table.name == "comparisons" else []
    trimmed, *extra = map(without_constants, (first, *more))
    return {
        "matrices": [
            (title_of(one), _safe(significance_svg(names(f"differences {one.dataset}"), one))) for one in matrices_of
        ],
        "name": table.name,
        "title": first.title,
        "heading": trimmed.title,
        "html": _safe(html_table(trimmed)),
        "folded": f"{len(table.rows)} {FOLDABLE[table.name]}"
        if table.name in FOLDABLE and len(table.rows) > FOLDED
        else "",
        "extra": [{"title": one.title, "html": _safe(html_table(one))} for one in extra],
    }


def _curves(rows: Sequence[Row], names: _Names) -> list[dict[str, Any]]:
    """A chart for every place with few-shot runs."""
    found = []
    for place, series in few_shot_series(rows):
        legend = [
            (
                _safe(key_svg(i % COLOURS)),
                _safe(key_svg(i % COLOURS, dashed=True)) if one.level is not None else "",
                one.name,
            )
            for i, one in enumerate(series)
        ]
        title = f"{place.dataset}: {place.metric} by labels per class"
        svg = _safe(few_shot_svg(names(f"curve {place.dataset}"), title, series))
        found.append({"dataset": place.dataset, "metric": place.metric, "svg": svg, "legend": legend})
    return found


def _shifts(found: Sequence[Shift], names: _Names) -> list[dict[str, Any]]:
    """A chart for every training and test set."""
    charts = []
    for shift in found:
        series = robustness_series(shift)
        legend = [(_safe(key_svg(index % COLOURS)), "", one.name) for index, one in enumerate(series)]
        title = f"{shift.place.dataset} after training on {shift.trained_on}: {shift.metric}"
        svg = _safe(robustness_svg(names(f"shift {shift.place.dataset}"), title, series, line_of(shift)))
        place = f"{shift.trained_on}, tested on {shift.place.dataset}"
        charts.append({"dataset": place, "metric": shift.metric, "svg": svg, "legend": legend})
    return charts


def _severities(runs: Sequence[StoredRun], pairs: Pairs, names: _Names) -> list[dict[str, Any]]:
    """A chart for every dataset with corruptions of several severities."""
    charts = []
    for title, series in severity_series(runs, pairs):
        dataset, _, metric = title.rpartition(": ")
        legend = [(_safe(key_svg(index % COLOURS)), "", one.name) for index, one in enumerate(series)]
        svg = _safe(severity_svg(names(f"severity {title}"), f"{title} by severity", series))
        charts.append({"dataset": dataset, "metric": metric, "svg": svg, "legend": legend})
    return charts


def _model(row: Row, pairs: Pairs, names: _Names, pictures: Pictures | None) -> dict[str, Any]:
    """Figures by class, reliability, ROC, confusions and disagreements of one row."""
    parts, classed = [], []
    for kind, run in (("zero-shot", row.zero), ("probe, all labels", row.full)):
        if run is None:
            continue
        columns = pairs.columns(run) if pairs.has(run) else {}
        part: dict[str, Any] = {"kind": kind, "run": run, "calibration": run.record.metrics.get(CALIBRATION.name)}
        if "prediction" in columns:
            from vlmbench.metrics.calibration import calibration_bins

            bins = calibration_bins(columns["confidence"], columns["prediction"] == columns["label"])
            title = f"{row.place.dataset}, {row.label}, {kind}: reliability"
            part["reliability"] = _safe(reliability_svg(names(f"reliability {title}"), title, bins))
            named = class_names(run, columns)
            classed.append((kind, columns))
            part["confusion"] = confusion(columns, named)
            part["errors"] = surest_errors(columns, named)
            part["pictures"] = _pictures(run, [one.id for one in part["errors"]], pictures)
            part["roc"] = _roc(run, columns, f"{row.place.dataset}, {row.label}, {kind}: ROC", names)
        parts.append(part)
    found: dict[str, Any] = {"row": row, "id": names(f"{row.place.dataset} {row.label}"), "parts": parts, "apart": None}
    found["recall"] = None
    if classed:
        title = f"{row.place.dataset}, {row.label}: recall by class"
        found["recall"] = _safe(recall_chart(named, classed, names(title), title))
        found["legend"] = [(_safe(key_svg(index)), "", kind) for index, (kind, _) in enumerate(classed)]
    if row.zero and row.full and pairs.has(row.zero, row.full):
        first, second = pairs.aligned(row.zero, row.full)
        if "prediction" in first and "prediction" in second:
            apart = disagreements(first, second, class_names(row.zero, first))
            found["apart"] = apart
            ids = [one.id for one in (*apart.probe_wins, *apart.zero_wins, *apart.both_wrong)]
            found["pictures"] = _pictures(row.zero, ids, pictures)
    return found


def _roc(run: StoredRun, columns: Mapping[str, Any], title: str, names: _Names) -> dict[str, Any] | None:
    """The ROC curves of a run, with the area and its interval."""
    found = roc_chart(run, columns, names(title), title)
    if found is None:
        return None
    chart, shown, area = found
    legend = [(_safe(key_svg(index)), "", name) for index, name in enumerate(shown)]
    return {"area": area, "svg": _safe(chart), "legend": legend, "classes": len(class_names(run, columns))}


def _caption_run(run: StoredRun, pairs: Pairs, names: _Names, pictures: Pictures | None) -> dict[str, Any]:
    metric, best, worst = best_and_worst(run, pairs.columns(run) if pairs.has(run) else {})
    return {
        "run": run,
        "id": names(f"captions {run.record.dataset.id} {run.record.system}"),
        "metric": metric,
        "groups": [("Best", best), ("Worst", worst)] if best or worst else [],
        "pictures": _pictures(run, [one.id for one in (*best, *worst)], pictures),
    }


def _caption_pairs(
    runs: Sequence[StoredRun], pairs: Pairs, pictures: Pictures | None
) -> list[tuple[CaptionPair, str, dict[str, str]]]:
    """Two captioners on the same images, the dataset, and its pictures by image id."""
    found = []
    for block in caption_blocks(runs, pairs):
        pairs_of = caption_pairs(block, pairs)
        ids = dict.fromkeys(one.id for pair in pairs_of for one, _ in (*pair.gains, *pair.losses))
        shown = _pictures(block.systems[0][1], list(ids), pictures)
        found += [(pair, block.place.dataset, shown) for pair in pairs_of]
    return found


def _pictures(run: StoredRun, ids: Sequence[str], pictures: Pictures | None) -> dict[str, str]:
    """Data URLs by image id."""
    if pictures is None or not ids:
        return {}
    found = pictures(run.record.dataset.id, run.record.dataset.split, ids)
    return {name: _data_url(data) for name, data in found.items()}


def _data_url(data: bytes) -> str:
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
