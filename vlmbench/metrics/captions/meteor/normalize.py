"""METEOR 1.5's normaliser (`-norm`, English), applied to captions that are already tokenized.

Written from the jar's answers to the probes of `benchmarks/meteor_probe.py`, whose families the rules below name;
`meteor_observed.txt.gz`, next to it, contains the answers, and tests check all of them. The list of words that keep
their full stop is read from the installed jar (`resources.nonbreaking_prefixes`).

The text is split into cells: a letter, a digit, a blank, a sign, a mark (full stop, comma, apostrophe, hyphen) or a
doubled mark. A sign stands alone (`characters`). The treatment of a mark depends on the cells on its two sides, and
marks with the same treatment never share a cell: of ``a-b-c`` the first hyphen alone becomes a blank (`marks`, `runs`).
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from vlmbench.metrics.captions.meteor.resources import find_sources, nonbreaking_prefixes

_REWRITTEN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "–": " - "})  # signs
_CELL = re.compile(r"\.{2,}|--|''|.", re.DOTALL)

# The kinds of cells (characters, letters). A lone full stop, comma, apostrophe or hyphen is a kind of its own, and so
# are two hyphens: two cells to a comma, one hyphen to the rest.
LETTER, S, DIGIT, OTHER, APART = "lsdoa"
_LETTER = re.compile("[A-Za-zÀ-ÖØ-öø-žЀ-ԧᴀ-ᵿ\ua640-\ua66e\ua67e-\ua697]")
_DIGITS = frozenset("0123456789")
_KEPT = frozenset(" \t\n\x0b\f\r")  # blanks, and the vertical tab, which is kept like one but separates nothing
_BLANKS = re.compile("[ \t\n\f\r\xa0\u2000-\u200a\u202f\u205f\u3000]+")  # the wide ones are signs until the end
_PARTING = re.compile("[ \t\n\f\r]+")
_TRIMMED = "".join(map(chr, range(33)))

# What happens to a mark: it is surrounded by blanks, preceded by one, or replaced by one.
_SET_APART, _BEFORE, _BLANK = " {} ", " {}", " "
_WORD, _ELSE = (LETTER, S), (OTHER, APART, ".", ",", "'", "-", "--")


def _sides(left: Iterable[str], right: Iterable[str], becomes: str) -> dict[tuple[str, str], tuple[str, str]]:
    """The two sides for which a mark becomes `becomes`, each with the name of their common treatment."""
    fate = f"{''.join(left)}|{''.join(right)}"
    return {(one, other): (fate, becomes) for one in left for other in right}


# marks, runs, letters: each mark by its sides; sides not in a table leave the mark unchanged.
_COMMA = {
    **_sides((*_WORD, *_ELSE), (*_WORD, *_ELSE), _SET_APART),
    **_sides((DIGIT,), (*_WORD, *_ELSE), _SET_APART),
    **_sides((*_WORD, *_ELSE), (DIGIT,), _SET_APART),
}
_APOSTROPHE = {
    **_sides((DIGIT, *_ELSE), (DIGIT, *_ELSE), _SET_APART),
    **_sides(_ELSE, _WORD, _SET_APART),
    **_sides(_WORD, (DIGIT, *_ELSE), _SET_APART),
    **_sides(_WORD, _WORD, _BEFORE),
    **_sides((DIGIT,), (S,), _BEFORE),
}
_HYPHEN = _sides((*_WORD, DIGIT, "."), (*_WORD, DIGIT), _BLANK)
_TABLES = ((",", _COMMA), ("'", _APOSTROPHE), ("-", _HYPHEN))


def normalize(text: str) -> list[str]:
    """The words METEOR 1.5 (`-l en -norm`) sees in `text`, lower-cased."""
    cells = _CELL.findall(f" {text.translate(_REWRITTEN)} ")
    kinds = [_kind(cell) for cell in cells]
    written = [_written(cell, kind) for cell, kind in zip(cells, kinds, strict=True)]
    for mark, table in _TABLES:
        if mark in kinds:
            _decide(mark, table, kinds, written)
        kinds = ["-" if kind == "--" else kind for kind in kinds]
    words = [word for word in _PARTING.split("".join(written)) if word]
    ended = " ".join(map(_full_stop, words, [*words[1:], ""]))
    return [word for word in _BLANKS.split(_BLANKS.sub(" ", ended.lower()).strip(_TRIMMED)) if word]


@lru_cache(4096)
def _kind(cell: str) -> str:
    if _LETTER.match(cell):
        return S if cell == "s" else LETTER
    if cell in _DIGITS:
        return DIGIT
    if cell in _KEPT:
        return OTHER
    return cell if cell in (".", ",", "'", "-", "--") else APART


def _written(cell: str, kind: str) -> str:
    if kind == APART:
        return ' " ' if cell == "''" else f" {cell} "
    return "-" if kind == "--" else cell


def _decide(mark: str, table: dict[tuple[str, str], tuple[str, str]], kinds: list[str], written: list[str]) -> None:
    """Replaces each `mark`, from left to right."""
    free: dict[str, int] = {}  # the first cell that another mark of the same treatment may have on its left
    apart = []
    for i, kind in enumerate(kinds):
        if kind != mark:
            continue
        fate, becomes = table.get((kinds[i - 1], kinds[i + 1]), ("", ""))
        if fate and i - 1 >= free.get(fate, 0):
            free[fate] = i + 1 if kinds[i + 1] in (APART, "--") else i + 2
            written[i] = becomes.format(written[i])
            if becomes == _SET_APART:
                apart.append(i)
    for i in apart:
        kinds[i] = APART


def _full_stop(word: str, following: str) -> str:
    """`word` with its final full stop kept or set apart, or, in an acronym, with all of its stops dropped (stops).

    A word keeps it before a lower-case word, and if the jar's list says so.
    """
    before = word[:-1]
    if not word.endswith(".") or not before.strip("."):
        return word
    if "." in before and _LETTER.search(before):
        return word.replace(".", "")
    always, numbers = _prefixes()
    if before in always or "a" <= following[:1] <= "z" or (before in numbers and following[:1] in _DIGITS):
        return word
    return f"{before} ."


@cache
def _prefixes() -> tuple[frozenset[str], frozenset[str]]:
    return nonbreaking_prefixes(find_sources())


# How a token is normalised. Most do not depend on their neighbours.
PLAIN, ALONE, ONE_SIDED, IN_CONTEXT = range(4)
_PLAIN = re.compile("[a-z0-9]+")
# Characters below a blank are trimmed at the ends of a text, so a token that holds one is not the same everywhere.
_ALONE = re.compile("[^\x00-\x20.,'`‘’“”\xa0\u2000-\u200a\u202f\u205f\u3000]+")
_ONE_SIDED = re.compile("[^\x00-\x20.\xa0\u2000-\u200a\u202f\u205f\u3000]+")


class TokenNormalizer:
    """`normalize` for many tokenized captions: most tokens are looked up, few captions are normalised in full.

    What a token becomes depends on its neighbours only where full stops, or two neighbours with commas or apostrophes,
    are involved; such captions go through `normalize`, all others are assembled from their tokens.
    """

    PLAIN, ALONE, ONE_SIDED, IN_CONTEXT = PLAIN, ALONE, ONE_SIDED, IN_CONTEXT

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.words: dict[str, list[str]] = {}
        self.kind: dict[str, int] = {}
        for token in vocabulary:
            if _PLAIN.fullmatch(token):
                self.words[token], self.kind[token] = [token], PLAIN
            elif _ALONE.fullmatch(token):
                self.words[token], self.kind[token] = normalize(token), ALONE
            elif _ONE_SIDED.fullmatch(token):
                self.words[token], self.kind[token] = normalize(token), ONE_SIDED
            else:
                self.words[token], self.kind[token] = [], IN_CONTEXT

    def __call__(self, tokens: Sequence[str]) -> list[str]:
        """The same as `normalize(" ".join(tokens))`."""
        one_sided = False
        words: list[str] = []
        for token in tokens:
            kind = self.kind[token]
            if kind == IN_CONTEXT or (kind == ONE_SIDED and one_sided):
                return normalize(" ".join(tokens))
            one_sided = kind == ONE_SIDED
            words += self.words[token]
        return words
