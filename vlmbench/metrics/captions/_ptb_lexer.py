"""The Penn Treebank lexer: the rules of `_ptb_rules` over the shadow of a text, longest match first."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from vlmbench.metrics.captions import _ptb_rules as rules
from vlmbench.metrics.captions._ptb_chars import shadow

_Match = Callable[[str, int], "re.Match[str] | None"]
_Rule = tuple[_Match, int, str]

# A word before a blank, or at the end, can be read without asking the rules.
_PLAIN = re.compile(r"[A-Za-z]+(?=[ \n])").match
_BLANKS = re.compile(f"(?:{rules.BLANK})*").match
JOINED_WORDS = frozenset({"cannot", "gonna", "gotta", "wanna", "gimme", "lemme"})

# Tokens and characters that are left out: pycocoevalcap's punctuation, and what Stanford's tokenizer itself deletes.
# Curly quotes, dashes and the like become tokens of the same list, and so are left out as well.
_PUNCTUATION = frozenset({"''", "'", "``", "`", '"', ".", "?", "!", ",", ":", "-", "--", "...", ";"})
_DELETED = frozenset(
    "\u2019\u2018\x91\x92\u201b\u201c\u201d\x93\x94\xab\xbb\u2039\u203a\u2013\u2014\u2015\x96\x97\u2026\x85\xad"
)
_VANISH = frozenset(" \t\n\xa0\x01\u2003\u058a\u2010\u2011\u066b\u066c") | _PUNCTUATION | _DELETED
_SINGLE = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
    "\x80": "$", "\u20ac": "$", "\xa4": "$", "\u20a0": "$", "\xa3": "#", "\xa2": "cents",
    "\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3",
}  # fmt: skip
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_CLITICS = frozenset({"n't", "clitic"})
_STRAIGHT = str.maketrans({"\u2019": "'", "\x92": "'", "\u2018": "`", "\x91": "`", "\u201b": "`"})
_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u201b\u2039\x91", "`")
    | dict.fromkeys("\u2019\u203a\x92", "'")
    | dict.fromkeys("\u201c\xab\x93", "``")
    | dict.fromkeys("\u201d\xbb\x94", "''")
)
_ABSORBED = re.compile("[ ()\xad]")
_INSIDE = {" ": "\xa0", "(": "-lrb-", ")": "-rrb-", "\xad": ""}


def _kind(char: str) -> str:
    if char.isascii() and char.isalpha():
        return rules.WORD
    if char in "0123456789\u0660+-.,:\u066b\u066c":
        return rules.DIGIT
    return rules.QUOTE if char in "'`\u2018\u2019\u201b\x91\x92" else rules.OTHER


class _Dispatch(dict[str, tuple[_Rule, ...]]):
    """The rules that may begin with a character, in order; filled as characters are met."""

    def __init__(self, table: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__()
        self._rules = [
            (first, (compiled.match, compiled.groups, name))
            for name, first, pattern in table
            for compiled in (re.compile(pattern, re.DOTALL),)
        ]

    def __missing__(self, char: str) -> tuple[_Rule, ...]:
        kinds = {_kind(char)}
        if char in "\u00e9\u0301\xad":
            kinds |= {rules.WORD}
        elif char in "-.:,":
            kinds |= {rules.OTHER}
        elif char == "&":
            kinds |= {rules.QUOTE, rules.WORD}
        found = tuple(rule for first, rule in self._rules if kinds & set(first))
        self[char] = found
        return found


@cache
def _dispatch(net: bool) -> _Dispatch:
    return _Dispatch((*rules.NET_RULES[:-4], *rules.RULES, *rules.NET_RULES[-4:]) if net else rules.RULES)


def _normalise(token: str, name: str) -> str:
    """The token as Stanford's tokenizer writes it, in lower case; empty where it is left out."""
    token = token.lower()
    if name in _CLITICS:
        token = token.replace("&apos;", "'").translate(_STRAIGHT)
    elif name == "entity":
        return _ENTITIES.get(token, "")
    elif name in ("ellipsis", "dash", "blank"):
        return ""
    elif name == "quotes":
        return token.translate(_QUOTES)
    elif name == "ampersand":
        token = token.replace("&amp;", "&")
    elif name == "'tis" and "&" in token:
        return "t"
    if name == "tag":
        return token.replace(" ", "\xa0")
    if name in ("hashtag", "email", "url", "www", "com", "dotted"):
        return token
    return _ABSORBED.sub(lambda match: _INSIDE[match.group()], token)


def lex(text: str) -> list[str]:
    """The tokens of one line, without the punctuation that pycocoevalcap leaves out."""
    shade = shadow(text) + "\n"
    table = _dispatch(rules.NET.search(text) is not None)
    tokens: list[str] = []
    place, size = 0, len(text)
    while place < size:
        char = shade[place]
        if char == " ":
            place = blanks.end() if (blanks := _BLANKS(shade, place)) else place + 1
            continue
        plain = _PLAIN(shade, place)
        if plain is not None:
            word = plain.group().lower()
            if word not in JOINED_WORDS:
                tokens.append(word)
                place = plain.end()
                continue
        reach, end, chosen = 0, place + 1, ""
        for match, groups, name in table[char]:
            found = match(shade, place)
            if found is not None and found.end() > reach:
                reach, end, chosen = found.end(), found.end(groups), name
        token = text[place:end]
        place = end
        if len(token) == 1:
            if shade[place - 1] in _VANISH:
                continue
            token = _SINGLE.get(token) or token.lower()
        else:
            token = _normalise(token, chosen)
        if token and token not in _PUNCTUATION:
            tokens.append(token)
    if tokens and text.endswith("\xa0"):  # pycocoevalcap strips the end of the line
        tokens[-1] = tokens[-1].rstrip()
    return tokens
