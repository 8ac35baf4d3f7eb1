"""Penn Treebank tokenization of captions, like ``pycocoevalcap`` 1.2, without Java.

The reference is Stanford's ``PTBTokenizer`` 3.4.1 with ``-preserveLines -lowerCase`` and ``pycocoevalcap``'s
punctuation removed. Its quirks are reproduced, since published figures rest on them: brackets survive as ``-lrb-`` (the
punctuation list has them in upper case), ``?!`` survives, ``£ € ¢ ½`` become ``# $ cents 1/2``, American spelling is
not forced, emoji and other characters outside the Basic Multilingual Plane vanish. A token may contain a no-break
space (U+00A0) where the reference joins parts separated by spaces: ``1 1/2``, telephone numbers, SGML tags. Scorers
that split a line at white space see two words there, those that split at spaces see one; ``" ".join(tokens)`` is the
line that ``pycocoevalcap`` would give them.

Origin: ``benchmarks/ptb_probe.py`` ran the reference program as a black box over systematic probes;
`lexer` is a grammar written from the observations, ``tables.json`` the lists that follow from them. Tests
check both against the observations; the log next to them gives their number, the jar and the date.

Each text is read by itself. The reference joins captions with newlines and lets a rule look into the next one: after
``vitamin C.`` it matters whether the next line begins with ``The``. An initial that ends a caption counts as the end
of a sentence here, as it does there before most captions; `settle_initials` lets the next reference of the same image
decide. Looking into another image's captions is not reproduced, nor are the shifts that a line break inside a caption
causes there.

Known differences: ``benchmarks/tokenizer_fuzz.py`` finds less than one line in a thousand, of text joined
together without spaces (soft hyphens inside names, ``&lt;`` in an e-mail address, a clitic after ``Inc.-x``). Of the
probes, in `tests/metrics/captions/test_treebank.py`: a capital sigma after a hyphen, ``⁺₂``, an ideographic comma
after ``no.``, a soft hyphen between a sign and a figure; letters newer than the probed Java are lower-cased
here. Smileys and markup are read the same way, as far as they were probed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import MutableSequence, Sequence
from itertools import chain

from vlmbench.metrics.captions.ptb.lexer import lex, tables

# Text between two spaces can be read by itself, whatever its neighbours, if it looks like this. An initial
# (`I.`) or `no.` needs the word after it; a longer number could be half of a telephone number.
_ALONE = re.compile(
    r"""["(]*(?:[A-Za-z]{2,}|[AaIi])(?:[-'][A-Za-z]+)*["),;:!?]*|[A-Za-z]{2,}\."?|[0-9]{1,2}[a-z]*,?|[-.,;:&/"]"""
)
_BEFORE_NUMBERS = frozenset(f"{word}." for word in tables.NUMBERED.split())
_LIMIT = 1 << 18


class _Words(dict[str, tuple[str, ...]]):
    """Text between two spaces to its tokens; `KeyError` if it cannot be read alone.

    A word's tokens are the same objects wherever it occurs, which saves most of the memory for a large corpus.
    """

    def __missing__(self, word: str) -> tuple[str, ...]:
        if word and (not _ALONE.fullmatch(word) or word.lower() in _BEFORE_NUMBERS):
            raise KeyError(word)
        if len(self) >= _LIMIT:
            self.clear()
        found = self[word] = tuple(map(sys.intern, lex(word)))
        return found


_WORDS = _Words()
_known = _WORDS.__getitem__


def tokenize(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of every caption, `[N]` lists in the order of `texts`.

    Never raises on a string. Texts should be sanitised (`sanitize`): a line break in one is read as a space.

    Source: ``pycocoevalcap`` 1.2, ``tokenizer/ptbtokenizer.py``.
    """
    tokens: list[list[str]] = []
    append, known, chained = tokens.append, _known, chain.from_iterable
    for text in texts:
        try:
            append(list(chained(map(known, text.split(" ")))))
        except KeyError:
            append(lex(text))
    return tokens


_INITIAL = re.compile(r"(?<![^\W_])[A-Za-z]\.\s*$")


def settle_initials(texts: Sequence[str], tokens: Sequence[Sequence[str]]) -> None:
    """Restores the period of an initial at the end of a caption if the next caption does not begin like a sentence.

    ``… Wii U.`` before ``A group of …`` ends in ``u``, before ``people …`` in ``u.``; at the very end it stays ``u``.
    `texts` are the references of one image, in their order; `tokens` are changed in place.
    """
    for found, text, after in zip(tokens, texts, texts[1:], strict=False):
        if text.rstrip().endswith(".") and _INITIAL.search(text) and isinstance(found, MutableSequence):
            last = len(text.rstrip()) - 2
            opened = lex(f"{text.rstrip()} {after}", ends=False)
            if found and found[-1] == text[last].lower() and opened[len(found) - 1] == f"{found[-1]}.":
                found[-1] += "."
