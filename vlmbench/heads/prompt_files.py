"""Files of prompts: templates, prompts for each class, or either by dataset as in CLIP_benchmark.

A template contains ``{}`` or ``{c}`` at least once. A file is one of
- ``.txt``: one template per line (empty lines and lines that start with ``#`` are left out);
- ``.json`` with a list of templates;
- ``.json`` with an object, class name to prompts (CuPL, Pratt et al. 2023): prompts may contain the placeholder;
- ``.json`` with an object, dataset to either of the last two: the form of LAION-AI/CLIP_benchmark's
  ``en_zeroshot_classification_templates.json`` and ``cupl_prompts.json``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from vlmbench.data.hub.sibling import benchmark_names
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import SMALL, json_of, read_text
from vlmbench.foundations.hashing import sha256_file
from vlmbench.foundations.text import visible

PLACE = re.compile(r"\{c?\}")
_SHOWN = 6


@dataclass(frozen=True)
class Prompts:
    """The content of a prompt file.

    Attributes:
        templates: templates for every class.
        by_class: prompts by class name; None if `templates` are used.
        source: file, entry and digest for the record, if one of several entries was chosen.
    """

    templates: tuple[str, ...] = ()
    by_class: Mapping[str, tuple[str, ...]] | None = None
    source: Mapping[str, JsonValue] | None = None


def read_prompts(path: Path, id: str, classes: Sequence[Sequence[str]]) -> Prompts:
    """A file's prompts for a dataset. Raises `InputError`, with file and place, where it is not UTF-8 or JSON, a
    template has no placeholder for the class name, or an object's keys are neither datasets with this one among
    them nor classes of this dataset. `classes` [C] has the names of each class under which the file may have
    prompts for it."""
    text = read_text(path, most=SMALL, what="list of prompts")
    if path.suffix.lower() != ".json":
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        kept = [(f"{path}, line {number}", line) for number, line in lines if line and not line.startswith("#")]
        return Prompts(checked_templates(kept, str(path)))
    value = json_of(text, str(path), pairs="unique")
    source = None
    if isinstance(value, dict) and value and not _is_by_class(value, classes):
        key = dataset_key(value, id)
        if key is None and not any(name in value for names in classes for name in names):
            raise no_entry(path, value, id, ["a photo of a {}."], ", and no key is one of its classes")
        if key is not None:
            value, source = value[key], entry_source(path, key)
    where = str(path) if source is None else f"{path}, {visible(str(source['entry']))}"
    if isinstance(value, list):
        items = [(f"{where}, entry {number}", item) for number, item in enumerate(value, 1)]
        return Prompts(checked_templates(items, where), source=source)
    if isinstance(value, dict) and value:
        return Prompts(by_class={name: _class_prompts(name, own, where) for name, own in value.items()}, source=source)
    raise InputError(
        "prompts are a list of templates, or an object of class names and prompts",
        where=where,
        fix='["a photo of a {}."] or {"cat": ["a cat with whiskers"], …}',
    )


def checked_templates(items: Sequence[tuple[str, object]], where: str) -> tuple[str, ...]:
    """Checks the templates, each with its place: there is at least one, and each has a placeholder for the class name.
    Raises `InputError` where there are none, or one has no placeholder."""
    if not items:
        raise InputError("no templates in the file", where=where, fix="write one per line, such as: a photo of a {}.")
    for place, item in items:
        if not isinstance(item, str) or not PLACE.search(item):
            raise InputError(
                f"a template without a placeholder for the class name: {visible(str(item))!r}",
                where=place,
                fix="put {} where the class name goes",
            )
    return tuple(str(item) for _, item in items)


def dataset_key(value: Mapping[str, object], id: str) -> str | None:
    """The key of the entry for the dataset `id`, in an object by dataset."""
    return next((name for name in benchmark_names(id) if name in value), None)


def entry_source(path: Path, key: str) -> dict[str, JsonValue]:
    """The record's text for an entry of a file."""
    return {"file": path.name, "entry": key, "sha256": sha256_file(path)}


def no_entry(path: Path, value: Mapping[str, object], id: str, example: list[str], more: str = "") -> InputError:
    """The error for an object without the dataset `id` among its keys; `example` shows an entry."""
    shown = ", ".join(map(visible, list(value)[:_SHOWN])) + (", …" if len(value) > _SHOWN else "")
    return InputError(
        f"no entry for the dataset {visible(id)}{more}; the file has {shown or 'nothing'}",
        where=str(path),
        fix=f"add {json.dumps(benchmark_names(id)[-1])}: {json.dumps(example)}",
    )


def _is_by_class(value: Mapping[str, object], classes: Sequence[Sequence[str]]) -> bool:
    """Whether every class has a key."""
    return bool(classes) and all(any(name in value for name in names) for names in classes)


def _class_prompts(name: str, prompts: object, where: str) -> tuple[str, ...]:
    given = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(given, list) or not given or not all(isinstance(item, str) and item.strip() for item in given):
        raise InputError(
            f"the class {visible(name)} has no list of prompts",
            where=f"{where}, {visible(name)}",
            fix="give it at least one prompt",
        )
    return tuple(given)
