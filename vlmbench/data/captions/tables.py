"""Caption files that are tables: one row per image or caption, in a list of objects, JSONL, CSV, TSV or Parquet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlmbench.data.base import ALL
from vlmbench.data.captions.columns import GROUP, caption_columns, id_column
from vlmbench.data.captions.entries import FORMS, CaptionRow, Parsed, Want, captions_in, group_of, id_of, kind_of
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import csv_rows, json_lines, json_of
from vlmbench.foundations.text import visible

_OBJECT = 'each entry has the form {"image_id": 1, "caption": "…"}; other columns are named by '
_QUOTE = "quote captions that contain commas, quotes or line breaks"
MOST_GROUPS = 20
"""A column ``domain`` with more distinct values is not a group of images, unless named as one."""
PARQUET = b"PAR1"


@dataclass(frozen=True)
class _Found:
    """The columns of a table."""

    image: str
    captions: tuple[str, ...]
    group: str | None
    split: str | None


@dataclass
class _Table:
    """Converts rows to entries."""

    path: Path
    want: Want
    entries: list[CaptionRow] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    splits: list[str] = field(default_factory=list)
    image: str | None = None
    """The column of ids, as the first row has it."""
    _known: dict[tuple[str, ...], _Found] = field(default_factory=dict)

    def columns(self, names: tuple[str, ...], place: str) -> _Found:
        """Selects among the columns `names`; `InputError` (all are named) where there is none of ids."""
        if names not in self._known:
            self._known[names] = self._find(names, place)
        return self._known[names]

    def _find(self, names: tuple[str, ...], place: str) -> _Found:
        named, want = self.want.named, self.want
        image = self.image or next(iter(named.of("image", names)), None) or id_column(names)
        where = f"{self.path}, {place}"
        if image is None or image not in names:
            columns = ", ".join(map(visible, names)) or "nothing"
            fix = f"{_OBJECT}--columns image=COLUMN"
            raise InputError(f"an entry without {self.image or 'image_id'}: it has {columns}", where=where, fix=fix)
        self.image = image
        others = [name for name in names if name != image]
        captions = named.of("prediction" if want.candidates else "captions", others)
        group = named.of("group", others) or ((GROUP,) if GROUP in others else ())
        split = named.of("split", others) or (("split",) if "split" in others else ())
        return _Found(
            image,
            captions or caption_columns(others, candidates=want.candidates),
            group[0] if group else None,
            split[0] if split and want.split not in (None, ALL) else None,
        )

    def add(self, row: Mapping[str, Any], label: str, number: int = -1) -> None:
        """Adds a row, by column; `InputError` where it has no id or no caption, or they are of another type."""
        place = label if number < 0 else f"{label}[{number}]"
        found = self.columns(tuple(row), place)
        image = id_of(row[found.image], str(self.path), place)
        if not found.captions:
            raise self.without_captions(f"image {visible(image[:80])}", row, place)
        captions: list[str] = []
        for name in found.captions:
            value = row[name]
            if type(value) is str and (value or len(found.captions) == 1):
                captions.append(value)
            elif len(found.captions) == 1 or value not in (None, ""):
                captions += captions_in(value, str(self.path), f"{place}, image {visible(image[:80])}")
        self.entries.append(CaptionRow(image, captions, label, number))
        if found.group is not None and row[found.group] not in (None, ""):
            self.groups[image] = group_of(row[found.group])
        if found.split is not None:
            self.splits.append(self.want.split_of(row[found.split]))

    def without_captions(self, whose: str, names: Iterable[str], place: str) -> InputError:
        """The error of an entry, or a table, that has no captions."""
        names = [*names]
        columns = ", ".join(map(visible, names))
        others = [visible(name) for name in names if name != self.image]
        role = "prediction" if self.want.candidates else "captions"
        fix = f"{_OBJECT}--columns {role}={others[0] if len(others) == 1 else 'COLUMN'}"
        return InputError(f"no caption for {whose}: it has {columns}", where=f"{self.path}, {place}", fix=fix)

    def parsed(self) -> Parsed:
        """The entries of the split that is wanted."""
        few = "group" in self.want.named.by_role or len(set(self.groups.values())) <= MOST_GROUPS
        groups = self.groups if few else {}
        if not self.splits:
            return Parsed(self.entries, groups=groups)
        if len(self.splits) != len(self.entries):
            raise InputError(
                "some entries have a split and some do not", where=str(self.path), fix="give every entry a split"
            )
        chosen = self.want.choose(list(dict.fromkeys(self.splits)), str(self.path))
        kept = [e for e, own in zip(self.entries, self.splits, strict=True) if chosen in (ALL, own)]
        return Parsed(kept, groups=groups, split=chosen)


def is_row(value: Mapping[str, Any], want: Want) -> bool:
    """Whether a JSON object is a row of a table, and not captions by id."""
    named = want.named.by_role
    role = "prediction" if want.candidates else "captions"
    return bool(
        (set(named.get("image", ())) & set(value) or id_column(value))
        and (set(named.get(role, ())) & set(value) or caption_columns(value, candidates=want.candidates))
    )


def from_records(records: list[Any], path: Path, want: Want, label: str = "entry") -> Parsed:
    """A list of objects; `InputError` where an entry is malformed."""
    if not want.named.by_role and want.split is None:
        plain = _plain(records, label, want)
        if plain is not None:
            return Parsed(plain)
    table = _Table(path, want)
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise _no_object(record, path, f"{label}[{index}]")
        table.add(record, label, index)
    return table.parsed()


def _plain(records: list[Any], label: str, want: Want) -> list[CaptionRow] | None:
    """The usual case at full speed; None where anything is odd: the slow way takes it, or names it."""
    try:
        if GROUP in records[0] or (want.candidates and caption_columns(records[0], candidates=True) != ("caption",)):
            return None
        images, captions = [record["image_id"] for record in records], [record["caption"] for record in records]
    except (KeyError, TypeError, IndexError):
        return None
    if not (set(map(type, images)) <= {int} and set(map(type, captions)) <= {str}):
        return None
    pairs = enumerate(zip(images, captions, strict=True))
    return [CaptionRow(str(image), [caption], label, index) for index, (image, caption) in pairs]


def from_lines(text: str, path: Path, want: Want) -> Parsed:
    """JSONL: one object per line; `InputError` where a line is malformed."""
    table = _Table(path, want)
    for place, record in json_lines(text, path, halves=True):
        table.add(record, place)
    return table.parsed()


def from_csv(text: str, path: Path, want: Want) -> Parsed:
    """CSV or TSV with a line of column names; the separator is the comma, the tab, or the semicolon without commas.
    Raises `InputError` where it is no such table."""
    table = _Table(path, want)
    _read_csv(csv_rows(text, path, delimiter=separator(text), fix=_QUOTE), table)
    return table.parsed()


def separator(text: str) -> str:
    """The separator of a CSV or TSV, from its first line."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    return "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","


def _read_csv(rows: Iterable[tuple[str, list[str]]], table: _Table) -> None:
    """Each row of a CSV as an entry."""
    header: Sequence[str] | None = None
    image, caption = 0, -1
    where = str(table.path)
    for place, row in rows:
        if header is None:
            header = _header(row, table, place)
            found = table.columns(tuple(header), place)
            if len(found.captions) == 1 and found.group is found.split is None:
                image, caption = header.index(found.image), header.index(found.captions[0])
        elif len(row) != len(header):
            raise InputError(f"{len(row)} cells under {len(header)} columns", where=f"{where}, {place}", fix=_QUOTE)
        elif caption < 0:
            table.add({name: cell(text) for name, text in zip(header, row, strict=True)}, place)
        else:
            value = cell(row[caption])
            captions = value if isinstance(value, list) else [value]
            table.entries.append(CaptionRow(id_of(row[image], where, place), captions, place))


def _header(row: Sequence[str], table: _Table, place: str) -> Sequence[str]:
    named = {name for names in table.want.named.by_role.values() for name in names}
    header = [name if (name := cell.strip()) in named else name.lower() for cell in row]
    if len(set(header)) != len(header) or not is_row(dict.fromkeys(header), table.want):
        raise InputError(
            "neither JSON nor a CSV with the columns image_id and caption: it starts with "
            f"{visible(','.join(row)[:60])!r}",
            where=f"{table.path}, {place}",
            fix=f"give {FORMS}; --columns image=…,captions=…,prediction=… names other columns",
        )
    return header


def cell(text: str) -> str | list[str]:
    """A cell; a list of texts as JSON has it, which pandas, for example, writes for a list of captions."""
    if text.startswith('["') and text.endswith('"]'):
        try:
            value = json_of(text, "", halves=True)
        except InputError:
            return text
        return list(value) if all(isinstance(item, str) for item in value) else text
    return text


def from_parquet(path: Path, want: Want) -> Parsed:
    """A Parquet file; columns of images are not read. Raises `InputError` where it is damaged, or has no column of ids
    or captions (the columns are named)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _Table(path, want)
    try:
        with pq.ParquetFile(path) as file:
            plain = [item for item in file.schema_arrow if not _holds_images(item.type, pa)]
            found = table.columns(tuple(item.name for item in plain), "its columns")
            if not found.captions:
                raise table.without_captions("any image", file.schema_arrow.names, "its columns")
            names = dict.fromkeys(
                name for name in (found.image, *found.captions, found.group, found.split) if name is not None
            )
            place = 0
            for batch in file.iter_batches(columns=list(names), batch_size=8192):
                for row in batch.to_pylist():
                    place += 1
                    table.add(row, f"row {place}")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"not readable as Parquet: {visible(str(error))}", where=str(path), fix="write or download it again"
        ) from error
    return table.parsed()


def _holds_images(kind: Any, pa: Any) -> bool:
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _no_object(value: Any, path: Path, place: str) -> InputError:
    return InputError(f"an entry of type {kind_of(value)}", where=f"{path}, {place}", fix=_OBJECT)
