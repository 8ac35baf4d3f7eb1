"""``vlmbench compare``: tables of all runs, with paired tests between systems."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options.common import Common, option, with_some
from vlmbench.cli.options.data import Metric

CLASSES_SHOWN = 20
"""Rows up to which figures per class are printed; the files and the report have all of them."""


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
            metavar="[[NAME=]RUN_OR_DIR]...",
            help="Runs, results directories, results of CLIP_benchmark, shown in this order; NAME= renames a system "
            "(default: --out).",
            show_default=False,
        ),
    ] = None,
    metric: Metric = None,
    relative_to: Annotated[
        str | None,
        option(
            "--relative-to",
            metavar="MODEL",
            help="Divide errors on corrupted images by this model's: corruption errors and their mean, mCE.",
        ),
    ] = None,
    positive: Annotated[
        str | None,
        option("--positive", metavar="CLASS", help="The positive class of two-class sets. (default: the second)"),
    ] = None,
    threshold: Annotated[
        str | None,
        option(
            "--threshold",
            metavar="P|RULE",
            help="Two-class sets: positive from this probability on; or sensitivity=0.95, specificity=0.9, youden: "
            "chosen on the probe's validation images. (default: 0.5)",
        ),
    ] = None,
    strict: Annotated[
        bool, option("--strict", help="Exit 3 if runs on one dataset cannot be shown side by side.")
    ] = False,
    columns: Annotated[
        str | None,
        option("--columns", metavar="NAME,…", help="Only these figures, in this order; names as in the CSV."),
    ] = None,
    no_intervals: Annotated[
        bool, option("--no-intervals", help="Figures alone, here and in Markdown, LaTeX and HTML; the CSV has all.")
    ] = False,
    figures: Annotated[
        Path | None,
        option("--figures", metavar="DIR", help="Also draw the report's figures there, as SVG, PDF and PNG."),
    ] = None,
    no_report: Annotated[bool, option("--no-report", help="Tables only, no report.html.")] = False,
    eval_results: Annotated[
        Path | None,
        option("--eval-results", metavar="DIR", help="Also write the hub's .eval_results YAML, one folder per model."),
    ] = None,
    export_to: Annotated[
        list[Export] | None, option("--export", help="Also log every record there, if the package is installed.")
    ] = None,
) -> None:
    """Tables of all runs and report.html, with paired tests between systems on the same images.

    Classification: zero-shot, probe and their difference for each dataset and model. Captions: systems by metrics, on
    the images that all have. Runs that cannot be compared (another split, n, metric, other references) get rows
    of their own, and the fields that differ are named. Results of CLIP_benchmark (its JSON, or the CSV of its build)
    are shown alongside: figures without intervals, not tested.

    Examples:
    [bold]vlmbench compare results other/results --metric mean_per_class_accuracy -o comparison[/bold]
    [bold]vlmbench compare results --columns bleu_4,meteor,cider --no-intervals --figures figures[/bold]
    """
    import vlmbench
    from vlmbench.cli.console import Console, print_json
    from vlmbench.cli.output import say_where, show_table
    from vlmbench.foundations.errors import InputError

    console = Console(quiet=common.quiet)
    compared = vlmbench.compare(
        runs or [common.out],
        metric=metric,
        relative_to=relative_to,
        positive=positive,
        threshold=threshold,
        columns=columns.split(",") if columns else None,
    )
    if compared.refused and strict:
        raise InputError(compared.refused[0], fix="compare runs on the same split and images, or leave out --strict")
    for line in compared.warnings:
        console.warn(line)
    if not compared.tables:
        raise InputError("nothing to show: no result has figures for a table", fix="vlmbench compare --help")
    written = compared.write(common.out, intervals=not no_intervals)
    if not no_report:
        written.append(compared.write_report(common.out / "report.html", common.cache_dir))
    if figures:
        written += compared.write_figures(figures)
    if eval_results:
        entries = compared.write_eval_results(eval_results)
        if not entries:
            console.warn(f"nothing to write to {eval_results}: no run uses a dataset of the hub (hf:owner/name)")
        written += entries
    for target in export_to or []:
        compared.log_to(target.value, common.out)
        console.note(f"logged {len(compared.results)} records to {target.value}")
    if common.json:
        print_json({**compared.to_dict(), "tables": list(map(str, written))})
        return
    for table in compared.tables:
        if table.name != "per_class" or len(table.rows) <= CLASSES_SHOWN:
            show_table(table.without_intervals() if no_intervals else table)
    if not common.quiet:
        say_where(written)
        if not (columns or no_intervals or figures):
            console.note("for a paper: --columns and --no-intervals make tables/*.tex narrower, --figures DIR draws")
