"""``vlmbench compare``: tables over everything found, with paired tests between systems."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options.common import Common, deciding_metric, option, with_some

SHOWN = 40
"""Comparisons of two systems that are printed; they grow with the square of the systems, and the files have all."""


class Export(StrEnum):
    """Where records can be logged."""

    wandb = "wandb"
    mlflow = "mlflow"
    tensorboard = "tensorboard"


@with_some("out", "cache_dir", "json", "quiet", "debug")
def command(
    common: Common,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN_OR_DIR]...",
            help="Runs, results directories, results of CLIP_benchmark (default: --out).",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        option(
            "--metric",
            metavar="METRIC",
            callback=deciding_metric,
            help="The metric of classification tables and tests: {deciding metrics}. (default: each dataset's own)",
        ),
    ] = None,
    strict: Annotated[
        bool, option("--strict", help="Exit 3 where runs of one dataset cannot be put side by side.")
    ] = False,
    figures: Annotated[
        bool, option("--figures", help="Also draw curves, confusion matrices, reliability under OUT/figures.")
    ] = False,
    no_report: Annotated[bool, option("--no-report", help="Tables only, no report.html.")] = False,
    eval_results: Annotated[
        Path | None,
        option("--eval-results", metavar="DIR", help="Also write the hub's .eval_results YAML, one folder per model."),
    ] = None,
    export_to: Annotated[
        list[Export] | None, option("--export", help="Also log every record there, where the package is installed.")
    ] = None,
) -> None:
    """Tables over everything found, with paired tests between systems on the same images.

    Classification: zero-shot, probe and their difference for each dataset and model. Captions: systems by metrics, on
    the images that all have. Runs that cannot be compared (another split, n, metric, other references) stand in rows
    of their own, and the fields that differ are named. Results of CLIP_benchmark (its JSON, or the CSV of its build)
    stand beside them: figures without interval, not tested.
    """
    from vlmbench.api.comparing import compare
    from vlmbench.cli.console import Console, print_json
    from vlmbench.cli.output import document, foreign_results, say_where, show_table
    from vlmbench.cli.pictures import Thumbnails
    from vlmbench.foundations.atomic import write_text
    from vlmbench.foundations.errors import InputError
    from vlmbench.foundations.paths import default_cache_dir
    from vlmbench.report import export
    from vlmbench.report.loggers import export as export_records
    from vlmbench.report.page.write import write_report

    console = Console(quiet=common.quiet)
    compared = compare(runs or [common.out], metric=metric)
    found, tables = compared.results.runs, compared.tables
    if compared.refused and strict:
        raise InputError(compared.refused[0], fix="compare runs on the same split and images, or leave --strict out")
    for line in compared.warnings:
        console.warn(line)
    if not tables:
        raise InputError("nothing to show: no result has figures for a table", fix="vlmbench compare --help")
    written = compared.write(common.out)
    if not no_report:
        written.append(
            write_report(
                found, tables, common.out / "report.html", pictures=Thumbnails(common.cache_dir or default_cache_dir())
            )
        )
    if figures:
        from vlmbench.report.page.figures import write_figures

        write_figures(found, common.out)
    if eval_results:
        from vlmbench.data.catalogue import listed

        entries = export.eval_results(found, {name: entry.hub_id for name, entry in listed().items()})
        if not entries:
            console.warn(f"nothing to write to {eval_results}: no run is on a dataset of the hub (hf:owner/name)")
        for name, text in entries.items():
            write_text(eval_results / name, text)
            written.append(eval_results / name)
    for target in export_to or []:
        export_records(target.value, found, common.out)
        console.note(f"logged {len(found)} records to {target.value}")
    if common.json:
        others = {"comparisons": compared.pairs(), "foreign": foreign_results(compared.foreign)}
        print_json({**document(found, written), **others})
        return
    for table in tables:
        show_table(table, most=SHOWN if table.name == "comparisons" else None)
    if not common.quiet:
        say_where(written)
