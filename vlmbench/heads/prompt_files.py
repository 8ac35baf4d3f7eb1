"""Files of prompts: templates, prompts for each class, or either by dataset as CLIP_benchmark keeps them.

A template holds ``{}`` or ``{c}`` once or more. A file is one of
- ``.txt``: a template a line (empty lines and lines that start with ``#`` are left out);
- ``.json`` with a list of templates;
- ``.json`` with an object, class name to prompts (CuPL, Pratt et al. 2023): prompts may hold the placeholder or not;
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
    """What a file says.

    Attributes:
        templates: templates that every class fills.
        by_class: class name to its own prompts; None where `templates` are used.
        source: file, entry and digest for the record, where one entry of several was chosen.
    """

    templates: tuple[str, ...] = ()
    by_class: Mapping[str, tuple[str, ...]] | None = None
    source: Mapping[str, JsonValue] | None = None


def read_prompts(path: Path, id: str, classes: Sequence[Sequence[str]]) -> Prompts:
    """The prompts that a file has for a dataset.

    Args:
        path: the file.
        id: the dataset, as its `DatasetInfo` has it.
        classes: [C] the names of each class under which the file may have prompts for it.

    Raises:
        AbsentError: no such file.
        InputError: not UTF-8, not JSON, a template without a place for the name, or an object whose keys are neither
            datasets with this one among them nor classes of this dataset; file and place are named.
    """
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
    """The templates, each with its place, if there are any and each has a place for the class name.

    Raises:
        InputError: there are none, or one has no place.
    """
    if not items:
        raise InputError("no templates in the file", where=where, fix="write one a line, such as: a photo of a {}.")
    for place, item in items:
        if not isinstance(item, str) or not PLACE.search(item):
            raise InputError(
                f"a template without a place for the class name: {visible(str(item))!r}",
                where=place,
                fix="put {} where the class name goes",
            )
    return tuple(str(item) for _, item in items)


def dataset_key(value: Mapping[str, object], id: str) -> str | None:
    """The key of an object by dataset under which it has an entry for the dataset called `id`."""
    return next((name for name in benchmark_names(id) if name in value), None)


def entry_source(path: Path, key: str) -> dict[str, JsonValue]:
    """What a record says of an entry of a file."""
    return {"file": path.name, "entry": key, "sha256": sha256_file(path)}


def no_entry(path: Path, value: Mapping[str, object], id: str, example: list[str], more: str = "") -> InputError:
    """The error for an object none of whose keys is the dataset called `id`; `example` is what an entry looks like."""
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
