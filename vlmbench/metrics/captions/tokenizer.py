"""Penn Treebank tokenization of captions, as ``pycocoevalcap`` 1.2 does it, without Java.

The reference is Stanford's ``PTBTokenizer`` 3.4.1 with ``-preserveLines -lowerCase`` and ``pycocoevalcap``'s
punctuation taken out. Its habits are kept, since published figures rest on them: brackets survive as ``-lrb-`` (the
punctuation list has them in capitals), ``?!`` survives, ``£ € ¢ ½`` become ``# $ cents 1/2``, American spelling is
not forced, emoji and other characters outside the Basic Multilingual Plane vanish. A token may hold a no-break
space (U+00A0) where Stanford joins what blanks separate: ``1 1/2``, telephone numbers, SGML tags. Scorers that
split a line at white space see two words there, those that split at blanks see one; ``" ".join(tokens)`` is the
line that ``pycocoevalcap`` would give them.

Each text is read by itself. The reference joins captions with newlines and lets a rule look into the next one: after
``vitamin C.`` it matters whether the next line begins with ``The``. `settle_initials` does so among the references of
one image; a look into another image's captions is not imitated, nor are the shifts that a line break inside a caption
causes there. The 70,010 captions of COCO's that this was tried on come out equal.

What is known to differ, about one line in a thousand of ``benchmarks/tokenizer_fuzz.py``, all in text glued together
without blanks: character entities of accented letters (``caf&eacute;``) before a period or a comma, soft hyphens
inside rarer tokens, and the like.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import chain

from vlmbench.metrics.captions._ptb_lexer import lex
from vlmbench.metrics.captions._ptb_rules import BLANK, SENTENCE_START

# What stands between two blanks can be read by itself, whatever its neighbours, if it looks like this. An initial
# (`I.`) or `no.` needs the word after it; a longer number could be half of a telephone number.
_ALONE = re.compile(
    r"""["(]*(?:[A-Za-z]{2,}|[AaIi])(?:[-'][A-Za-z]+)*["),;:!?]*|[A-Za-z]{2,}\."?|[0-9]{1,2}[a-z]*,?|[-.,;:&/"]"""
)
_AFTER = frozenset({"no", "nos", "fig", "figs", "art", "prop", "pp", "op", "ca"})
_LIMIT = 1 << 18


class _Words(dict[str, tuple[str, ...]]):
    """What stands between two blanks, to its tokens; `KeyError` where it can't be read alone.

    A word's tokens are the same objects wherever it stands, which spares most of the memory of a large corpus.
    """

    def __missing__(self, word: str) -> tuple[str, ...]:
        if word and (not _ALONE.fullmatch(word) or (word[-1] in '."' and word.strip('."').lower() in _AFTER)):
            raise KeyError(word)
        if len(self) >= _LIMIT:
            self.clear()
        found = self[word] = tuple(map(sys.intern, lex(word)))
        return found


_WORDS = _Words()
_known = _WORDS.__getitem__


def tokenize_one(text: str) -> list[str]:
    """The tokens of one caption, lower case, without punctuation; empty where nothing is left."""
    try:
        return list(chain.from_iterable(map(_known, text.split(" "))))
    except KeyError:
        return lex(text)


def tokenize(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of every caption, `[N]` lists in the order of `texts`.

    Never raises on a string. Texts should have been through `sanitize`: a line break in one is read as a blank.

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


_SENTENCE = re.compile(f"{BLANK}*(?:{SENTENCE_START})(?:{BLANK}|$)")


def settle_initials(texts: Sequence[str], tokens: Sequence[Sequence[str]]) -> None:
    """Takes the period off an initial that ends a caption where the next caption begins as a sentence does.

    ``… Wii U.`` before ``A group of …`` ends in ``u``, before ``people …`` in ``u.``; the last caption keeps it.

    Args:
        texts: the references of one image, in their order.
        tokens: their tokens, changed in place.
    """
    for index, found in enumerate(tokens[:-1]):
        last = found[-1] if found else ""
        initial = len(last) == 2 and last[1] == "." and texts[index].rstrip().endswith(".")
        if initial and isinstance(found, list) and _SENTENCE.match(texts[index + 1]):
            found[-1] = last[0]
