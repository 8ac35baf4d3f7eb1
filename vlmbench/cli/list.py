"""``vlmbench list``."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from vlmbench.cli.options.common import Common, with_basics


class What(StrEnum):
    """What can be listed."""

    datasets = "datasets"
    models = "models"
    metrics = "metrics"
    prompts = "prompts"
    tasks = "tasks"
    heads = "heads"


_SHORT = {"parameters": "size"}
_JSON = ("kind", "range", "better", "blind_to", "source", "metrics")
"""Shown only by --json."""


@with_basics
def command(
    common: Common,
    what: Annotated[What, typer.Argument(help="Which names to show.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Only rows with all of these words.", show_default=False),
    ] = None,
) -> None:
    """List the names for -d, -m, --metrics, --prompts and --head, and the tasks, without a network.

    Examples:
    [bold]vlmbench list datasets[/bold]
    [bold]vlmbench list datasets cifar[/bold]
    """
    import vlmbench
    from vlmbench.api.tools import captions, parts
    from vlmbench.cli.console import Layout, print_json, print_table
    from vlmbench.foundations.errors import AbsentError
    from vlmbench.foundations.plugins import nearest

    listed: list[dict[str, Any]] = getattr(vlmbench, f"list_{what.value}")().to_dicts()
    rows = [row for row in listed if all(word.lower() in _text(row) for word in words or ())]
    if not rows:
        names = [row["name"] for row in listed]
        near = nearest(" ".join(words or ()), names, f"vlmbench list {what.value}")
        raise AbsentError(f"none of the {what.value} has {' and '.join(map(repr, words or ()))}", fix=near)
    if common.json:
        print_json({what.value: rows})
        return
    tables = (
        [part for part in parts(rows) if part[1]] if what is What.models else [(f"vlmbench list {what.value}", rows)]
    )
    for place, (title, part) in enumerate(tables):
        header = [name for name in part[0] if name not in _JSON and any(row[name] not in (None, "") for row in part)]
        print_table(
            title,
            [_SHORT.get(name, name) for name in header],
            [[_cell(name, row[name]) for name in header] for row in part],
            Layout(
                left=len(header),
                figures=("size", "width", "classes"),
                whole=("name", "here", "usual"),
                wide=("id", "where", "revision"),
            ),
            caption=captions(what.value) if place == len(tables) - 1 else None,
        )


def _text(row: dict[str, Any]) -> str:
    return " ".join(str(value) for value in row.values()).lower()


def _cell(column: str, value: Any) -> str:
    if column == "parameters" and value:
        return f"{value / 1e6:,.0f} M" if value >= 1e7 else f"{value / 1e6:.1f} M"
    if column in {"group", "metric"}:
        return str(value).replace("|", ", ").replace("_", " ")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
