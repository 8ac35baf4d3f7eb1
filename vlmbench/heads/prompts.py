"""Prompts: templates with a place for the class name, by set name, from a file, or written for each class.

A template holds ``{}`` or ``{c}`` once or more. A file is one of
- ``.txt``: a template a line (empty lines and lines that start with ``#`` are left out);
- ``.json`` with a list of templates;
- ``.json`` with an object, class name to prompts (CuPL, Pratt et al. 2023): prompts may hold the placeholder or not.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from vlmbench.data.base import DEFAULT_TEMPLATE
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.heads.prompt_sets import SETS

DATASET = "dataset"
_PLACE = re.compile(r"\{c?\}")
_LONGEST_LIST = 100


@dataclass(frozen=True)
class PromptSet:
    """Templates, or prompts class by class.

    Attributes:
        name: what tables and records call it.
        templates: templates that every class fills.
        by_class: class name to its own prompts; empty where `templates` are used.
    """

    name: str
    templates: tuple[str, ...] = ()
    by_class: Mapping[str, tuple[str, ...]] | None = None

    def prompts(self, names: Sequence[str], raw: str | None = None) -> tuple[str, ...]:
        """The prompts of one class.

        Args:
            names: the class's name and its synonyms; each fills each template.
            raw: the name as the dataset spells it, which a class-specific file may use.

        Raises:
            InputError: a class-specific file lacks the class.
        """
        if self.by_class is None:
            return tuple(fill(template, name) for name in names for template in self.templates)
        for name in (*names, *([raw] if raw else [])):
            if name in self.by_class:
                return tuple(fill(prompt, names[0]) for prompt in self.by_class[name])
        raise InputError(f"no prompts for the class {visible(names[0])}", where=self.name, mend="add it to the file")

    @property
    def sha256(self) -> str:
        """Digest of the templates or prompts."""
        return digest([list(self.templates), {name: list(value) for name, value in (self.by_class or {}).items()}])

    def protocol(self) -> dict[str, JsonValue]:
        """What a record says of it: the templates where they are few, their number and digest."""
        if self.by_class is not None:
            count = sum(map(len, self.by_class.values()))
            return {
                "prompts": self.name,
                "templates": "class-specific",
                "prompts_count": count,
                "prompts_sha256": self.sha256,
            }
        if len(self.templates) > _LONGEST_LIST:
            return {"prompts": self.name, "templates": len(self.templates), "prompts_sha256": self.sha256}
        return {"prompts": self.name, "templates": list(self.templates)}


def fill(template: str, name: str) -> str:
    """A template with the class name in each of its places; braces in the name stay as they are."""
    return _PLACE.sub(lambda _: name, template)


def prompt_sets(asked: str | None, dataset_templates: Sequence[str]) -> list[PromptSet]:
    """The prompt sets that ``--prompts`` names, comma-separated.

    Args:
        asked: set names, files, or templates (which hold ``{}``); none: the one template of CLIP.
        dataset_templates: what the set ``dataset`` stands for.

    Raises:
        AbsentError: no such set or file.
        InputError: a file is not as above; the message names the line.
    """
    if asked is None:
        return [PromptSet("default", (DEFAULT_TEMPLATE,))]
    if Path(asked).is_file():
        return [read_prompts(Path(asked))]
    names = [asked] if _PLACE.search(asked) else [name.strip() for name in asked.split(",") if name.strip()]
    if not names:
        raise InputError("--prompts is empty", where="--prompts", mend="vlmbench list prompts")
    return [_named(name, dataset_templates) for name in dict.fromkeys(names)]


def _named(name: str, dataset_templates: Sequence[str]) -> PromptSet:
    if _PLACE.search(name):
        return PromptSet(name, (name,))
    if name == DATASET:
        return PromptSet(name, tuple(dataset_templates) or (DEFAULT_TEMPLATE,))
    if name in SETS:
        return PromptSet(name, SETS[name])
    path = Path(name).expanduser()
    if path.is_file():
        return read_prompts(path)
    if path.suffix.lower() in {".txt", ".json"} or "/" in name:
        raise AbsentError(f"no such prompt file: {visible(name)}", where="--prompts", mend="vlmbench list prompts")
    raise AbsentError(
        f"no such prompt set: {visible(name)}; there are {', '.join([*SETS, DATASET])}",
        where="--prompts",
        mend="name one of them, a .txt or .json file, or a template such as 'a photo of a {}.'",
    )


def read_prompts(path: Path) -> PromptSet:
    """A prompt file.

    Raises:
        InputError: not UTF-8, not JSON, a template without a place for the name; file and line are named.
    """
    text = read_text(path)
    if path.suffix.lower() != ".json":
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        kept = [(f"line {number}", line) for number, line in lines if line and not line.startswith("#")]
        return PromptSet(path.name, _templates(kept, path))
    value = read_json(path, text)
    if isinstance(value, list):
        return PromptSet(
            path.name, _templates([(f"entry {number}", item) for number, item in enumerate(value, 1)], path)
        )
    if isinstance(value, dict) and value:
        return PromptSet(
            path.name, by_class={name: _class_prompts(name, prompts, path) for name, prompts in value.items()}
        )
    raise InputError(
        "a prompt file holds a list of templates, or an object of class names and prompts",
        where=str(path),
        mend="see vlmbench list prompts",
    )


def _templates(items: Sequence[tuple[str, object]], path: Path) -> tuple[str, ...]:
    if not items:
        raise InputError(
            "no templates in the file", where=str(path), mend="write one a line, such as: a photo of a {}."
        )
    for place, item in items:
        if not isinstance(item, str) or not _PLACE.search(item):
            raise InputError(
                f"a template without a place for the class name: {visible(str(item))!r}",
                where=f"{path}, {place}",
                mend="put {} where the class name goes",
            )
    return tuple(str(item) for _, item in items)


def _class_prompts(name: str, prompts: object, path: Path) -> tuple[str, ...]:
    given = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(given, list) or not given or not all(isinstance(item, str) and item.strip() for item in given):
        raise InputError(
            f"the class {visible(name)} has no list of prompts",
            where=f"{path}, {visible(name)}",
            mend="give it at least one prompt",
        )
    return tuple(given)


def read_classnames(path: Path, expected: int) -> tuple[tuple[str, ...], ...]:
    """Class names in the dataset's order: ``.txt``, a line a class; ``.json``, a list of names or of lists of synonyms.

    Returns:
        [C] tuples: the name, then its synonyms.

    Raises:
        InputError: their number is not `expected`, one is empty, or two classes have the same name.
    """
    text = read_text(path)
    if path.suffix.lower() == ".json":
        value = read_json(path, text)
        if not isinstance(value, list):
            raise InputError(
                "a JSON file of class names holds a list",
                where=str(path),
                mend='write ["cat", "dog"] or [["cat", "kitty"], ["dog"]]',
            )
        found = [
            (f"entry {number}", item if isinstance(item, list) else [item]) for number, item in enumerate(value, 1)
        ]
    else:
        lines = text.splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        found = [(f"line {number}", [line.strip()]) for number, line in enumerate(lines, 1)]
    for place, names in found:
        if not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise InputError("an empty class name", where=f"{path}, {place}", mend="every class needs a name")
    if len(found) != expected:
        raise InputError(
            f"{len(found)} class names, the dataset has {expected} classes",
            where=str(path),
            mend="give one for each class, in the dataset's order",
        )
    firsts: dict[str, str] = {}
    for place, names in found:
        if names[0] in firsts:
            raise InputError(
                f"two classes are called {visible(names[0])}",
                where=f"{path}, {firsts[names[0]]} and {place}",
                mend="tell them apart by their names",
            )
        firsts[names[0]] = place
    return tuple(tuple(names) for _, names in found)


def read_text(path: Path) -> str:
    """A UTF-8 file (with or without a byte-order mark).

    Raises:
        AbsentError: no such file.
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise AbsentError(f"no such file: {visible(str(path))}", where=str(path), mend="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the file as UTF-8 text: {visible(str(error))}", where=str(path), mend="save it as UTF-8"
        ) from error


def read_json(path: Path, text: str) -> object:
    """`text` as JSON; an error names the line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not JSON: {error.msg}", where=f"{path}, line {error.lineno}", mend="mend the file"
        ) from error
