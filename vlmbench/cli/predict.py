"""``vlmbench predict``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from vlmbench.cli.options.common import Common, option, with_common

if TYPE_CHECKING:
    from vlmbench.api.rows import Predictions


class Format(StrEnum):
    """How predictions are written."""

    csv = "csv"
    jsonl = "jsonl"


@with_common
def command(
    common: Common,
    images: Annotated[list[Path], typer.Argument(help="Images, directories of images, or lists (.csv) of them.")],
    probe: Annotated[Path, option("-p", "--probe", help="A probe saved by vlmbench linear-probe --save-probe.")],
    format: Annotated[
        Format, option("--format", help="CSV with one column per class, or one JSON object per line.")
    ] = Format.csv,
    output: Annotated[Path | None, option("--output", help="Write to this file instead of stdout.")] = None,
) -> None:
    """Predict class labels and probabilities for images with a saved probe.

    Example: [bold]vlmbench predict -p digits.safetensors photos/ --format jsonl[/bold]
    """
    import sys
    from io import StringIO

    import vlmbench
    from vlmbench.foundations.atomic import write_text

    found = vlmbench.predict(probe, images, **common.arguments())
    text = StringIO()
    (_json_document if common.json else _json_lines if format is Format.jsonl else _csv_rows)(text, found)
    if output is None:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    else:
        write_text(output, text.getvalue())


def _csv_rows(target: TextIO, found: "Predictions") -> None:
    import csv

    from vlmbench.foundations.text import csv_cell

    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["image", "label", *map(csv_cell, found.classnames)])
    for one in found:
        label = ";".join(map(csv_cell, one.labels))
        writer.writerow([csv_cell(one.image), label, *(f"{value:.6g}" for value in one.probabilities)])


def _json_lines(target: TextIO, found: "Predictions") -> None:
    import json

    target.writelines(json.dumps(row, ensure_ascii=True) + "\n" for row in found.to_dicts())


def _json_document(target: TextIO, found: "Predictions") -> None:
    import json

    target.write(json.dumps({"predictions": found.to_dicts()}, indent=2, ensure_ascii=True) + "\n")
