"""The formats of caption files: what a file is, and its entries with their place, for messages."""

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible

_FORMS = "COCO JSON, {id: [caption, ...]} JSON, JSONL, or CSV with image_id and caption"


class Entry(NamedTuple):
    """Captions of an image as they stand at one place of a file."""

    image: str
    captions: list[str]
    label: str
    number: int = -1

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return self.label if self.number < 0 else f"{self.label}[{self.number}]"


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as pairs: a dictionary would hide a key that stands twice."""


@dataclass(frozen=True)
class Parsed:
    """A file's entries, in order."""

    entries: list[Entry]
    declared: tuple[str, ...] = ()
    """Ids listed under ``images`` of a COCO annotations file."""
    mapping: bool = False
    """Whether it was ``{id: …}``, in which an id can stand only once."""


def read_text(path: Path) -> tuple[str, str]:
    """A file's text, unpacked where it is gzip, and the SHA-256 of its bytes.

    Raises:
        InputError: it cannot be read, its gzip is damaged, or it is not UTF-8 (or UTF-16 with a mark).
    """
    try:
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise InputError("a directory, not a caption file", where=str(path), mend="name the file in it") from error
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), mend="check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read the file: {error}", where=str(path), mend="check the path and its permissions"
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"damaged gzip: {error}", where=str(path), mend="compress or download it again") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding), sha256
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8: byte 0x{data[error.start]:02x}",
            where=f"{path}, byte {error.start} (line {line})",
            mend=f"iconv -f latin1 -t UTF-8 {path.name}, if Latin-1 is what it is",
        ) from error


def parse(text: str, path: Path) -> Parsed:
    """The entries of a caption file, whichever format it has.

    Raises:
        InputError: it is none of the formats, or an entry is not what it has to be; the place is named.
    """
    head = text.lstrip()[:1]
    if not head:
        raise InputError("an empty file", where=str(path), mend=f"give {_FORMS}")
    if head in "[{":
        try:
            return _from_json(json.loads(text), text, path)
        except json.JSONDecodeError as error:
            if head == "{" and _looks_like_lines(text):
                return Parsed(list(_from_lines(text, path)))
            raise InputError(
                f"not valid JSON: {error.msg}",
                where=f"{path}, line {error.lineno}, column {error.colno}",
                mend="write the file again with a JSON library",
            ) from error
        except RecursionError as error:
            raise InputError("JSON nested too deeply", where=str(path), mend=f"give {_FORMS}") from error
        except ValueError as error:
            raise InputError(
                f"not valid JSON: {error}", where=str(path), mend="write the file again with a JSON library"
            ) from error
    return Parsed(list(_from_csv(text, path)))


def _looks_like_lines(text: str) -> bool:
    first = next(line for line in text.split("\n") if line.strip())
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _from_json(data: Any, text: str, path: Path) -> Parsed:
    if isinstance(data, list):
        return Parsed(list(_records(data, path, "entry")))
    if not isinstance(data, dict):
        raise InputError(f"JSON of type {_kind(data)}", where=str(path), mend=f"give {_FORMS}")
    if "annotations" in data and not isinstance(data["annotations"], str):
        return _from_coco(data, path)
    if "image_id" in data and ("caption" in data or "captions" in data):
        return Parsed(list(_records([data], path, "line")))
    entries = []
    for index, (key, value) in enumerate(json.loads(text, object_pairs_hook=_Pairs), 1):
        place = f"id {visible(key[:80])!r} (number {index})"
        entries.append(Entry(_id(key, path, place), _captions(value, path, place), place))
    return Parsed(entries, mapping=True)


def _from_coco(data: dict[str, Any], path: Path) -> Parsed:
    annotations, images = data["annotations"], data.get("images", [])
    if not isinstance(annotations, list) or not isinstance(images, list):
        raise InputError(
            "annotations and images must be lists",
            where=str(path),
            mend="give a COCO captions file (captions_val2014.json)",
        )
    declared = []
    for index, image in enumerate(images):
        place = f"images[{index}]"
        if not isinstance(image, dict) or "id" not in image:
            raise InputError("an image without id", where=f"{path}, {place}", mend="every entry of images needs an id")
        declared.append(_id(image["id"], path, place))
    return Parsed(list(_records(annotations, path, "annotations")), tuple(declared))


def _records(records: list[Any], path: Path, label: str) -> Iterator[Entry]:
    try:  # the usual case at full speed; whatever is odd goes the slow way, which names it
        images, captions = [record["image_id"] for record in records], [record["caption"] for record in records]
        if set(map(type, images)) <= {int} and set(map(type, captions)) <= {str}:
            for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
                yield Entry(str(image), [caption], label, index)
            return
    except (KeyError, TypeError, IndexError):
        pass
    for index, record in enumerate(records):
        yield _record(record, path, f"{label}[{index}]")


def _record(record: Any, path: Path, place: str) -> Entry:
    if not isinstance(record, dict):
        raise InputError(
            f"an entry of type {_kind(record)}",
            where=f"{path}, {place}",
            mend='each entry has the form {"image_id": 1, "caption": "…"}',
        )
    if "image_id" not in record:
        raise InputError(
            "an entry without image_id",
            where=f"{path}, {place}",
            mend='each entry has the form {"image_id": 1, "caption": "…"}',
        )
    image = _id(record["image_id"], path, place)
    for key in ("caption", "captions"):
        if key in record:
            return Entry(image, _captions(record[key], path, f"{place}, image {visible(image[:80])}"), place)
    raise InputError(
        f"no caption of image {visible(image[:80])}",
        where=f"{path}, {place}",
        mend='each entry has the form {"image_id": 1, "caption": "…"}',
    )


def _from_lines(text: str, path: Path) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except RecursionError as error:
            raise InputError(
                "JSON nested too deeply", where=f"{path}, line {number}", mend="one object a line"
            ) from error
        except ValueError as error:
            raise InputError(
                f"not valid JSON: {error}", where=f"{path}, line {number}", mend="one JSON object a line"
            ) from error
        yield _record(record, path, f"line {number}")


def _from_csv(text: str, path: Path) -> Iterator[Entry]:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
    limit = csv.field_size_limit(len(text) + 1)
    try:
        yield from _rows(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), path)
    except csv.Error as error:
        raise InputError(
            f"not valid CSV: {error}", where=str(path), mend="quote captions that hold commas, quotes or line ends"
        ) from error
    finally:
        csv.field_size_limit(limit)


def _rows(reader: Any, path: Path) -> Iterator[Entry]:
    header: Sequence[str] | None = None
    image = caption = 0
    line = 1
    for row in reader:
        place, line = f"line {line}", reader.line_num + 1
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [cell.strip().lower() for cell in row]
            if "image_id" not in header or "caption" not in header:
                raise InputError(
                    "neither JSON nor a CSV with the columns image_id and caption: it starts with "
                    f"{visible(','.join(row)[:60])!r}",
                    where=f"{path}, {place}",
                    mend=f"give {_FORMS}",
                )
            image, caption = header.index("image_id"), header.index("caption")
            continue
        if len(row) != len(header):
            raise InputError(
                f"{len(row)} cells under {len(header)} columns",
                where=f"{path}, {place}",
                mend="quote captions that hold commas, quotes or line ends",
            )
        yield Entry(_id(row[image], path, place), [row[caption]], place)


def _id(value: Any, path: Path, place: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text:
        shown = "an empty id" if isinstance(value, str) else f"an id of type {_kind(value)}"
        raise InputError(shown, where=f"{path}, {place}", mend="an id is a whole number or a text that is not empty")
    if re.search("[\ud800-\udfff]", text):
        raise InputError(
            "an id with half a character (a lone surrogate)",
            where=f"{path}, {place}",
            mend="write the file again as UTF-8",
        )
    return text


def _captions(value: Any, path: Path, place: str) -> list[str]:
    found = value if isinstance(value, list) and not isinstance(value, _Pairs) else [value]
    for caption in found:
        if not isinstance(caption, str):
            raise InputError(
                f"a caption of type {_kind(caption)}", where=f"{path}, {place}", mend="a caption is a text"
            )
    return list(found)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {
        bool: "true or false",
        int: "number",
        float: "number",
        str: "text",
        list: "list",
        dict: "object",
        _Pairs: "object",
    }.get(type(value), type(value).__name__)
