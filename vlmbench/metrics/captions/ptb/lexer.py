r"""A small grammar of Penn Treebank tokens in captions, as Stanford's program of 2014 reads them.

Written from two sources: the Penn Treebank's published conventions (clitics and ``n't`` are tokens, ``cannot`` is two,
brackets are ``-LRB-`` …; M. Marcus, B. Santorini and M. A. Marcinkiewicz, Computational Linguistics 19(2), 1993), and
what ``benchmarks/ptb_probe.py`` observed when it ran the program as a black box. The observations are in
``tests/metrics/captions/data/ptb_observed.json.gz``; each `Reading` below names the families of probes it serves,
and tests check the whole grammar against all of them.

How it works. A text has a *shape* of the same length, in which a character of another script is replaced by one that
represents its kind (`é` for any letter beyond ASCII …), which keeps the patterns small. At each place every
reading that can begin there is tried. The one that *reaches* furthest wins, of two that reach equally far the
first; what a pattern matches after its first group is only lookahead, but counts for the reach. A
character at which nothing can begin is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace

tables = SimpleNamespace(**json.loads(Path(__file__).with_name("tables.json").read_text("utf-8")))
"""Lists that ``benchmarks/ptb_probe.py`` draws from its observations; ABOUT says from which families of probes."""
DROPPED = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
"""pycocoevalcap's punctuation; its bracket names are upper-case there, so they never match."""

_KINDS = {
    "letters": "é",
    "marks": "\u02c2",
    "digits": "\u0660",
    "superscripts": "²",
    "subscripts": "₂",
    "symbols": "¡",
    "hyphens": "‐",
    "opening": "‘",
    "closing": "’",
    "angle": "›",
    "double_opening": "“",
    "double_closing": "”",
    "separators": "٫",
    "spaces": "\u2009",
    "nothing": "\x81",
}


class _Shape(dict[int, str]):
    """A character's stand-in in the shape, looked up once."""

    def __missing__(self, code: int) -> str:
        if code < 128:
            found = chr(code)
        else:
            kinds = (kind for kind in _KINDS if any(low <= code <= high for low, high in _ranges(kind)))
            found = _KINDS.get(next(kinds, ""), chr(code)) if code < 0x10000 else _KINDS["nothing"]
        self[code] = found
        return found


@cache
def _ranges(kind: str) -> tuple[tuple[int, int], ...]:
    pairs = (item.partition("-") for item in tables.CHARACTERS.get(kind, "").split())
    return tuple((int(low, 16), int(high or low, 16)) for low, _, high in pairs)


_SHAPE = _Shape()
_ACCENTED = re.compile(r"&[aeiouAEIOU](?:acute|grave|uml);")

# --- the alphabet of the patterns
LETTER = "A-Za-zé\xad"
DIGIT = "0-9\u0660"
BLANK = "[ \t\xa0\u2009]"
CURLED = "['’]"  # apostrophes of a clitic
RAISED = "['’`‘]"  # and those inside a name
PLAIN = f"[{LETTER}{DIGIT}]"
LETTERS = f"[{LETTER}\u02c2\u02c3][{LETTER}{DIGIT}\u02c2\u02c3]*"
NAME = "A-Za-zé"
NAMED = f"[dDlLoO]{RAISED}[{NAME}{DIGIT}]{{2,}}"
INITIALS = r"(?:[A-Za-z]\.){2,}"
JOINED = f"(?:{NAMED}|[{NAME}{DIGIT}]+)"
COMPOUND = f"{JOINED}(?:[-_‐]{JOINED})+"
MEASURE = rf"[A-Za-z0-9][A-Za-z0-9.,\xad]*+(?:-(?:{INITIALS}|[A-Za-z0-9\xad]+))+"
DOTTED = f"{LETTERS}(?:[.!?]{LETTERS})+"
ALLIED = "[A-Z]+(?:(?:&(?:[aA][mM][pP];)?|[+])[A-Z]+)+"
UNIT = f"(?:{MEASURE}|{COMPOUND}|{DOTTED}|{ALLIED}|{NAMED}|{LETTERS}|{PLAIN}+)"
CLITICS = "(?i:s|d|m|ll|re|ve)"
OUTSIDE = r"\"()<>| \t"  # never inside an address
LAST = rf"[^{OUTSIDE}!,\-.?{{}}]"  # what an address may end with
PATH = f"(?:/[^{OUTSIDE}]+{LAST})?"
GAP = "[- \t\xa0]"
TAG = "[A-Za-z][A-Za-z0-9_.:-]*"
VALUE = r"(?:[ \t]*=[ \t]*(?:\"[^\"]*\"|'[^']*'))"


def _words(words: str, *, first: bool = True, rest: bool = True) -> str:
    """A pattern for any of the words: in lower case, with the `first` letter or the `rest` in upper case too."""
    ordered = sorted(map(re.escape, words.split()), key=lambda word: (-len(word), word))
    if first and rest:
        found = f"(?i:{'|'.join(ordered)})"
    elif rest:
        found = "|".join(f"{word[0].upper()}(?i:{word[1:]})" for word in ordered)
    else:
        found = "|".join(f"(?i:{word[0]}){word[1:]}" for word in ordered)
    return found.replace("'", CURLED)


# --- the tokens of a reading
Say = Callable[[str, str], list[str]]


def _itself(text: str, shape: str) -> list[str]:
    return [text.lower().replace("\xad", "").replace("&amp;", "&")]


def _kept(text: str, shape: str) -> list[str]:
    """The token with its soft hyphens."""
    return [text.lower()]


def _nothing(text: str, shape: str) -> list[str]:
    return []


def _halves(text: str, shape: str) -> list[str]:
    return [text[:3].lower(), text[3:].lower()]


def _straight(text: str, shape: str) -> list[str]:
    return [re.sub("[`‘‛]", "`", re.sub("[’\x92]", "'", text.lower()))]


def _bracketed(text: str, shape: str) -> list[str]:
    """Brackets by name, and blanks inside a token as no-break spaces."""
    return [re.sub("[ \t]", "\xa0", text.lower().replace("(", "-lrb-").replace(")", "-rrb-"))]


def _blanks(text: str, shape: str) -> list[str]:
    return [re.sub("[ \t]", "\xa0", text.lower())]


def _sign(text: str, shape: str) -> list[str]:
    return [tables.NAMES.get(text, text.lower())]


def _entity(text: str, shape: str) -> list[str]:
    return [tables.ENTITIES.get(text[1:-1], text.lower())]


def _quotes(text: str, shape: str) -> list[str]:
    says = {"‘": "`", "’": "'", "›": "'", "“": "``", "”": "''"}
    return ["".join(says.get(sign, sign) for sign in shape)]


@dataclass(frozen=True)
class Reading:
    """One way to read the text at a place.

    Attributes:
        name: what it reads.
        probes: the families of probes that show it.
        first: the characters it can begin with, as a pattern.
        pattern: over the shape; the first group is the token, the rest is lookahead.
        say: its tokens.
    """

    name: str
    probes: str
    first: str
    pattern: str
    say: Say = _itself

    @cached_property
    def match(self) -> Callable[[str, int], re.Match[str] | None]:
        """The pattern, compiled when a text first needs it: most are for text that is rare in captions."""
        return re.compile(self.pattern).match


_WORD = "[A-Za-zé\xad\u02c2\u02c3]"
_ANY_WORD = "[A-Za-z0-9é\xad\u0660\u02c2\u02c3]"

READINGS: tuple[Reading, ...] = (
    # abbreviations
    Reading(
        "abbreviation that may end a sentence",
        "abbreviations after_abbreviations",
        "[A-Za-z]",
        rf"((?:{_words(tables.CLOSING)}|{_words(tables.CLOSING_NAMES, first=False)}"
        rf"|{_words(tables.CLOSING_SMALL, rest=False)})\.)(?:[^A-Za-z0-9é]?.(?:[.,!?]|{BLANK})?)?",
    ),
    Reading(
        "title",
        "abbreviations",
        "[A-Za-z]",
        rf"(?:{_words(tables.TITLES)}|{_words(tables.TITLES_SMALL, rest=False)})\.",
    ),
    Reading("number's name", "abbreviations", "[A-Za-z]", rf"((?:{_words(tables.NUMBERED)})\.){BLANK}?[{DIGIT}]"),
    Reading("initials", "dots", "[A-Za-z]", INITIALS),
    Reading(
        "initial before a sentence",
        "initials two_lines",
        "[A-Za-z]",
        rf"([A-Za-z])\.{BLANK}+(?:{_words(tables.STARTERS, first=False)})(?:{BLANK}|$)",
    ),
    Reading("initial", "abbreviations initials", "[A-Za-z]", r"[A-Za-z]\."),
    Reading("word before a pause", "pauses", _ANY_WORD, rf"({UNIT}\.)[,;:]"),
    # words
    Reading("word before a clitic", "apostrophes words", _ANY_WORD, rf"({UNIT}){CURLED}{CLITICS}"),
    Reading("word in two", "words", "[cglwCGLW]", f"(?:{_words(tables.HALVED)})", _halves),
    Reading("word", "words characters", _WORD, LETTERS),
    Reading("letters and digits", "hyphens numbers", _ANY_WORD, f"[{NAME}{DIGIT}]+"),
    Reading("compound", "hyphens", _ANY_WORD, COMPOUND),
    Reading("compound of figures", "hyphens", "[A-Za-z0-9]", MEASURE),
    Reading(
        "alternatives",
        "slashes",
        "[A-Za-z0-9]",
        r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}",
    ),
    Reading("dotted name", "dots addresses", _WORD, DOTTED),
    Reading("allied capitals", "signs", "[A-Z]", ALLIED),
    Reading("language", "signs", "[cCfF]", r"[cCfF]#|[cC]\+\+"),
    # apostrophes
    Reading("elided name", "apostrophes", "[dDlLoOnN]", rf"{NAMED}|[nN]{RAISED}[{NAME}]{{2,}}"),
    Reading("capital and name", "apostrophes", "[A-HJ-XZ]", rf"[A-HJ-XZ]{RAISED}[{NAME}]{{2,}}"),
    Reading(
        "name of two vowels",
        "apostrophes",
        "[A-Za-zé]",
        rf"[{NAME}]+[aeiouyAEIOUY]{RAISED}[aeiouA-Z][{NAME}]*",
    ),
    Reading(
        "word with an apostrophe",
        "words apostrophe_words",
        "[A-Za-z]",
        f"{_words(tables.APOSTROPHE_WORDS)}|[oO]{RAISED}[oO]",
    ),
    Reading("elided pronoun", "apostrophes", "[jJyY]", rf"([jJyY]{CURLED})[A-Za-z]"),
    Reading("verb before n't", "apostrophes", "[A-Za-z\xad]", rf"([A-Za-z\xad]*[A-MO-Za-mo-z\xad])[nN]{RAISED}[tT]"),
    Reading("n't", "apostrophes", "[nN]", f"[nN]{RAISED}[tT]", _straight),
    Reading("clitic", "apostrophes words", CURLED, rf"'{CLITICS}(?![A-Za-z])|’{CLITICS}", _straight),
    Reading("clitic 'n", "apostrophes words", CURLED, r"'[nN](?=[ \t\xa0]|$)|’[nN]"),
    Reading("'n'", "apostrophes words", CURLED, f"{CURLED}[nN]{CURLED}"),
    Reading("clipped word", "words apostrophe_words", CURLED, f"{CURLED}(?:{_words(tables.CLIPPED)})"),
    Reading("'t of 'tis", "words", "'", "('[tT])(?i:is|was)"),
    Reading("decade", "dates", CURLED, rf"{CURLED}[1-9]0[sS]|{CURLED}[0-9]{{2}}(?={BLANK}|$)"),
    # figures
    Reading("number", "numbers", f"[-+.,:٫{DIGIT}]", f"[-+]?[.,:٫]?[{DIGIT}]+(?:[.,:\xad٫⁄][{DIGIT}]+)*"),
    Reading(
        "fraction",
        "fractions",
        f"[{DIGIT}]",
        rf"(?:[{DIGIT}]{{1,4}}{GAP})?[{DIGIT}]{{1,4}}\\?/[{DIGIT}]{{1,4}}",
        _bracketed,
    ),
    Reading("date", "dates", "[0-9]", "[0-9]{1,2}/[0-9]{1,2}-[0-9]{2,4}"),
    Reading(
        "telephone",
        "phones",
        f"[(+{DIGIT}]",
        rf"(?:\([{DIGIT}]{{2,3}}\){GAP}?|\+?[{DIGIT}]{{2,4}}{GAP}(?:[{DIGIT}]{{2,4}}{GAP})?)"
        rf"[{DIGIT}]{{3,4}}{GAP}?[{DIGIT}]{{3,5}}",
        _bracketed,
    ),
    Reading("currency", "signs", "[A-Z]", r"[A-Z]+\$"),
    # files and addresses
    Reading(
        "file", "files", _ANY_WORD, rf"({PLAIN}+(?:\.{PLAIN}+)*\.(?:{_words(tables.EXTENSIONS)}))(?:[.,!?]|{BLANK}|$)"
    ),
    Reading("page", "addresses", "[hH]", rf"(?i:https?)://[^{OUTSIDE}{{}}]+{LAST}", _kept),
    Reading("host", "addresses", "[wW]", rf"(?i:www)\.(?:[^{OUTSIDE},{{}}.]+\.)+[A-Za-z]{{2,4}}{PATH}", _kept),
    Reading(
        "host and path", "addresses", "[wW]", rf"(?i:www)\.(?:[^{OUTSIDE},{{}}./]+\.)+[A-Za-z]{{2,4}}{PATH}", _kept
    ),
    Reading(
        "site",
        "addresses",
        r"[^ \tA-Z0-9.]",
        rf"(?:[^{OUTSIDE}\u02c3A-Z0-9!$',\-/:;=?@\[\\\]^_`{{}}.]++\.)+(?:{_words(tables.DOMAINS)}){PATH}",
        _kept,
    ),
    Reading(
        "mail",
        "addresses",
        "[<A-Za-z0-9]",
        rf"<?[A-Za-z0-9][^{OUTSIDE}\xa0{{}}]*@(?:[^{OUTSIDE}\xa0{{}}.]+\.)*[^{OUTSIDE}\xa0{{}}.]+>?",
        _kept,
    ),
    Reading("handle", "addresses signs", "@", "@[A-Za-z_][A-Za-z0-9_]*"),
    Reading("topic", "addresses signs characters", "#", f"#[{LETTER}\u02c2\u02c3]+", _kept),
    # signs
    Reading(
        "mark-up",
        "tags",
        "<",
        rf"</?{TAG}[ \t]*/?>|<[!?][A-Za-z-][^>]*>|<{TAG}(?:[ \t]+{TAG}{VALUE}?)*[ \t]*/?[ \t]*>",
        _blanks,
    ),
    Reading("entity", "entities", "&", rf"&(?:{'|'.join(tables.ENTITIES)});|&#[0-9]+;", _entity),
    Reading(
        "face",
        "faces",
        r"[<>:;=x~'(^-]",
        r"[<>]?[:;=][-o*']?[()DdPpO\\|@\[\]{](?![A-Za-z0-9])|[x=~<>'^-]_[x=~<>'^-]"
        r"|\((?:[x=~<>'^-][_.]?[x=~<>'^-]|[x=~<>'^]-[x=~<>'^])\)",
        _bracketed,
    ),
    Reading("straight quotes", "quotes", "'", "''?", _nothing),
    Reading("quotes", "quotes", "[`‘’“”„‚›]", "[`‘’“”„‚›]{1,2}", _quotes),
    Reading("dashes", "runs", "-", "-{5,}"),
    Reading("short dashes", "runs", "-", "-{1,4}", _nothing),
    Reading("dots", "runs", r"[.…]", r"\.{3,4}|\. \. \.|[.…]", _nothing),
    Reading("run", "runs", "[!?_*#@<>\\\\]", r"[!?]+|_+|\*+|#+|@+|<<|>>|(?:\\\*)+"),
    Reading("superscript", "characters runs", "[²₂⁺⁻₊₋]", "[⁺⁻]?²+|[₊₋]?₂+"),
    Reading("sign", "characters pairs", r"[^ \t\xa0\x81\xad\u2009٫‐\"'.A-Za-z0-9]", ".", _sign),
)

_END = Reading("initial at the end", "initials two_lines", "[A-Za-z]", rf"([A-Za-z])\.{BLANK}*$")
_SIMPLE = re.compile(r"(?:([A-Za-z]+),?|([A-Za-z]{2,})\.)(?: +|$)")
_HALVED = frozenset(tables.HALVED.split())
_DOTTED = frozenset(
    f"{tables.CLOSING} {tables.CLOSING_NAMES} {tables.CLOSING_SMALL} {tables.TITLES} {tables.TITLES_SMALL} "
    f"{tables.NUMBERED}".split()
)


@cache
def _beginning(sign: str) -> tuple[Reading, ...]:
    begins = {first for first in {reading.first for reading in READINGS} if re.match(first, sign)}
    return tuple(reading for reading in (_END, *READINGS) if reading.first in begins)


def lex(text: str, *, ends: bool = True) -> list[str]:
    """The tokens of a caption, lower case, without pycocoevalcap's punctuation; a line break in it is read as a space.
    With `ends` a sentence ends where the text does, so that an initial there loses its period."""
    shape = text if text.isascii() else text.translate(_SHAPE)
    if "&" in shape:
        shape = _ACCENTED.sub(lambda match: "\u02c3" * len(match[0]), shape)
    found: list[str] = []
    place, size = 0, len(text)
    while place < size:
        simple = _SIMPLE.match(shape, place)
        word = (simple[1] or simple[2]).lower() if simple else ""
        if simple and not (simple[2] and word in _DOTTED):
            found += (word[:3], word[3:]) if word in _HALVED else (word,)
            place = simple.end()
            continue
        best, taken, reach = None, place + 1, place
        for reading in _beginning(shape[place]):
            match = reading.match(shape, place)
            if match and match.end() > reach and (ends or reading is not _END):
                best, taken, reach = reading, match.end(match.lastindex or 0), match.end()
        if best:
            found += best.say(text[place:taken], shape[place:taken])
        place = taken
    return [token for token in found if token and token not in DROPPED]
