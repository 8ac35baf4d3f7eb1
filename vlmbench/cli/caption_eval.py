"""``vlmbench caption-eval``."""

import os
from typing import Annotated, Any

from vlmbench.cli.options import decoding as c
from vlmbench.cli.options.common import Common, option, with_common


@with_common
def command(
    common: Common,
    references: Annotated[
        str | None,
        option(
            "-r",
            "--references",
            help="COCO's or Karpathy's JSON, {id: \\[caption, …]}, JSONL, CSV, Parquet, or a captioned set.",
        ),
    ] = None,
    candidates: Annotated[
        list[str] | None,
        option(
            "-p",
            "--candidates",
            metavar="[NAME=]FILE",
            help="COCO results JSON, {id: caption}, JSONL, CSV, Parquet; repeat for several systems.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        option(
            "--columns",
            metavar="ROLE=COLUMN,…",
            help="Columns of tables and lists of objects: image, captions, prediction, group, split.",
        ),
    ] = None,
    captioner: Annotated[
        list[str] | None,
        option("--captioner", help="Instead of files: a model that captions -d, as in vlmbench caption; repeat."),
    ] = None,
    dataset: Annotated[
        str | None,
        option("-d", "--dataset", help="The images for --captioner or CLIPScore: scenes, folder:PATH, coco:…, hf:…"),
    ] = None,
    metrics: Annotated[
        str | None,
        option(
            "--metrics",
            help="Comma-separated: {caption metrics}; BLEU: all four. (default: the usual, see vlmbench list metrics)",
        ),
    ] = None,
    clip: Annotated[
        str | None, option("--clip", help="Dual encoder for CLIPScore. (default: openai/clip-vit-base-patch32)")
    ] = None,
    backend: Annotated[
        str, option("--backend", help="native, or java: pycocoevalcap and its Java programs, the oracle.")
    ] = "native",
    resamples: Annotated[
        int, option("--resamples", min=100, help="Bootstrap resamples, and swaps of the randomization test.")
    ] = 1000,
    df_from: Annotated[
        str | None,
        option("--df-from", help="References that CIDEr's document frequencies come from. (default: those of -r)"),
    ] = None,
    novel_to: Annotated[
        str | None,
        option(
            "--novel-to",
            help="Training captions (a file as for -r, or a captioned set): reports the share of novel captions.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        option("--split", help="Of a dataset, of Karpathy's JSON, of a table. (default: test, else the only one)"),
    ] = None,
    allow_missing: Annotated[
        bool, option("--allow-missing", help="Score only the images that have both a candidate and references.")
    ] = False,
    allow_empty: Annotated[bool, option("--allow-empty", help="Allow empty captions; they score 0.")] = False,
    limit: Annotated[int | None, option("--limit", min=1, help="Use N randomly sampled images (see --seed).")] = None,
    prompt: c.Prompt = None,
    num_beams: c.Beams = 1,
    max_new_tokens: c.Tokens = 40,
    temperature: c.Temperature = 0.0,
    shots: c.Shots = 0,
    anchors: c.Anchors = None,
    concurrency: c.Concurrency = 8,
    timeout: c.Timeout = 60.0,
    on_failure: c.Failure = c.OnFailure.skip,
) -> None:
    """Scores captions against references: BLEU, ROUGE-L, METEOR, CIDEr, with intervals and paired tests, without Java.

    Example: [bold]vlmbench caption-eval -r references.json -p mine=results.json -p baseline=other.json[/bold]

    Or: [bold]vlmbench caption-eval --captioner tiny-captioner --captioner retrieval:tiny-clip -d scenes[/bold]
    """
    if not captioner:  # a thin product gains nothing from threads that wait for each other and take METEOR's core
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if captioner:
        from vlmbench.tasks.base import TaskJob
        from vlmbench.tasks.captions.evaluate import metric_names
        from vlmbench.tasks.captions.scoring import Protocol
        from vlmbench.tasks.captions.systems import check_captioners, score_captioners

        asked: dict[str, Any] = {
            "models": captioner,
            "dataset": c.dataset_of(dataset),
            "protocol": Protocol(metrics=metric_names(metrics), backend=backend, resamples=resamples),
            "clip": clip,
            "training": novel_to,
            "documents": df_from,
            "split": split,
            "limit": limit,
            "anchors": anchors,
            "concurrency": concurrency,
            "timeout": timeout,
            "on_failure": on_failure.value,
            **c.decoding(prompt, num_beams, max_new_tokens, temperature, shots),
        }
        common.perform(
            TaskJob(
                lambda session: check_captioners(session, **asked),
                lambda context, session: score_captioners(session or context, **asked),
            )
        )
        return
    import vlmbench

    common.run(
        vlmbench.score_captions,
        *c.files_of(references, candidates),
        metrics=metrics,
        dataset=dataset,
        clip=clip,
        backend=backend,
        resamples=resamples,
        document_frequency=df_from,
        novel_to=novel_to,
        split=split,
        allow_missing=allow_missing,
        allow_empty=allow_empty,
        limit=limit,
        columns=columns,
    )
