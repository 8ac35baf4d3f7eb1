"""``vlmbench list``."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from vlmbench.cli.options import Common, with_basics


class What(StrEnum):
    """What can be listed."""

    datasets = "datasets"
    models = "models"
    metrics = "metrics"
    prompts = "prompts"


@with_basics
def command(common: Common, what: Annotated[What, typer.Argument(help="Which names to show.")]) -> None:
    """The names that can be given to -d, -m, --metrics and --prompts; touches no network.

    Example: [bold]vlmbench list datasets[/bold]
    """
    from vlmbench.cli.console import print_json, print_table
    from vlmbench.runs import catalogue

    rows: list[dict[str, Any]] = getattr(catalogue, what.value)()
    if common.json:
        print_json({what.value: rows})
        return
    header = list(rows[0]) if rows else ["name"]
    print_table(
        f"vlmbench list {what.value}",
        header,
        [[_cell(row[name]) for name in header] for row in rows],
        caption=catalogue.CAPTIONS[what.value],
        left=len(header),
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
