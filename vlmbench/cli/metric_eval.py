"""``vlmbench metric-eval``."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from vlmbench.cli.options import Common, option, with_common

if TYPE_CHECKING:
    from vlmbench.metrics.agreement import Tau


class Format(StrEnum):
    """What the judgements are."""

    auto = "auto"
    csv = "csv"
    expert = "expert"
    cf = "cf"


@with_common
def command(
    common: Common,
    judgements: Annotated[
        str,
        option("-j", "--judgements", help="CSV or JSONL with image_id, candidate, rating; or a file of Flickr8k's."),
    ],
    references: Annotated[
        str | None,
        option("-r", "--references", help="As for caption-eval; for Flickr8k's judgements, Flickr8k.token.txt."),
    ] = None,
    format: Annotated[
        Format, option("--format", help="expert, cf: ExpertAnnotations.txt and CrowdFlowerAnnotations.txt of Flickr8k.")
    ] = Format.auto,
    metrics: Annotated[
        str, option("--metrics", help="Comma-separated: bleu, rouge_l, meteor, cider, cider_d, spice.")
    ] = "bleu,rouge_l,meteor,cider",
    resamples: Annotated[int, option("--resamples", min=100, help="Bootstrap resamples, of whole images.")] = 1000,
) -> None:
    """Do the caption metrics agree with people? Kendall's tau-b and tau-c with human ratings, with 95 % intervals.

    Example: [bold]vlmbench metric-eval -j judgements.csv -r references.json[/bold]

    Or: [bold]vlmbench metric-eval -j ExpertAnnotations.txt -r Flickr8k.token.txt[/bold] (tau-c is the usual figure;
    tau-b for CrowdFlowerAnnotations.txt)
    """
    from vlmbench.cli.console import print_json, print_table
    from vlmbench.runs.caption_eval import metric_names
    from vlmbench.runs.metric_eval import Request, run_metric_eval, write_tables

    request = Request(judgements, references, format.value, metric_names(metrics), resamples)
    context = common.context()
    results = run_metric_eval(request, context)
    written = write_tables(results, common.out)
    if common.json:
        print_json({"results": [item.document() for item in results], "tables": [str(path) for path in written]})
        return
    first = results[0]
    print_table(
        f"Agreement with people: {first.dataset}",
        ("metric", "Kendall tau-b", "Kendall tau-c", "n"),
        [(item.metric, _shown(item.tau_b), _shown(item.tau_c), f"{item.n:,}") for item in results],
        caption=f"95 % intervals: {first.resamples:,} bootstrap resamples of {first.images:,} images",
    )
    context.reporter.note(f"tables: {written[0]}, {written[1]}")


def _shown(tau: "Tau") -> str:
    return "not defined" if tau.value != tau.value else f"{tau.value:.3f} [{tau.low:.3f}, {tau.high:.3f}]"
