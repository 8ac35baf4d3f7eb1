"""``hf:owner/name[@revision][:config]`` and ``hf:./directory[:config]``, through `datasets` and `huggingface_hub`.

Only the files of the requested split are downloaded, at one commit; `datasets` then reads them from the disk
(Parquet, image folders, Arrow, JSON, CSV), never running a repository's own code, and WebDataset tars are read as they
are (`shards`). Where they do not fit on the disk, or ``?stream=yes`` says so, they are streamed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from vlmbench.data.base import (
    ALIASES,
    DatasetInfo,
    ImageSource,
    Opening,
    Split,
    choose_split,
    ordered_splits,
    readable_names,
)
from vlmbench.data.catalogue import CatalogueRow, listed
from vlmbench.data.hub import files as hub_files
from vlmbench.data.hub.cursor import StreamedImages
from vlmbench.data.hub.index import PATH
from vlmbench.data.hub.rows import (
    Columns,
    Images,
    captions,
    class_names,
    find_columns,
    label_matrix,
    own_ids,
    row_names,
    several,
)
from vlmbench.data.hub.shards import ShardImages, Shards
from vlmbench.data.hub.space import is_streamed, shortage
from vlmbench.data.hub.stream import Stream
from vlmbench.data.names import AUTO, COLUMNS, LISTED, STREAM, DatasetRef
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import is_there, user_path
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.text import visible
from vlmbench.metrics.choice import DEFAULT, DEFAULT_MULTILABEL, multilabel_only


@dataclass(frozen=True)
class Hub:
    """A hub dataset, or a directory laid out like one."""

    id: str
    source: hub_files.Source
    row: CatalogueRow = field(default_factory=CatalogueRow)
    reporter: Reporter = field(default_factory=Silent)
    _indexes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _streams: dict[str, Stream | Shards | None] = field(default_factory=dict)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Our name of each split to the repository's."""
        names = {ours: theirs for ours, theirs in self.row.splits if theirs in self.source.splits}
        for theirs in self.source.splits:
            if theirs not in names.values():
                ours = ALIASES.get(theirs.lower(), theirs)
                names[ours if ours not in names else theirs] = theirs
        return names

    def _table(self, name: str) -> Any:
        """The rows of a split; of a streamed one without the images."""
        if self._stream(name) is None:
            return self.source.load(self._names[name])
        return self._index(name)[0]

    def _index(self, name: str) -> tuple[Any, Any]:
        stream = self._stream(name)
        if stream is None:
            raise ValueError(f"{name} has no index")
        if name not in self._indexes:
            self._indexes[name] = stream.index(self._columns)
        return self._indexes[name]

    def _stream(self, name: str) -> Stream | Shards | None:
        """What reads a split by an index: of tars wherever they are, of other files only where they are streamed."""
        if name not in self._streams:
            split = self._names[name]
            kind = Shards if self.source.has_shards(split) else Stream
            index = kind(self.source, split, self.reporter)
            streamed = is_streamed(self.source, split, indexed=index.begun())
            if streamed and self.source.stream == AUTO:
                self._tell(name, split)
            if isinstance(index, Shards):
                self._streams[name] = replace(index, streamed=streamed)
            else:
                self._streams[name] = index if streamed else None
        return self._streams[name]

    def _tell(self, name: str, theirs: str) -> None:
        """Reports why a split is streamed although the user did not request it."""
        lacking = shortage(self.source, theirs)
        if lacking is not None:
            self.reporter.note(
                f"{self.id}: the split {name} {lacking}: it is streamed from the hub without storing files "
                "(?stream=no downloads it)"
            )

    @cached_property
    def _features(self) -> Mapping[str, Any]:
        """The type of each column (see `rows`): as declared, else as in the split that is evaluated by default."""
        if self.source.declared:
            return self.source.declared
        stream = self._stream(self._first)
        if stream is not None:
            return stream.features
        found: dict[str, Any] = self.source.load(self._names[self._first]).features.to_dict()
        return found

    @cached_property
    def _first(self) -> str:
        """The split by which columns and class names are known: the one that is evaluated by default."""
        return choose_split(DatasetInfo(self.id, None, tuple(self._names), ()), None)

    @cached_property
    def _columns(self) -> Columns:
        texts = self.row.captions
        if not texts and self._kind == "retrieval" and "txt" in self._features:
            texts = ("txt",)
        return find_columns(self._features, self.row.image, self.row.label, texts, self.id)

    @property
    def _kind(self) -> str:
        """``retrieval`` or ``multilabel``, where a WebDataset says so."""
        return (self.source.small_file("dataset_type.txt") or "").strip().lower()

    @cached_property
    def _raw_names(self) -> tuple[str, ...]:
        text = self.source.small_file("classnames.txt")
        if text is not None:
            lines = [line.strip() for line in text.rstrip().splitlines()]
            return tuple(line or str(number) for number, line in enumerate(lines))  # a label is the number of a line
        return class_names(self._label_feature, lambda: self._table(self._first), self._columns, self.id)

    @property
    def _label_feature(self) -> Any:
        """The type of the label column; none of a captioned set."""
        return self._features[self._columns.label] if self._columns.label else None

    @cached_property
    def info(self) -> DatasetInfo:
        """Splits, class names, templates, metric; `InputError` where there is no image or label column, or no two
        classes."""
        if not self._names:
            raise InputError(f"{visible(self.id)} has no splits", where=self.id, fix="name another config")
        raw = () if self._columns.captions else self._raw_names
        if len(raw) < 2 and not self._columns.captions:
            found = f"one class, {visible(raw[0])}" if raw else "no classes"
            raise InputError(
                f"{visible(self.id)} has {found}; there is nothing to classify",
                where=self.id,
                fix="name another label column",
            )
        lists = several(self._label_feature)
        multilabel = multilabel_only(self.row.metric) or lists or self._kind == "multilabel"
        return DatasetInfo(
            id=self.id,
            revision=self.source.commit,
            splits=ordered_splits(self._names),
            classnames=readable_names(raw),
            raw_classnames=raw,
            templates=self._own_templates(),
            metric=DEFAULT_MULTILABEL if multilabel and self.row.metric == DEFAULT else self.row.metric,
            multilabel=multilabel,
            group=self.row.group,
            notes=self._notes(raw),
        )

    def _own_templates(self) -> tuple[str, ...]:
        """``zeroshot_classification_templates.txt``, as WebDataset repositories of CLIP's suite have it."""
        text = self.source.small_file("zeroshot_classification_templates.txt") or ""
        return tuple(line.strip() for line in text.splitlines() if line.strip())

    def _notes(self, raw: Sequence[str]) -> tuple[str, ...]:
        if not raw or not all(name.isdigit() for name in raw):
            return ()
        return (
            "the classes have numbers instead of names, and zero-shot needs names: give them with --classnames FILE",
        )

    def split(self, name: str) -> Split:
        """The split called `name` in ``info.splits``; its files are downloaded if they are not on this machine. Raises
        `AbsentError` where they cannot be downloaded, `InputError` where a label is not a known class."""
        info = self.info
        table = self._table(name)
        images, names = self._images(name, table)
        total = self.source.checksum(self._names[name])
        checksum = digest([total, self._columns.image]) if total else None
        if self._columns.captions:
            texts = captions(table, self._columns.captions, self.id)
            labels = np.zeros(len(texts), np.int64)
            return Split(name, own_ids(table) or names, labels, images, texts, checksum=checksum)
        return Split(name, names, label_matrix(table, self._columns, info, self.id), images, checksum=checksum)

    def _images(self, name: str, table: Any) -> tuple[ImageSource, tuple[str, ...]]:
        stream = self._stream(name)
        if stream is None:
            images = Images(table, self._columns.image, str(self.source.commit or ""))
            return images, images.names(name)
        places, names = self._index(name)[1], row_names(name, list(table[PATH]))
        if isinstance(stream, Shards):
            return ShardImages(stream, places), names
        return StreamedImages(stream, places, self._columns.image), names


def open_hub(ref: DatasetRef, opening: Opening) -> Hub:
    """The dataset ``hf:owner/name[@revision][:config]`` or ``hf:DIRECTORY``, or one that the catalogue lists.
    Raises `AbsentError` where there is no such repository or directory, `InputError` where it has none of the
    layouts above."""
    row = listed()[ref.place] if ref.kind == LISTED else CatalogueRow()
    name = replace(ref, place=row.hub_id or ref.place).hub
    named = {column: ref.option(column) for column in COLUMNS if ref.option(column)}
    row = replace(
        row,
        image=named.get("image", row.image),
        label=named.get("label", row.label),
        captions=(named["caption"],) if "caption" in named else row.captions,
    )
    root = user_path(name.name)
    if name.name.startswith((".", "/", "~")) or is_there(root, directory=True):
        if not is_there(root, directory=True):
            raise AbsentError(f"no such directory: {visible(name.name)}", where=ref.id, fix="check the path")
        source = hub_files.local(ref.id, root, name.config, opening.cache_dir)
    else:
        source = hub_files.remote(ref.id, name, row.revision, opening.cache_dir)
    return Hub(ref.id, replace(source, stream=ref.option(STREAM, AUTO)), row, opening.reporter)
