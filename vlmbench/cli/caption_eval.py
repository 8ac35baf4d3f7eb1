"""``vlmbench caption-eval``."""

import os
from dataclasses import dataclass
from typing import Annotated

from vlmbench.cli.options.common import Common, option, with_common
from vlmbench.cli.options.data import Limit, Split
from vlmbench.cli.options.decoding import MakingCaptions, ScoringCaptions
from vlmbench.foundations.errors import UsageError


@dataclass(frozen=True)
class Files:
    """Captions in files."""

    references: Annotated[
        str | None,
        option(
            "-r",
            "--references",
            metavar="[NAME=]FILE",
            help="COCO's or Karpathy's JSON, {id: [caption, …]}, JSONL, CSV, Parquet, or a captioned set.",
        ),
    ] = None
    candidates: Annotated[
        list[str] | None,
        option(
            "-p",
            "--candidates",
            metavar="[NAME=]FILE",
            help="COCO results JSON, {id: caption}, JSONL, CSV, Parquet; repeat for several systems.",
        ),
    ] = None
    columns: Annotated[
        str | None,
        option(
            "--columns",
            metavar="ROLE=COLUMN,…",
            help="Columns of tables and lists of objects: image, captions, prediction, group, split.",
        ),
    ] = None
    allow_missing: Annotated[
        bool, option("--allow-missing", help="Score only the images that have both a candidate and references.")
    ] = False
    allow_empty: Annotated[bool, option("--allow-empty", help="Allow empty captions; they score 0.")] = False


@dataclass(frozen=True)
class Data:
    """Captioned images, and which of them."""

    captioner: Annotated[
        list[str] | None,
        option("--captioner", help="Instead of files: a model that captions -d, as in vlmbench caption; repeat."),
    ] = None
    dataset: Annotated[
        str | None,
        option("-d", "--dataset", help="The images for --captioner or CLIPScore: scenes, folder:PATH, coco:…, hf:…"),
    ] = None
    split: Split = None
    limit: Limit = None


@with_common
def command(common: Common, files: Files, data: Data, scoring: ScoringCaptions, how: MakingCaptions) -> None:
    """Scores captions against references: BLEU, ROUGE-L, METEOR, CIDEr, with intervals and paired tests, without Java.

    Example: [bold]vlmbench caption-eval -r references.json -p mine=results.json -p baseline=other.json[/bold]

    Or: [bold]vlmbench caption-eval --captioner tiny-captioner --captioner retrieval:tiny-clip -d scenes[/bold]
    """
    if data.captioner:
        _captioners(common, data, scoring, how)
    else:
        _files(common, files, data, scoring)


def _captioners(common: Common, data: Data, scoring: ScoringCaptions, how: MakingCaptions) -> None:
    if data.dataset is None:
        raise UsageError("--captioner goes with -d", fix="vlmbench caption-eval --captioner MODEL -d scenes")
    import vlmbench

    options = {"split": data.split, "limit": data.limit, **scoring.arguments(), **how.arguments()}
    common.run(vlmbench.score_captioners, data.captioner, data.dataset, **options)


def _files(common: Common, files: Files, data: Data, scoring: ScoringCaptions) -> None:
    if files.references is None or not files.candidates:
        raise UsageError(
            "give references with -r and candidates with -p, or --captioner with -d",
            fix="vlmbench caption-eval -r references.json -p results.json",
        )
    # A thin product gains nothing from threads that wait for each other and take METEOR's core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import vlmbench

    options = {**vars(files), **vars(data), **scoring.arguments()}
    del options["captioner"]
    common.run(vlmbench.score_captions, options.pop("references"), options.pop("candidates"), **options)
