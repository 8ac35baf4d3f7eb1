"""Signatures: one line that says how a number was made, like sacrebleu's, and that can be parsed.

``task:zeroshot|model:tiny-clip@1f2e…|data:digits/test@9c0a…|n:797|templates:1|…|version:0.1.0``. Fields are
separated by ``|``; ``|``, ``%`` and unprintable characters inside a value are percent-encoded, so that no value can
add a field.
"""

import json
from collections.abc import Sequence
from urllib.parse import quote, unquote

from pydantic import JsonValue

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.records.result import Record

_LONGEST_VALUE = 40


def signature(record: Record, version: str, *, long: bool = False) -> str:
    """The signature of a record.

    Short: hashes cut to 8 digits, a long or nested value replaced by ``#`` and 8 digits of its digest. Long: everything
        in full.
    """
    cut = 64 if long else 8
    fields: dict[str, str] = {"task": record.task, "system": record.system}
    if record.model is not None:
        fields["model"] = f"{record.model.id}@{record.model.weights_sha256[:cut]}"
    data = record.dataset
    fields["data"] = f"{data.id}/{data.split}@{data.fingerprint[:cut]}"
    if data.skipped:
        fields["skipped"] = str(len(data.skipped))
    fields["n"] = str(record.n)
    if record.shots is not None:
        fields["shots"] = str(record.shots)
    for key, value in record.protocol.values().items():
        fields[key] = _value(value, long)
    fields["seed"] = str(record.seed)
    for package in sorted(record.versions) if long else ():
        fields[f"v.{package}"] = record.versions[package]
    fields["version"] = version
    return format_fields(fields)


def format_fields(fields: dict[str, str]) -> str:
    """``key:value`` pairs joined by ``|``; keys hold no colon."""
    return "|".join(f"{_escape(key)}:{_escape(value)}" for key, value in fields.items())


def parse_signature(line: str) -> dict[str, str]:
    """The fields of a signature line, in order; the inverse of `format_fields`. Raises `InputError` where a field has
    no colon, or occurs twice."""
    fields: dict[str, str] = {}
    for part in line.rstrip("\r\n").split("|"):
        key, colon, value = part.partition(":")
        if not colon or _unescape(key) in fields:
            raise InputError(
                f"not a signature: {part!r} is not one key:value field", fix="copy the whole line from result.json"
            )
        fields[_unescape(key)] = _unescape(value)
    return fields


def shortened(lines: Sequence[str]) -> tuple[list[str], str]:
    """Signatures with only the fields in which they differ, and the fields that all have in common.

    Where a line is no signature, or there is one only, the lines stay whole and nothing is common.
    """
    try:
        found = [parse_signature(line) for line in lines]
    except InputError:
        return list(lines), ""
    first = found[0] if len(found) > 1 else {}
    common = {key: value for key, value in first.items() if all(fields.get(key) == value for fields in found)}
    own = [{key: value for key, value in fields.items() if key not in common} for fields in found]
    return [format_fields(fields) for fields in own], format_fields(common)


def _value(value: JsonValue, long: bool) -> str:
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if long or len(text) <= _LONGEST_VALUE:
        return text
    return "#" + digest(value)[:8]


def _escape(text: str) -> str:
    escaped = (
        char if char.isprintable() and char not in "%|" else quote(char, safe="", errors="surrogatepass")
        for char in text
    )
    return "".join(escaped)


def _unescape(text: str) -> str:
    return unquote(text, errors="surrogatepass")
