"""``vlmbench power``: how many test images it takes to tell two systems apart."""

from pathlib import Path
from typing import Annotated

import typer

from vlmbench.cli.options.common import Common, option, with_some


@with_some("json", "quiet", "debug")
def command(
    common: Common,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN_A RUN_B]",
            help="Two runs on the same images, whose disagreement is taken; without them: --disagreement.",
            show_default=False,
        ),
    ] = None,
    delta: Annotated[
        float | None,
        option("--delta", help="The difference in accuracy to be found: 0.02 is 2 points. (default: the runs' own)"),
    ] = None,
    disagreement: Annotated[
        float | None,
        option("--disagreement", help="Share of images on which exactly one of the two systems is right: 0.1."),
    ] = None,
    power: Annotated[float, option("--power", help="The chance that the test finds the difference.")] = 0.8,
) -> None:
    """How many test images does it take to tell two systems apart? By McNemar's exact test, 5 % two-sided.

    Example: [bold]vlmbench power --delta 0.02 results/runs/A results/runs/B[/bold]

    Or, before anything was run: [bold]vlmbench power --delta 0.02 --disagreement 0.1[/bold]
    """
    import vlmbench
    from vlmbench.cli.console import print_json
    from vlmbench.foundations.streams import outlived

    found = vlmbench.power(runs or (), delta=delta, disagreement=disagreement, power=power)
    if common.json:
        print_json(found.to_dict())
        return
    with outlived():
        for line in found.sentences():
            typer.echo(line)
