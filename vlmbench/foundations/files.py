"""Reads every file that a user names.

What is opened is a regular file (a link to one is fine), or a pipe that a shell has opened (``<(zcat …)``): a named
pipe, a device, a socket or a directory is refused at once, before anything waits for it. Size, what gzip unpacks to,
encoding, depth and numbers of JSON are bounded here, and each way in which text, JSON, JSON Lines or CSV can be damaged
is one `InputError` that names the file and the place in it.
"""

import csv
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.paths import named_file
from vlmbench.foundations.text import visible

LARGEST = 4 * 1024**3
"""Bytes of a file of text; LVIS's largest annotations have 1.1 GB."""
SMALL = 64 * 1024**2
"""Bytes of a plan, a list of class names or templates, or a model's configuration."""
RATIO = 100
"""Times its own size that a compressed file of more than `SMALL` unpacked bytes may unpack to."""
DEEPEST = 100
"""Levels of lists and objects in JSON."""

_BLOCK = 1024 * 1024
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_AGAIN = "rewrite the file with a JSON library, as UTF-8"


def regular_file(path: Path, *, what: str = "file", where: str | None = None, fix: str = "check the path") -> Path:
    """A regular file that a user names and another library opens. Raises `AbsentError` where there is nothing,
    `InputError` where it is no regular file, or cannot be looked at. `what` is what messages call it, `where` the
    option or name it stands in (None: the path itself)."""
    named_file(path, what=what, where=where, fix=fix)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreadable(path, error, where, fix) from error
    if not stat.S_ISREG(mode):
        raise _no_file(path, mode, what, where)
    return path


def read_bytes(
    path: Path,
    *,
    most: int = LARGEST,
    what: str = "file",
    where: str | None = None,
    fix: str = "check the path and its permissions",
) -> bytes:
    """The bytes of a file that a user names; arguments as for `regular_file`, and `most`: how many it may have. Raises
    `AbsentError` where there is nothing, `InputError` where it is no regular file and no pipe of a shell, cannot be
    read, or is larger."""
    named_file(path, what=what, where=where, fix=fix)
    try:
        # without O_NONBLOCK, opening a named pipe would wait for somebody to write to it
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as file:
            facts = os.fstat(handle)
            if stat.S_ISREG(facts.st_mode):
                if facts.st_size <= most:
                    return file.read()
            elif stat.S_ISFIFO(facts.st_mode) and str(path).startswith(("/dev/fd/", "/proc/self/fd/", "/dev/stdin")):
                os.set_blocking(handle, True)
                data = bytearray()
                while len(data) <= most and (block := file.read(_BLOCK)):
                    data += block
                if len(data) <= most:
                    return bytes(data)
            else:
                raise _no_file(path, facts.st_mode, what, where)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, where, fix) from error
    raise InputError(
        f"{visible(path.name)} is too large: a {what} has at most {most:,} bytes",
        where=where or str(path),
        fix="name another file, or split this one",
    )


def read_text(path: Path, *, most: int = LARGEST, what: str = "file", where: str | None = None) -> str:
    """The text of a file that a user names: `read_bytes`, then `text_of`."""
    return text_of(read_bytes(path, most=most, what=what, where=where), path)


def text_of(data: bytes, path: Path) -> str:
    """The text of a file's bytes: gzip is unpacked, a byte-order mark left out; UTF-8, or UTF-16 with such a mark.
    Raises `InputError` where its gzip is damaged or a bomb, or it is not UTF-8 (byte and line are named)."""
    if data[:2] == b"\x1f\x8b":
        data = _gunzipped(data, path)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8: byte 0x{data[error.start]:02x}",
            where=f"{path}, byte {error.start} (line {line})",
            fix=f"iconv -f latin1 -t UTF-8 {visible(path.name)}, if it is Latin-1",
        ) from error


def read_json(path: Path, *, most: int = LARGEST, what: str = "file", unique: bool = False) -> Any:
    """The JSON of a file that a user names: `read_text`, then `json_of`."""
    return json_of(read_text(path, most=most, what=what), str(path), pairs="unique" if unique else None)


def json_of(text: str, where: str, *, line: int = 0, fix: str = _AGAIN, pairs: Any = None, halves: bool = False) -> Any:
    """A text as JSON. Raises `InputError` where it is not JSON, is nested deeper than `DEEPEST`, has a number of more
    than 4,300 digits, or what `pairs` and `halves` do not allow.

    Args:
        line: the line of the file that the text is; None: the text may have several.
        fix: what to do if it is none.
        pairs: ``unique``: a key that occurs twice in an object is an error (else the last one counts); or what makes an
            object from its list of keys and values, as `json.loads` takes it, for a text that was read without it
            before, so that its depth is known.
        halves: whether texts may hold halves of characters (lone surrogates), as captions do that were cut off in an
            emoji; the caller has to see to them.
    """
    where += f", line {line}" if line else ""

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            seen: set[str] = set()
            key = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise InputError(f"the key {visible(key[:80])} occurs twice", where=where, fix="keep one of the two")
        return found

    try:
        value = json.loads(text, object_pairs_hook=once if pairs == "unique" else pairs)
    except json.JSONDecodeError as error:
        place = f", column {error.colno}" if line else f", line {error.lineno}, column {error.colno}"
        raise InputError(f"not valid JSON: {error.msg}", where=where + place, fix=fix) from error
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise InputError(f"not valid JSON: {error}", where=where, fix=fix) from error
    if not callable(pairs) and _is_deep(value):
        raise _too_deep(where)
    if not halves and _ESCAPED_SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            code = ord(error.object[error.start])
            what = f"a text with a lone surrogate (half a character, \\u{code:04x})"
            raise InputError(what, where=where, fix=_AGAIN) from error
    return value


def json_lines(
    text: str, path: Path, *, fix: str = "one JSON object per line", halves: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of JSON Lines, each with its place (``line 3``); only line feeds end a line. Raises `InputError`
    where a line is not JSON as `json_of` reads it, or no object."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            value = json_of(line, str(path), line=number, fix=fix, halves=halves)
            if not isinstance(value, dict):
                raise InputError("a line that is not a JSON object", where=f"{path}, line {number}", fix=fix)
            yield f"line {number}", value


def csv_rows(
    text: str, path: Path, *, delimiter: str = ",", strict: bool = True, fix: str = "quote cells that contain quotes"
) -> Iterator[tuple[str, list[str]]]:
    """The rows of a CSV that hold anything, each with its place (``line 3``, where it starts); cells of any length.
    Raises `InputError` where it is damaged; with `strict`, where quotes are too."""
    csv.field_size_limit(2**31 - 1)  # the library's own is 131,072; it holds for the process, so it is never put back
    line = 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    try:
        for row in reader:
            place, line = f"line {line}", reader.line_num + 1
            if any(cell.strip() for cell in row):
                yield place, row
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", where=f"{path}, line {line}", fix=fix) from error


def unpacked_limit(packed: int, *, small: int = SMALL) -> int:
    """Bytes that a compressed file of `packed` bytes may unpack to before it is taken for a bomb."""
    return max(small, RATIO * packed)


def utf8_name(name: str, where: str) -> str:
    """A name that a disk gives; `InputError` where it is not UTF-8, since it could be written to no file of results."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"a name that is not UTF-8: {visible(name)}", where=visible(where), fix="convmv -f latin1 -t utf8 --notest"
        ) from error
    return name


def _gunzipped(data: bytes, path: Path) -> bytes:
    limit = unpacked_limit(len(data))
    found, total = [], 0
    try:
        while data:
            member = zlib.decompressobj(wbits=31)
            while data and not member.eof:
                block = member.decompress(data, _BLOCK)
                found.append(block)
                total += len(block)
                if total > limit:
                    raise InputError(
                        f"gzip that unpacks to more than {limit:,} bytes: refused as a decompression bomb",
                        where=str(path),
                        fix="unpack it yourself and give the file in it",
                    )
                data = member.unconsumed_tail
            if not member.eof:
                raise zlib.error("it ends too early")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise InputError(f"damaged gzip: {error}", where=str(path), fix="compress or download it again") from error
    return b"".join(found)


def _is_deep(value: Any) -> bool:
    """Whether a value is nested deeper than `DEEPEST`, looked at level by level."""
    nested = (dict, list)  # a union made each time would take as long as the rest
    level = [value] if isinstance(value, nested) else []
    for _ in range(DEEPEST):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, nested)
        ]
        if not level:
            return False
    return True


def _too_deep(where: str) -> InputError:
    return InputError(f"JSON nested too deeply: at most {DEEPEST} levels are read", where=where, fix="flatten it")


def _unreadable(path: Path, error: Exception, where: str | None, fix: str) -> InputError:
    reason = getattr(error, "strerror", None) or error
    return InputError(f"cannot read {visible(str(path))}: {visible(str(reason))}", where=where or str(path), fix=fix)


_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _no_file(path: Path, mode: int, what: str, where: str | None) -> InputError:
    kind = next((name for test, name in _KINDS if test(mode)), "not a regular file")
    return InputError(
        f"{kind}, not a {what}: {visible(str(path))}", where=where or str(path), fix="name a regular file"
    )
