"""Prompts: templates with a placeholder for the class name, from a named set or a file, or prompts for each class.

``--prompts`` takes the name of a set, a file (see `vlmbench.heads.prompt_files`) or a template, and can be repeated.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from vlmbench.data.base import DatasetInfo
from vlmbench.data.hub.sibling import TEMPLATES, other_copies, sibling_lines, sibling_of
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.files import regular_file
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import is_file, user_path
from vlmbench.foundations.plugins import nearest
from vlmbench.foundations.text import visible
from vlmbench.heads.prompt_files import PLACE, checked_templates, read_prompts
from vlmbench.heads.prompt_sets import ALIASES, SETS

DATASET = "dataset"
_FILES = (".txt", ".json")
_LONGEST_LIST = 100


@dataclass(frozen=True)
class PromptSet:
    """Templates, or prompts class by class.

    Attributes:
        name: its name in tables and records.
        templates: templates for every class.
        by_class: prompts by class name; empty if `templates` are used.
        source: the repository, or the entry of a file, they come from, unless the name says it.
    """

    name: str
    templates: tuple[str, ...] = ()
    by_class: Mapping[str, tuple[str, ...]] | None = None
    source: Mapping[str, JsonValue] | None = None

    def prompts(self, names: Sequence[str], raw: str | None = None) -> tuple[str, ...]:
        """The prompts of one class. Raises `InputError` where a class-specific file lacks the class. Its name and
        synonyms each fill each template; `raw` is the name as the dataset spells it, which a class-specific file may
        use."""
        if self.by_class is None:
            return tuple(fill(template, name) for name in names for template in self.templates)
        for name in (*names, *([raw] if raw else [])):
            if name in self.by_class:
                return tuple(fill(prompt, names[0]) for prompt in self.by_class[name])
        raise InputError(f"no prompts for the class {visible(names[0])}", where=self.name, fix="add it to the file")

    @property
    def sha256(self) -> str:
        """Digest of the templates or prompts."""
        return digest([list(self.templates), {name: list(value) for name, value in (self.by_class or {}).items()}])

    def protocol(self) -> dict[str, JsonValue]:
        """Its part of a record: the templates if they are few, their number and digest, and their source."""
        found: dict[str, JsonValue] = {"prompts": self.name, "templates": list(self.templates)}
        if self.by_class is not None:
            count = sum(map(len, self.by_class.values()))
            found |= {"templates": "class-specific", "prompts_count": count, "prompts_sha256": self.sha256}
        elif len(self.templates) > _LONGEST_LIST:
            found |= {"templates": len(self.templates), "prompts_sha256": self.sha256}
        return found if self.source is None else {**found, "prompts_source": dict(self.source)}


def fill(template: str, name: str) -> str:
    """A template with its placeholders replaced by the class name; braces in the name stay unchanged."""
    return PLACE.sub(lambda _: name, template)


def prompt_sets(
    options: Sequence[str], info: DatasetInfo, cache_dir: Path, names: Sequence[Sequence[str]] | None = None
) -> list[PromptSet]:
    """The prompt sets selected by ``--prompts``, each with prompts for every class. Raises `AbsentError` where there is
    no such set or file, `InputError` where a file is malformed or lacks a class, `UsageError` where one value has both
    a template and a set or file.

    Args:
        options: values of the option: names of sets and files between commas, or a template; None: ``a photo of a {}.``
        names: [C] name and synonyms of each class; None: the dataset's own.
    """
    values = [options] if isinstance(options, str) else options
    own = [(name,) for name in info.classnames] if names is None else names
    raw = info.raw_classnames or info.classnames
    parts = [ALIASES.get(part, part) for value in values for part in _parts(value)]
    wanted = list(dict.fromkeys(parts)) or ["default"]
    sets = [_set(part, info, cache_dir, [(*own[i], raw[i]) for i in range(len(own))]) for part in wanted]
    for found in sets:
        for index, synonyms in enumerate(own):
            found.prompts(synonyms, raw[index])
    return sets


def _parts(value: str) -> list[str]:
    """One value of ``--prompts``: commas separate names of sets and files, but do not split a template."""
    if _file(value) is not None:
        return [value]
    pieces = [piece.strip() for piece in value.split(",")]
    if PLACE.search(value):
        named = [piece for piece in pieces if _is_named(piece)]
        if not named:
            return [value]
        template = ", ".join(piece for piece in pieces if piece not in named)
        words = shlex.join([word for part in (*named, template) for word in ("--prompts", part)])
        raise UsageError(
            f"{visible(named[0])} and a template in one value: {visible(value)}",
            where="--prompts",
            fix=f"to use them separately: {words}; if all of it is one template, write it to a .txt file",
        )
    kept = [piece for piece in pieces if piece]
    if not kept:
        raise InputError("--prompts is empty", where="--prompts", fix="vlmbench list prompts")
    return kept


def _is_named(piece: str) -> bool:
    """Whether a piece between commas is the name of a set or of a file."""
    return piece in SETS or piece in ALIASES or piece == DATASET or _file(piece) is not None or _is_file_name(piece)


def _is_file_name(piece: str) -> bool:
    return piece.lower().endswith(_FILES) and " " not in piece


def _file(text: str) -> Path | None:
    """The file of that name, if there is one."""
    try:
        path = user_path(text)
        return path if is_file(path) else None
    except (OSError, ValueError):  # a text that cannot be a path: too long, a null byte
        return None


def _set(name: str, info: DatasetInfo, cache_dir: Path, classes: Sequence[Sequence[str]]) -> PromptSet:
    path = _file(name)
    if path is None and PLACE.search(name):
        return PromptSet(name, (name,))
    if name == DATASET:
        return _of_dataset(info, cache_dir)
    if name in SETS:
        return PromptSet(name, SETS[name])
    if path is not None:
        found = read_prompts(path, info.id, classes)
        return PromptSet(path.name, found.templates, found.by_class, found.source)
    if name.lower().endswith(_FILES) or "/" in name:
        regular_file(user_path(name), what="prompt file", where="--prompts", fix="vlmbench list prompts")
    raise AbsentError(
        f"no such prompt set: {visible(name)}; there are {', '.join([*SETS, DATASET])}",
        where="--prompts",
        fix=nearest(
            name, [*SETS, DATASET], "name one of them, a .txt or .json file, or a template: 'a photo of a {}.'"
        ),
    )


def _of_dataset(info: DatasetInfo, cache_dir: Path) -> PromptSet:
    """The dataset's own templates, else those of its copy in CLIP_benchmark's collection."""
    if info.templates:
        items = [(f"{info.id}, template {number}", item) for number, item in enumerate(info.templates, 1)]
        return PromptSet(DATASET, checked_templates(items, info.id))
    found = sibling_lines(info.id, TEMPLATES, cache_dir)
    if found is not None:
        items = [(f"{found.where}, template {number}", item) for number, item in enumerate(found.lines, 1)]
        return PromptSet(DATASET, checked_templates(items, found.where), source=found.source)
    copy, others = sibling_of(info.id), [name for name in other_copies(info.id) if not name.startswith("wds/")]
    raise AbsentError(
        f"{visible(info.id)} has no templates of its own" + (f", nor has its copy {copy}" if copy else ""),
        where="--prompts dataset",
        fix=f"a set ({', '.join(SETS)}); a file, .txt or .json, such as CLIP_benchmark's "
        "en_zeroshot_classification_templates.json; or a template such as 'a photo of a {}.'"
        + (f"; -d {others[0]} is another copy, which may have templates" if others else ""),
    )
