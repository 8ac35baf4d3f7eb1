"""``vlmbench caption``."""

from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options import decoding as c
from vlmbench.cli.options.common import Common, option, with_common

SHOWN = 20
"""Captions shown on the terminal."""


@with_common
def command(
    common: Common,
    model: Annotated[
        list[str],
        option(
            "-m",
            "--model",
            help="Alias, hub id, ./directory, retrieval:MODEL, asif:MODEL, magic:LM,MODEL or endpoint:URL#MODEL.",
        ),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGES]...", help="Image files, or directories of them.", show_default=False),
    ] = None,
    dataset: Annotated[
        str | None, option("-d", "--dataset", help="Instead of files: a name, hf:…, folder:PATH or coco:JSON#DIR.")
    ] = None,
    split: Annotated[str | None, option("--split", help="(default: test, else the only one)")] = None,
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
    """Captions images and writes them as COCO results JSON; nothing is scored.

    Example: [bold]vlmbench caption -m tiny-captioner -d scenes[/bold]
    """
    from vlmbench.cli.console import Console, print_json, print_table
    from vlmbench.tasks.captions.systems import caption_document, run_caption

    made = run_caption(
        common.context(),
        model,
        images or [],
        dataset,
        **({} if images else {"split": split, "limit": limit}),
        anchors=anchors,
        concurrency=concurrency,
        timeout=timeout,
        on_failure=on_failure.value,
        **c.decoding(prompt, num_beams, max_new_tokens, temperature, shots),
    )
    if common.json:
        print_json(caption_document(made, common.seed))
        return
    for captions, path in made:
        rows = [list(pair) for pair in zip(captions.ids[:SHOWN], captions.captions[:SHOWN], strict=True)]
        print_table(f"Captions by {captions.system}", ["image", "caption"], rows, left=2, whole=["image"])
        if not common.quiet:
            Console().note(f"{len(captions.ids):,} captions: {path}")
