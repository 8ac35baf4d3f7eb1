"""Writes the pages that come from the code: ``python docs/generate.py`` writes `commands.md` and `metrics.md`.

`tests/test_docs.py` fails if a committed page differs from what the code says.
"""

import inspect
import os
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from vlmbench.cli.app import COMMANDS, command_of, load
from vlmbench.cli.options.common import COMMON, metric_choices
from vlmbench.metrics.spec import FAMILIES, CaptionSpec, ClassificationSpec, MetricSpec, of

HERE = Path(__file__).parent
WRITTEN = "<!-- Written by `python docs/generate.py`; do not edit. -->"


def cell(text: str) -> str:
    """Text as it is, in a cell of a Markdown table."""
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text in code font, in a cell of a Markdown table."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def options_of(name: str) -> list[Any]:
    """The options and arguments of a command, in the order of its help; ``--help`` is left out."""
    return [param for param in load(name).params if param.name != "help" and not getattr(param, "hidden", False)]


def names_of(param: Any) -> str:
    """What is typed: ``--limit``, ``-l``; an argument's name."""
    if param.param_type_name == "argument":
        return code(str(param.metavar or param.name.upper()))
    return ", ".join(code(one) for one in (*param.opts, *param.secondary_opts))


def values_of(param: Any, annotation: Any) -> str:
    """What may follow, by the annotation of the command's parameter."""
    parts = [annotation]
    while any(get_args(one) for one in parts):
        parts = [
            inner
            for one in parts
            for inner in (get_args(one)[:1] if get_origin(one) is Annotated else get_args(one) or [one])
        ]
    kinds = {one for one in parts if one is not type(None)}
    (kind,) = kinds if len(kinds) == 1 else (str,)
    if kind is bool:
        return ""
    if issubclass(kind, Enum):
        found = ", ".join(code(str(one.value)) for one in kind)
    elif param.metavar:
        found = code(param.metavar)
    else:
        found = {int: "whole number", float: "number", Path: "path"}.get(kind, "text")
        found += f", {param.min:g} or more" if param.min is not None else ""
        found += f", at most {param.max:g}" if param.max is not None else ""
    return found + (", repeatable" if param.param_type_name == "option" and param.multiple else "")


def default_of(param: Any) -> str:
    """The default, where it is not nothing."""
    if param.required:
        return "required"
    value = getattr(param.default, "value", param.default)
    if value is False or value == "" or not isinstance(value, str | int | float | Path):
        return ""
    return code("on" if value is True else str(value))


def described(param: Any) -> str:
    """The help of an option, with the names of metrics in place."""
    text = getattr(param, "help", None) or ""
    for place, names in metric_choices().items():
        text = text.replace(place, ", ".join(names))
    return cell(text)


HEADER = ("| option | value | default | what it does |", "|---|---|---|---|")


def table(params: Iterable[Any], name: str) -> Iterator[str]:
    """A row for each option of a command."""
    yield from HEADER
    yield from (row(param, name) for param in params)


def row(param: Any, name: str) -> str:
    """A row for an option of a command."""
    annotation = inspect.signature(command_of(name), eval_str=True).parameters[param.name].annotation
    return f"| {names_of(param)} | {values_of(param, annotation)} | {default_of(param)} | {described(param)} |"


def commands() -> str:
    """Every command with every option."""
    found = {name: options_of(name) for name in COMMANDS}
    shared = {param.name: (name, param) for name, params in found.items() for param in params if is_common(param)}
    lines = [
        WRITTEN,
        "# Commands and options",
        "",
        "`vlmbench COMMAND --help` prints the same. An option that a call would not use is an error, never ignored. "
        "Every option can also be set for all commands by an environment variable: `--batch-size` by "
        "`VLMBENCH_BATCH_SIZE`, for one command by `VLMBENCH_EMBED_BATCH_SIZE`, or in [vlmbench.toml](settings.md).",
        "",
    ]
    for name, params in found.items():
        lines += [f"## vlmbench {name}", "", *paragraphs(inspect.cleandoc(command_of(name).__doc__ or "")), ""]
        own = [param for param in params if not is_common(param)]
        lines += [*table(own, name), ""] if own else []
        common = ", ".join(code(param.opts[-1]) for param in params if is_common(param))
        lines += [f"Of the [common options](#common-options): {common}.", ""]
    lines += ["## Common options", "", *HEADER]
    lines += [row(param, name) for name, param in shared.values()]
    return "\n".join([*lines, ""])


def is_common(param: Any) -> bool:
    """Whether several commands share the option."""
    return getattr(param, "rich_help_panel", None) == COMMON


def paragraphs(text: str) -> Iterator[str]:
    """A docstring; examples become code."""
    for part in text.split("\n\n"):
        words, *examples = re.split(r"\[bold\](.*?)\[/bold\]", " ".join(part.split()))
        words = re.sub(r"(Examples?|Or): ?$", "", words).strip()
        yield from (cell(words), "") if words else ()
        yield from ("```sh", *examples[::2], "```", "") if examples else ()


TITLES = {
    "classification": "Classification",
    "captions": "Captions",
    "retrieval": "Retrieval",
    "agreement": "Agreement with people",
}


def metrics() -> str:
    """Every metric as its spec declares it."""
    lines = [
        WRITTEN,
        "# Metrics",
        "",
        "What each metric measures, where it comes from, and what it does not see. Ranges are those of JSON and "
        "records; tables show 100 times that. `vlmbench list metrics --json` prints the same.",
        "",
    ]
    for family in FAMILIES:
        lines += [f"## {TITLES[family]}", ""]
        for spec in of(family):
            lines += [f"### {spec.title}", "", *about(spec), ""]
    return "\n".join(lines)


def about(spec: MetricSpec) -> Iterator[str]:
    """The lines on one metric."""
    low, high = (f"{end:g}" for end in spec.range)
    yield f"- **Name in options and records**: {code(spec.name)}"
    yield f"- **Definition**: {cell(spec.definition)}"
    yield f"- **Range**: {low} to {high}; {'higher' if spec.higher_is_better else 'lower'} is better"
    yield f"- **Source**: {cell(spec.source)}"
    yield f"- **Blind to**: {cell(spec.blind_to)}"
    yield f"- **Two systems**: {tested(spec)}"
    if isinstance(spec, ClassificationSpec):
        kinds = [("one label per image", spec.columns), ("several labels per image", spec.multilabel_columns)]
        yield f"- **For images with**: {' or '.join(words for words, columns in kinds if columns)}"
    if isinstance(spec, CaptionSpec):
        needs = {
            "documents": "the references of all images",
            "index": "METEOR's word index",
            "java": "Java",
            "images": "the images",
        }
        scored = "scored by default" if spec.usual else "scored if `--metrics` names it"
        yield f"- **Needs**: {'; '.join([scored, *([needs[spec.needs]] if spec.needs else [])])}"


def tested(spec: MetricSpec) -> str:
    """How two systems are compared by it."""
    if spec.test is None:
        return f"no paired test: {cell(spec.untested)}"
    names = {"mcnemar": "McNemar's exact test", "summed": "paired bootstrap and approximate randomization"}
    names["ranking"] = "DeLong's test" if spec.name == "roc_auc" else "paired bootstrap"
    return (
        names.get(spec.test, "paired bootstrap") if isinstance(spec.test, str) else "a test of its own"
    ) + ", on the same images"


PAGES = {"commands.md": commands, "metrics.md": metrics}

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), "utf-8")
