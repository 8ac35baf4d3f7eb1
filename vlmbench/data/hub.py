"""``hf:owner/name[@revision][:config]`` and ``hf:./directory[:config]``, through `datasets` and `huggingface_hub`.

Only the files of the split that is asked for are fetched, at one commit; `datasets` then reads them from the disk
(Parquet, WebDataset shards, image folders, Arrow, JSON, CSV), never running a repository's own code.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from vlmbench.data import hub_files
from vlmbench.data.base import ALIASES, DEFAULT_TEMPLATE, DatasetInfo, Split, choose_split, readable_names
from vlmbench.data.hub_rows import Columns, Images, captions, class_names, find_columns, label_matrix, own_ids
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.text import visible

_SPEC = re.compile(r"^(?P<name>[^:@]+)(@(?P<revision>[\w./-]+))?(:(?P<config>[^:?]+))?$")


@dataclass(frozen=True)
class Recipe:
    """What a registry knows of a hub dataset beyond its name; everything may be left open.

    Attributes:
        image: the image column.
        label: the label column.
        splits: our name of a split to the repository's.
        classnames: readable class names in label order.
        templates: the dataset's own templates.
        metric: the metric the literature reports.
        multilabel: whether an image can have several labels.
        group: the group it belongs to.
        captions: the columns of captions, for captioned sets; several captions in one text are parted at line ends.
    """

    image: str | None = None
    label: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    classnames: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    metric: str = "accuracy"
    multilabel: bool = False
    group: str = ""
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hub:
    """A hub dataset, or a directory laid out like one."""

    id: str
    source: hub_files.Source
    recipe: Recipe = Recipe()

    @cached_property
    def _names(self) -> dict[str, str]:
        """Our name of each split to the repository's."""
        names = {ours: theirs for ours, theirs in self.recipe.splits.items() if theirs in self.source.splits}
        for theirs in self.source.splits:
            if theirs not in names.values():
                ours = ALIASES.get(theirs.lower(), theirs)
                names[ours if ours not in names else theirs] = theirs
        return names

    def _table(self, name: str) -> Any:
        return self.source.load(self._names[name])

    @cached_property
    def _first(self) -> str:
        """The split by which columns and class names are known: the one that is evaluated by default."""
        return choose_split(DatasetInfo(self.id, None, tuple(self._names), ()), None)

    @cached_property
    def _columns(self) -> Columns:
        features = self.source.features or self._table(self._first).features
        return find_columns(features, self.recipe.image, self.recipe.label, self.recipe.captions, self.id)

    @cached_property
    def _raw_names(self) -> tuple[str, ...]:
        given = self.source.small_file("classnames.txt")
        if given is not None:
            return tuple(line.strip() for line in given.splitlines() if line.strip())
        return class_names(self._label_feature, lambda: self._table(self._first), self._columns, self.id)

    @property
    def _label_feature(self) -> Any:
        """The type of the label column; none of a captioned set."""
        features = self.source.features or self._table(self._first).features
        return features[self._columns.label] if self._columns.label else None

    @cached_property
    def info(self) -> DatasetInfo:
        """Splits, class names, templates, metric.

        Raises:
            InputError: no image or label column, no classes, or one class.
        """
        if not self._names:
            raise InputError(f"{visible(self.id)} has no splits", where=self.id, mend="name another config")
        raw = () if self._columns.captions else self._raw_names
        if len(raw) < 2 and not self._columns.captions:
            found = f"one class, {visible(raw[0])}" if raw else "no classes"
            raise InputError(
                f"{visible(self.id)} has {found}; there is nothing to tell apart",
                where=self.id,
                mend="name another label column",
            )
        templates = self.recipe.templates or self._own_templates()
        kind = self.source.small_file("dataset_type.txt") or ""
        several = hasattr(self._label_feature, "feature")
        multilabel = self.recipe.multilabel or several or kind.strip() == "multilabel"
        return DatasetInfo(
            id=self.id,
            revision=self.source.commit,
            splits=tuple(
                sorted(
                    self._names,
                    key=lambda name: ("train", "val", "test").index(name) if name in ALIASES.values() else 3,
                )
            ),
            classnames=self.recipe.classnames or readable_names(raw),
            raw_classnames=raw,
            templates=templates or (DEFAULT_TEMPLATE,),
            metric="map" if multilabel and self.recipe.metric == "accuracy" else self.recipe.metric,
            multilabel=multilabel,
            group=self.recipe.group,
            notes=self._notes(raw),
        )

    def _own_templates(self) -> tuple[str, ...]:
        """``zeroshot_classification_templates.txt``, as WebDataset repositories of CLIP's suite have it."""
        text = self.source.small_file("zeroshot_classification_templates.txt") or ""
        return tuple(line.strip() for line in text.splitlines() if line.strip())

    def _notes(self, raw: Sequence[str]) -> tuple[str, ...]:
        if self.recipe.classnames or not raw or not all(name.isdigit() for name in raw):
            return ()
        return ("the classes have numbers and no names; zero-shot needs names: give them with --classnames FILE",)

    def split(self, name: str) -> Split:
        """The split called `name` in ``info.splits``; its files are fetched where they are not here.

        Raises:
            AbsentError: they cannot be fetched.
            InputError: a label is none of the classes.
        """
        info = self.info
        table = self._table(name)
        images = Images(table, self._columns.image, str(self.source.commit or ""))
        if self._columns.captions:
            texts = captions(table, self._columns.captions, self.id)
            return Split(name, own_ids(table) or images.names(name), np.zeros(len(table), np.int64), images, texts)
        return Split(name, images.names(name), label_matrix(table, self._columns, info, self.id), images)


def open_hub(spec: str, rest: str, cache_dir: Path, recipe: Recipe = Recipe(), revision: str | None = None) -> Hub:
    """The dataset ``hf:REST``.

    Args:
        spec: what the user calls it.
        rest: ``owner/name[@revision][:config]`` or a directory; ``?image=COLUMN&label=COLUMN`` names columns.
        cache_dir: where indexes of repositories are kept.
        recipe: what a registry knows of it.
        revision: the commit a registry pins; one in `rest` goes before it.

    Raises:
        AbsentError: no such repository or directory.
        InputError: it is none of the layouts above.
    """
    rest, _, query = rest.partition("?")
    recipe = _with_columns(recipe, query, spec)
    local = rest.startswith((".", "/", "~"))
    found = _SPEC.match(rest)
    if found is None:
        raise AbsentError(
            f"not a dataset's name: {visible(rest)}", where=spec, mend="hf:owner/name[@revision][:config]"
        )
    name, config = found["name"], found["config"]
    if local or Path(name).expanduser().is_dir():
        root = Path(name).expanduser()
        if not root.is_dir():
            raise AbsentError(f"no such directory: {visible(name)}", where=spec, mend="check the path")
        return Hub(spec, hub_files.local(spec, root, config), recipe)
    return Hub(spec, hub_files.remote(spec, name, found["revision"] or revision, config, cache_dir), recipe)


def _with_columns(recipe: Recipe, query: str, spec: str) -> Recipe:
    """The recipe with the columns that ``?image=…&label=…&caption=…`` names."""
    if not query:
        return recipe
    asked = dict(parse_qsl(query))
    if not asked or not set(asked) <= {"image", "label", "caption"}:
        raise UsageError(f"not columns: {visible(query)}", where=visible(spec), mend="?image=COLUMN&label=COLUMN")
    captions = (asked["caption"],) if "caption" in asked else recipe.captions
    return replace(
        recipe, image=asked.get("image", recipe.image), label=asked.get("label", recipe.label), captions=captions
    )
