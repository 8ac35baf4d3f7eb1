"""``vlmbench predict``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from vlmbench.cli.options.common import Common, option, with_common

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vlmbench.tasks.predict import Prediction


class Format(StrEnum):
    """How predictions are written."""

    csv = "csv"
    jsonl = "jsonl"


@with_common
def command(
    common: Common,
    images: Annotated[list[Path], typer.Argument(help="Images, or directories of images.")],
    probe: Annotated[Path, option("-p", "--probe", help="A probe saved by vlmbench linear-probe --save-probe.")],
    format: Annotated[
        Format, option("--format", help="CSV with one column per class, or one JSON object per line.")
    ] = Format.csv,
    output: Annotated[Path | None, option("--output", help="Write to this file instead of stdout.")] = None,
) -> None:
    """Predict class labels and probabilities for images with a saved probe.

    Example: [bold]vlmbench predict -p digits.safetensors photos/ --format jsonl[/bold]
    """
    import io
    import sys

    from vlmbench.foundations.atomic import write_text
    from vlmbench.tasks.predict import find_images, open_predictor

    found = find_images(images)
    predictor = open_predictor(probe, common.context())
    write = _json_document if common.json else _json_lines if format is Format.jsonl else _csv_rows
    if output is None:
        write(sys.stdout, predictor.probe.classnames, predictor.predict(found))
        sys.stdout.flush()
        return
    text = io.StringIO()
    write(text, predictor.probe.classnames, predictor.predict(found))
    write_text(output, text.getvalue())


def _csv_rows(target: TextIO, classnames: "Sequence[str]", predictions: "Iterable[Prediction]") -> None:
    import csv

    from vlmbench.foundations.text import csv_cell

    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["image", "label", *map(csv_cell, classnames)])
    for one in predictions:
        label = ";".join(map(csv_cell, one.labels))
        writer.writerow([csv_cell(one.image), label, *(f"{value:.6g}" for value in one.probabilities)])


def _json_lines(target: TextIO, classnames: "Sequence[str]", predictions: "Iterable[Prediction]") -> None:
    import json

    for one in predictions:
        target.write(json.dumps(_row(classnames, one), ensure_ascii=True) + "\n")


def _json_document(target: TextIO, classnames: "Sequence[str]", predictions: "Iterable[Prediction]") -> None:
    """Nothing is written unless all of it can be."""
    import json

    rows = [_row(classnames, one) for one in predictions]
    target.write(json.dumps({"predictions": rows}, indent=2, ensure_ascii=True) + "\n")


def _row(classnames: "Sequence[str]", one: "Prediction") -> dict[str, Any]:
    return {
        "image": one.image,
        "labels": list(one.labels),
        "probabilities": dict(zip(classnames, one.probabilities, strict=True)),
    }
