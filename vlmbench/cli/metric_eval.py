"""``vlmbench metric-eval``."""

from enum import StrEnum
from typing import Annotated

from vlmbench.cli.options.common import Common, chosen, option, with_common
from vlmbench.cli.options.decoding import Clip, Metrics


class Format(StrEnum):
    """What the judgements are."""

    auto = "auto"
    csv = "csv"
    expert = "expert"
    cf = "cf"
    composite = "composite"


@with_common
def command(
    common: Common,
    judgements: Annotated[
        list[str],
        option(
            "-j",
            "--judgements",
            metavar="FILE",
            help="CSV or JSONL with image_id, candidate, rating; Flickr8k's or Composite's files; several are one set.",
        ),
    ],
    references: Annotated[
        list[str] | None,
        option(
            "-r",
            "--references",
            metavar="FILE",
            help="As for caption-eval, or Flickr's *.token.txt; repeatable.",
        ),
    ] = None,
    format: Annotated[
        Format,
        option("--format", help="expert, cf: ExpertAnnotations.txt, CrowdFlowerAnnotations.txt; composite: its CSV."),
    ] = Format.auto,
    metrics: Metrics = None,
    images: Annotated[
        str | None,
        option("--images", metavar="DIR", help="The judged images by file name, for CLIPScore; or a captioned set."),
    ] = None,
    clip: Clip = None,
    resamples: Annotated[int, option("--resamples", min=100, help="Bootstrap resamples, of whole images.")] = 1000,
) -> None:
    """Do the caption metrics agree with people? Kendall's tau-b and tau-c with human ratings, with 95 % intervals.

    Example: [bold]vlmbench metric-eval -j judgements.csv -r references.json[/bold]

    Or: [bold]vlmbench metric-eval -j ExpertAnnotations.txt -r Flickr8k.token.txt --images Flicker8k_Dataset
    --metrics cider,clipscore[/bold] (papers report tau-c there, and tau-b for CrowdFlowerAnnotations.txt)
    """
    options = chosen(locals())
    import vlmbench

    common.run(vlmbench.metric_eval, **options)
