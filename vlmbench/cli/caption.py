"""``vlmbench caption``."""

from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options.common import Common, option, with_common
from vlmbench.cli.options.data import Limit, Split
from vlmbench.cli.options.decoding import MakingCaptions

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
    how: MakingCaptions,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[IMAGES]...", help="Image files, or directories of them.", show_default=False),
    ] = None,
    dataset: Annotated[
        str | None, option("-d", "--dataset", help="Instead of files: a name, hf:…, folder:PATH or coco:JSON#DIR.")
    ] = None,
    split: Split = None,
    limit: Limit = None,
) -> None:
    """Captions images and writes them as COCO results JSON; nothing is scored.

    Example: [bold]vlmbench caption -m tiny-captioner -d scenes[/bold]
    """
    import vlmbench
    from vlmbench.cli.console import Console, Layout, print_json, print_table

    options = {"dataset": dataset, "split": split, "limit": limit, **how.arguments()}
    found = vlmbench.caption(model, images or (), **options, **common.arguments())
    if common.json:
        print_json({"results": found.to_dicts(), "tables": []})
        return
    for one in found:
        rows = [list(pair) for pair in list(one.captions.items())[:SHOWN]]
        print_table(f"Captions by {one.system}", ["image", "caption"], rows, Layout(left=2, whole=["image"]))
        if not common.quiet:
            Console().note(f"{one.n:,} captions: {one.path}")
