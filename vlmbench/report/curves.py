"""Pictures for papers and slides, as PNG and SVG: few-shot curves, reliability diagrams, confusion matrices.

Drawn with matplotlib's file backends only (no display), with nothing in the files that changes from one call to the
next. Class names are text: they are never read as formulas.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vlmbench.foundations.atomic import atomic_path, write_text
from vlmbench.foundations.paths import slug
from vlmbench.foundations.text import csv_cell, visible
from vlmbench.records.store import StoredRun, read_samples
from vlmbench.report.classification import Row, classification_rows
from vlmbench.report.crossing import labels_per_class
from vlmbench.report.grouping import place_labels, unique

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_NAMED = 40
"""Above this many classes a confusion matrix has no names beside it."""
_STYLE = {"svg.hashsalt": "vlmbench", "svg.fonttype": "path", "font.size": 9.0, "text.parse_math": False}
_COLOURS = ("#3b6fb6", "#d1603d", "#3f8f5f", "#8661a8", "#b08a2e", "#5b5b5b")


def write_figures(runs: Sequence[StoredRun], out: Path) -> list[Path]:
    """Draws everything these runs can show, under `out`/figures.

    For zero-shot and for a probe on all labels: confusion matrix (PNG, SVG, CSV), per-class figures (CSV) and
    reliability diagram. For few-shot runs: a curve for each dataset, a line for each model.

    Returns:
        The files.

    Raises:
        OutputError: a file cannot be written.
    """
    written: list[Path] = []
    for run in runs:
        record = run.record
        if record.shots is None and record.task in {"zeroshot", "linear-probe"} and "per_class" in record.detail:
            written += _one_run(run, out / "figures")
    rows = [row for row in classification_rows(unique(runs)) if row.shots]
    names = place_labels(sorted({row.place for row in rows}))
    for place, dataset in names.items():
        lines = {row.label: _curve(row) for row in rows if row.place == place}
        stem = out / "figures" / slug(f"few-shot-{dataset}", longest=100)
        written += few_shot_curve(lines, stem, title=f"{dataset}: linear probe by labels per class")
    return written


def _curve(row: Row) -> dict[str, Any]:
    """The figures of a row's probes by labels per class; zero-shot as it was run, else as a probe's record tells it."""
    metric = row.place.metric
    points: list[dict[str, Any]] = []
    for k, run in (*sorted(row.shots.items()), *([(labels_per_class(row.full), row.full)] if row.full else [])):
        if not points or k > points[-1]["labels_per_class"]:
            points.append({"labels_per_class": float(k), **run.record.metrics[metric].model_dump()})
    told = next(iter(row.shots.values())).record.detail.get("curve")
    level = told.get("zero_shot") if isinstance(told, dict) and told.get("metric") == metric else None
    if row.zero is not None:
        level = row.zero.record.metrics[metric].value
    return {"metric": metric, "points": points, "zero_shot": level}


def few_shot_curve(lines: Mapping[str, Mapping[str, Any]], stem: Path, *, title: str) -> list[Path]:
    """Draws few-shot curves with bands, zero-shot as a dashed line of the same colour, on a logarithmic axis.

    Args:
        lines: for each system its metric, its points (labels_per_class, value, low, high) and its zero_shot figure.
        stem: where to write ``stem.png`` and ``stem.svg``.
        title: above the picture.
    """
    figure, axes = _canvas(5.2, 3.6)
    ticks: set[float] = set()
    for index, (name, curve) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        points = curve["points"]
        x = [point["labels_per_class"] for point in points]
        ticks |= set(x)
        values = [100 * point["value"] for point in points]
        axes.plot(x, values, marker="osDv^P"[index % 6], markersize=4, color=colour, label=visible(name))
        bounds = [
            (100 * (point[key] if point[key] is not None else point["value"]))
            for key in ("low", "high")
            for point in points
        ]
        axes.fill_between(x, bounds[: len(x)], bounds[len(x) :], color=colour, alpha=0.15, linewidth=0)
        if curve.get("zero_shot") is not None:
            axes.axhline(
                100 * curve["zero_shot"], color=colour, linestyle="--", linewidth=1, label=f"{visible(name)}, zero-shot"
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(ticks), [f"{tick:.3g}" for tick in sorted(ticks)])
    axes.minorticks_off()
    axes.set_xlabel("labelled images per class")
    axes.set_ylabel(f"{next(iter(lines.values()))['metric'].replace('_', ' ')} × 100")
    axes.set_title(visible(title))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return _save(figure, stem)


def reliability_diagram(bins: Sequence[Mapping[str, float]], stem: Path, *, title: str) -> list[Path]:
    """Draws accuracy over confidence; a dot's area is its bin's share of the images.

    Args:
        bins: of `metrics.calibration.calibration_bins`.
        stem: where to write ``stem.png`` and ``stem.svg``.
        title: above the picture.
    """
    figure, axes = _canvas(3.6, 3.6)
    total = sum(row["n"] for row in bins)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--")
    axes.plot([row["confidence"] for row in bins], [row["accuracy"] for row in bins], color=_COLOURS[0], linewidth=1)
    sizes = [20 + 600 * row["n"] / total for row in bins]
    axes.scatter(
        [row["confidence"] for row in bins], [row["accuracy"] for row in bins], s=sizes, color=_COLOURS[0], alpha=0.5
    )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    axes.set_title(visible(title))
    axes.grid(alpha=0.25)
    return _save(figure, stem)


def confusion_picture(matrix: "NDArray[Any]", classnames: Sequence[str], stem: Path, *, title: str) -> list[Path]:
    """Draws a confusion matrix, each row as shares of its class.

    Args:
        matrix: images by class (rows) and prediction (columns), `[C, C]`.
        classnames: `[C]`.
        stem: where to write ``stem.png`` and ``stem.svg``.
        title: above the picture.
    """
    classes = len(classnames)
    size = min(12.0, 2.6 + 0.22 * classes)
    figure, axes = _canvas(size, size)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / totals.clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= MOST_NAMED:
        names = [visible(name) for name in classnames]
        axes.set_xticks(range(classes), names, rotation=90)
        axes.set_yticks(range(classes), names)
        if classes <= 20:
            for row in range(classes):
                for column in range(classes):
                    if matrix[row, column]:
                        dark = shares[row, column] > 0.5
                        axes.text(
                            column, row, str(int(matrix[row, column])), ha="center", va="center", fontsize=6,
                            color="white" if dark else "black",
                        )  # fmt: skip
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(visible(title))
    return _save(figure, stem)


def write_confusion_csv(matrix: "NDArray[Any]", classnames: Sequence[str], path: Path) -> Path:
    """Writes a confusion matrix `[C, C]` as CSV, true classes in rows."""
    rows = [["true \\ predicted", *classnames]]
    rows += [[name, *map(str, row.tolist())] for name, row in zip(classnames, matrix, strict=True)]
    return _write_csv(path, rows)


def _one_run(run: StoredRun, folder: Path) -> list[Path]:
    from vlmbench.metrics.calibration import calibration_bins
    from vlmbench.metrics.classification import confusion_matrix

    record, samples = run.record, read_samples(run)
    rows = cast(list[dict[str, Any]], record.detail["per_class"])
    names = [str(row["class"]) for row in rows]
    matrix = confusion_matrix(samples["label"], samples["prediction"], len(names))
    title = f"{record.system} on {record.dataset.id}, {'zero-shot' if record.task == 'zeroshot' else 'probe'}"
    stem = folder / run.path.name
    written = confusion_picture(matrix, names, stem.with_name(stem.name + "-confusion"), title=title)
    written.append(write_confusion_csv(matrix, names, stem.with_name(stem.name + "-confusion.csv")))
    header = ["class", "n", "recall", "precision"]
    cells = [["" if row[key] is None else str(row[key]) for key in header] for row in rows]
    written.append(_write_csv(stem.with_name(stem.name + "-per-class.csv"), [header, *cells]))
    bins = calibration_bins(samples["confidence"], samples["prediction"] == samples["label"])
    return written + reliability_diagram(bins, stem.with_name(stem.name + "-reliability"), title=title)


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_cell(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())
    return path


def _canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.add_subplot()


def _save(figure: "Figure", stem: Path) -> list[Path]:
    import warnings

    import matplotlib

    written = []
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a class name in a script the font lacks
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            path = stem.with_name(stem.name + suffix)
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix[1:], dpi=160, metadata=metadata)
            written.append(path)
    return written
