"""Making caption text safe for line-based protocols, without changing what the scorers see.

The reference pipeline (pycocoevalcap 1.2) joins captions with newlines, sends them through Java and splits the
output on newlines; METEOR's program reads ``SCORE ||| reference ||| candidate`` lines. A caption that contains a line
break of any kind shifts every caption after it to the wrong image, and one that contains ``|||`` breaks the METEOR
protocol. What is replaced:

=======================================================  ==========================================================
in the text                                              becomes
=======================================================  ==========================================================
LF, CR, CR LF, VT, FF, FS, GS, RS, NEL, LS, PS            one space: each ends a line somewhere in the pipeline
the other C0 controls but TAB, and DEL                   one space: the tokenizer deletes them and ends the word
lone surrogates                                          one space: they can't be written as UTF-8
a run of three or more ``|``                             the same bars, with spaces between: ``|||`` to ``| | |``
=======================================================  ==========================================================

The tokenizer makes each bar a token of its own anyway, so ``|||`` and ``| | |`` give the same tokens, and the
native and the Java backend score the same text. U+0080 to U+009F other than NEL stay: Stanford's tokenizer reads
them as Windows-1252 punctuation (``don\\x92t`` is ``do n't``), and they end no line. Emoji and other characters
stay as well: the tokenizer handles them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_UNSAFE = re.compile("\r\n|[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]|\\|{3,}")
_KINDS = {
    "a line break at the end": re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\\Z"),
    "a line break inside": re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029](?=[^\n\r])"),
    "control characters": re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f]"),
    "invalid Unicode (lone surrogates)": re.compile("[\ud800-\udfff]"),
    "'|||'": re.compile(r"\|{3}"),
}
"""What a message calls them."""


def _replaced(match: re.Match[str]) -> str:
    found = match.group()
    return " ".join(found) if found[0] == "|" else " "


def sanitize(text: str) -> tuple[str, bool]:
    """`text` made safe for a line of any protocol, and whether it had to be changed.

    Idempotent: sanitising the result changes nothing. The result contains no line break
    (``len(result.splitlines()) <= 1``), no ``|||``, and can be encoded as UTF-8.
    """
    if text.isascii() and text.isprintable() and "|||" not in text:
        return text, False
    result = _UNSAFE.sub(_replaced, text)
    return result, result != text


def what_changed(texts: Iterable[str]) -> str:
    """What `sanitize` replaces in the texts, in words, with the number of texts of each kind."""
    counts = dict.fromkeys(_KINDS, 0)
    for text in texts:
        for kind, pattern in _KINDS.items():
            counts[kind] += bool(pattern.search(text))
    return ", ".join(f"{count:,} with {kind}" for kind, count in counts.items() if count)


def sanitize_all(texts: Sequence[str]) -> tuple[list[str], int]:
    """Sanitises every text; the second value is how many of them had to be changed."""
    if not _UNSAFE.search("\t".join(texts)):
        return list(texts), 0
    results = [sanitize(text) for text in texts]
    return [text for text, _ in results], sum(touched for _, touched in results)
