"""``vlmbench caption-eval``."""

from typing import Annotated

from vlmbench.cli.options import Common, option, with_common


@with_common
def command(
    common: Common,
    references: Annotated[
        str,
        option(
            "-r",
            "--references",
            help="COCO annotations JSON, {id: [caption, …]}, JSONL, CSV (or gzip), or hf:owner/name.",
        ),
    ],
    candidates: Annotated[
        list[str],
        option(
            "-p",
            "--candidates",
            metavar="[NAME=]FILE",
            help="COCO results JSON, {id: caption}, JSONL, CSV (or gzip); repeat for several systems.",
        ),
    ],
    metrics: Annotated[
        str, option("--metrics", help="Comma-separated: bleu, rouge_l, meteor, cider, cider_d.")
    ] = "bleu,rouge_l,meteor,cider",
    backend: Annotated[
        str, option("--backend", help="native, or java: pycocoevalcap and its Java programs, the oracle.")
    ] = "native",
    resamples: Annotated[
        int, option("--resamples", min=100, help="Bootstrap resamples, and swaps of the randomization test.")
    ] = 1000,
    df_from: Annotated[
        str | None, option("--df-from", help="References whose document frequencies CIDEr takes. [default: -r's]")
    ] = None,
    split: Annotated[
        str | None, option("--split", help="Of a dataset given as references. [default: test, else the only one]")
    ] = None,
    allow_missing: Annotated[
        bool, option("--allow-missing", help="Score the images that have both candidate and references.")
    ] = False,
    allow_empty: Annotated[bool, option("--allow-empty", help="Score an empty caption as it is, which is 0.")] = False,
) -> None:
    """Scores captions against references: BLEU, ROUGE-L, METEOR, CIDEr, with intervals and paired tests, without Java.

    Example: [bold]vlmbench caption-eval -r references.json -p mine=results.json -p baseline=other.json[/bold]
    """
    from vlmbench.cli.output import finish
    from vlmbench.runs.caption_eval import Request, metric_names, run_caption_eval

    request = Request(
        references=references,
        candidates=candidates,
        metrics=metric_names(metrics),
        backend=backend,
        resamples=resamples,
        allow_missing=allow_missing,
        allow_empty=allow_empty,
        documents=df_from,
        split=split,
    )
    runs = run_caption_eval(request, common.context())
    finish(runs, common.out, as_json=common.json, quiet=common.quiet)
