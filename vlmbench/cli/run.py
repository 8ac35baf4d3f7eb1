"""``vlmbench run``."""

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from vlmbench.cli.options.common import TERMINAL, Common, option, with_common


@with_common
def command(
    ctx: typer.Context,
    common: Common,
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="The plan.", show_default=False)],
    dry_run: Annotated[
        bool, option("--dry-run", help="Check the plan and print it as shell commands; nothing is run.")
    ] = False,
) -> None:
    """Run a grid of commands from one file, with each model loaded and each image decoded once.

    The plan is TOML: common options at the top, then tables named after tasks (see vlmbench list tasks; any number of
    each) whose keys are the command's long options. Everything is checked before anything runs. Common options
    given here override those of the plan; paths are relative to the current directory.

    Example: [bold]vlmbench run plan.toml --dry-run[/bold]
    """
    from vlmbench.api.jobs import checked_plan
    from vlmbench.api.plans import Step, read_plan, tasks
    from vlmbench.cli import plan_options as p
    from vlmbench.cli.console import print_json
    from vlmbench.cli.output import finish
    from vlmbench.foundations.paths import default_cache_dir

    found = read_plan(plan, tasks())
    given = _given(ctx)
    p.arguments(found.common, p.common_keys())
    shared_table = replace(found.common, options={k: v for k, v in found.common.options.items() if k not in given})
    shared_words = p.arguments(shared_table, p.common_keys())
    common = p.parse_common(found.common, shared_words, [word for own in given.values() for word in own])
    words = [p.arguments(table, p.keys_of(p.command_of(table.task))) for table in found.tables]
    steps = [Step(table, p.parse_job(table, own, common)) for table, own in zip(found.tables, words, strict=True)]
    checked = checked_plan(steps, **common.arguments())
    if dry_run:
        shared_words += [word for name, own in given.items() if name not in TERMINAL for word in own]
        tables = zip(found.tables, words, strict=True)
        commands = [shlex.join(["vlmbench", table.task, *own, *shared_words]) for table, own in tables]
        if common.json:
            print_json({"commands": commands})
        else:
            print("\n".join(commands))
        return
    pictures = common.cache_dir or default_cache_dir()
    finish(checked.run(), common.out, as_json=common.json, quiet=common.quiet, pictures_from=pictures)


def _given(ctx: typer.Context) -> dict[str, list[str]]:
    """The common options that stand on the command line, each as words."""
    words: dict[str, list[str]] = {}
    for item in fields(Common):
        source: Any = ctx.get_parameter_source(item.name)
        if source is None or source.name != "COMMANDLINE":
            continue
        name, value = item.name.replace("_", "-"), ctx.params[item.name]
        words[name] = [f"--{name}"] if value is True else [f"--{name}", str(getattr(value, "value", value))]
    return words
