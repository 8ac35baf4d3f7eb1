"""Seeded damage to small valid files: flipped and cut bytes, odd numbers and texts, other shapes of JSON."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, 10**18, 10**400),
    *(float("nan"), float("inf"), float("-inf"), "", " ", ".", "..", "/", "../../x", "/dev/zero", "\0", "a\0b"),
    *("\ud800", "\udcff", "é", "e\u0301", "\u202e", "\u2028", "=1+1", "{}", "{c}", "{0}", "a" * 300, "a" * 140_000),
    *([], {}, [[]], [None], [1, "a"], {"": ""}, {"a": {"a": []}}, "NaN", "1e400", "true", "0x10", "１２", "-", "1_0"),
)
TOKENS: tuple[bytes, ...] = (
    *(b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"', b"'", b",", b"\t", b";", b"\r", b"\n"),
    *(b"\\ud800", b"\\u0000", b"\\", b"{", b"}", b"[", b"]", b"1e308", b"-1", b"NaN", b"Infinity", b"1e400", b"null"),
    *(b"9" * 5_000, b"[" * 100_000, b'{"a":' * 20_000, b"[" * 300 + b"]" * 300, b"a" * 140_000, b"\x1f\x8b", b"PK\3\4"),
    *(b"\xff" * 8, b"\0" * 8, b"\x7f" * 4, struct.pack("<Q", 2**63), struct.pack("<I", 2**31), b"=cmd|' /C calc'!A0"),
)
Change = Callable[[random.Random, bytes], bytes]


def mutated(chance: random.Random, data: bytes) -> bytes:
    """`data` with one to four changes; of what is JSON, half are changes of its structure."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4))):
        change = chance.choice(BYTES)
        if chance.random() < 0.5 and data[:1] in (b"{", b"["):
            change = _structure
        data = change(chance, data)
    return data


def _flip(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _set(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    if found:
        found[chance.randrange(len(found))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(found)


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _remove(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.choice((1, 2, 4, 16, 100)) :]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data) + 1)
    end = start + chance.choice((1, 4, 16, 100))
    return data[:end] + data[start:end] * chance.choice((1, 1, 3, 50)) + data[end:]


def _insert(chance: random.Random, data: bytes) -> bytes:
    start = chance.randrange(len(data) + 1)
    over = chance.choice((0, 0, 1, 4, 8))
    return data[:start] + chance.choice(TOKENS) + data[start + over :]


def _header(chance: random.Random, data: bytes) -> bytes:
    """A number in the first or last bytes, where lengths and offsets stand."""
    start = chance.choice((chance.randrange(min(len(data), 64) + 1), max(0, len(data) - chance.randrange(1, 64))))
    return data[:start] + struct.pack("<I", chance.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1))) + data[start + 4 :]


def _word(chance: random.Random, data: bytes) -> bytes:
    """A cell or word replaced by an odd value."""
    marks = [place for place, value in enumerate(data) if value in b" ,\t;:\n\"'=/"]
    if len(marks) < 2:
        return data
    first = chance.randrange(len(marks) - 1)
    value = chance.choice(ODD_VALUES)
    text = value if isinstance(value, str) else repr(value)
    return data[: marks[first] + 1] + text.encode("utf-8", "surrogatepass") + data[marks[first + 1] :]


BYTES: tuple[Change, ...] = (_flip, _flip, _set, _cut, _remove, _repeat, _insert, _insert, _header, _word, _word)


def _structure(chance: random.Random, data: bytes) -> bytes:
    """JSON or JSON Lines with a value, a key or an entry changed."""
    try:
        value = json.loads(data)
        return json.dumps(_changed(chance, value), ensure_ascii=True).encode()
    except (ValueError, RecursionError):
        pass
    lines = data.split(b"\n")
    place = chance.randrange(len(lines))
    try:
        lines[place] = json.dumps(_changed(chance, json.loads(lines[place]))).encode()
    except (ValueError, RecursionError):
        return _flip(chance, data)
    return b"\n".join(lines)


def _changed(chance: random.Random, value: Any, depth: int = 0) -> Any:
    """A plain value with one part of it changed."""
    if depth > 20 or not isinstance(value, list | dict) or not value or chance.random() < 0.15:
        return _nested(chance.choice((50, 900))) if chance.random() < 0.02 else chance.choice(ODD_VALUES)
    if isinstance(value, list):
        place = chance.randrange(len(value))
        how = chance.random()
        if how < 0.1:
            return [*value, value[place]]
        if how < 0.2:
            return value[:place] + value[place + 1 :]
        return [*value[:place], _changed(chance, value[place], depth + 1), *value[place + 1 :]]
    key = chance.choice(list(value))
    how = chance.random()
    if how < 0.1:
        return {name: own for name, own in value.items() if name != key}
    if how < 0.2:
        odd = chance.choice([name for name in ODD_VALUES if isinstance(name, str)])
        return {odd if name == key else name: own for name, own in value.items()}
    return {**value, key: _changed(chance, value[key], depth + 1)}


def _nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value
