"""METEOR 1.5's own normaliser (`-norm`, English): what it makes of a caption that is already tokenized.

The steps are those of the Moses tokenizer (Koehn et al. 2007, `tokenizer.perl`), on a narrower alphabet, with three
habits of METEOR's: acronyms lose their full stops, a hyphen inside a word becomes a space, and typographic quotation
marks and en dashes become ASCII. Found by trying the jar; the tests hold it to the jar's answers.
"""

import re
from collections.abc import Iterable, Sequence

_ALPHA = "A-Za-zÀ-ÖØ-öø-žЀ-ԧᴀ-ᵿ"
_ALNUM = _ALPHA + "0-9"
_SPECIAL = re.compile(rf"([^{_ALNUM} \t\n\x0b\f\r.',-])")
_DOTS = re.compile(r"\.{2,}")
_COMMAS = tuple(re.compile(p) for p in ("([^0-9]),([^0-9])", "([0-9]),([^0-9])", "([^0-9]),([0-9])"))
_APOSTROPHES = (
    (re.compile(rf"([^{_ALPHA}])'([^{_ALPHA}])"), r"\1 ' \2"),
    (re.compile(rf"([^{_ALNUM}])'([{_ALPHA}])"), r"\1 ' \2"),
    (re.compile(rf"([{_ALPHA}])'([^{_ALPHA}])"), r"\1 ' \2"),
    (re.compile(rf"([{_ALPHA}])'([{_ALPHA}])"), r"\1 '\2"),
    (re.compile(r"([0-9])'(s)"), r"\1 '\2"),
)
_HYPHEN = re.compile(rf"([{_ALNUM}.])-([{_ALNUM}])")
_SPACE = re.compile("[ \t\n\f\r]+")
_WIDE_SPACE = re.compile("[\xa0\u2000-\u200a\u202f\u205f\u3000]")
_LETTER = re.compile(f"[{_ALPHA}]")
_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "–": " - "})
_CONTROLS = "".join(map(chr, range(33)))

# After these a full stop does not end the sentence (Moses, nonbreaking_prefix.en); those of the second set only
# before a number. The case counts, so lower-cased captions meet the last few alone.
_PREFIXES = frozenset((
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Adj", "Adm", "Adv", "Asst", "Bart", "Bldg", "Brig", "Bros", "Capt", "Cmdr", "Col",
    "Comdr", "Con", "Corp", "Cpl", "DR", "Dr", "Drs", "Ens", "Gen", "Gov", "Hon", "Hr", "Hosp", "Insp", "Lt", "MM",
    "MR", "MRS", "MS", "Maj", "Messrs", "Mlle", "Mme", "Mr", "Mrs", "Ms", "Msgr", "Op", "Ord", "Pfc", "Ph", "Prof",
    "Pvt", "Rep", "Reps", "Res", "Rev", "Rt", "Sen", "Sens", "Sfc", "Sgt", "Sr", "St", "Supt", "Surg", "Nos", "Nr",
    "v", "vs", "i.e", "rev", "e.g",
))  # fmt: skip
_PREFIXES_OF_NUMBERS = frozenset(("No", "Art", "pp"))

_PLAIN = re.compile("[a-z0-9]+")
_ALONE = re.compile("[^.,'`‘’“” \t\n\x0b\f\r\xa0\u2000-\u200a\u202f\u205f\u3000]+")
_ONE_SIDED = re.compile("[^. \t\n\x0b\f\r\xa0\u2000-\u200a\u202f\u205f\u3000]+")


def normalize(text: str) -> list[str]:
    """The words METEOR 1.5 (`-l en -norm`) sees in `text`, lower-cased. Never raises."""
    text = " " + text.replace("\x00", "\ufffd").translate(_QUOTES) + " "
    text = _SPECIAL.sub(r" \1 ", text)
    text = _DOTS.sub(lambda dots: f" {_hidden(dots)} ", text)
    for pattern in _COMMAS:
        text = pattern.sub(r"\1 , \2", text)
    text = text.replace("--", "-").replace("''", ' " ')
    for pattern, replacement in _APOSTROPHES:
        text = pattern.sub(replacement, text)
    text = _HYPHEN.sub(r"\1 \2", text)
    words = [word for word in _SPACE.split(text) if word]
    for i, word in enumerate(words):
        if len(word) > 1 and word[-1] == ".":
            words[i] = _full_stop(word, words[i + 1] if i + 1 < len(words) else "")
    text = _WIDE_SPACE.sub(" ", " ".join(words).replace("\x00", ".").lower()).strip(_CONTROLS)
    return [word for word in _SPACE.split(text) if word]


def _hidden(dots: re.Match[str]) -> str:
    return "\x00" * len(dots[0])


def _full_stop(word: str, following: str) -> str:
    """`word`, which ends with a full stop, with the stop kept, split off, or (in an acronym) all stops dropped."""
    before = word[:-1]
    if "." in before and _LETTER.search(before):
        return word.replace(".", "")
    if before in _PREFIXES or "a" <= following[:1] <= "z":
        return word
    if before in _PREFIXES_OF_NUMBERS and "0" <= following[:1] <= "9":
        return word
    return before + " ."


class TokenNormalizer:
    """`normalize` for many tokenized captions: most tokens are looked up, few captions are worked out.

    What a token becomes depends on its neighbours only where full stops, or two neighbours with commas or apostrophes,
    are involved; such captions go through `normalize`, all others are put together from their tokens.

    Args:
        vocabulary: the distinct tokens that are going to be seen.
    """

    PLAIN, ALONE, ONE_SIDED, IN_CONTEXT = range(4)

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.words: dict[str, list[str]] = {}
        self.kind: dict[str, int] = {}
        for token in vocabulary:
            if _PLAIN.fullmatch(token):
                self.words[token], self.kind[token] = [token], self.PLAIN
            elif _ALONE.fullmatch(token):
                self.words[token], self.kind[token] = normalize(token), self.ALONE
            elif _ONE_SIDED.fullmatch(token):
                self.words[token], self.kind[token] = normalize(token), self.ONE_SIDED
            else:
                self.words[token], self.kind[token] = [], self.IN_CONTEXT

    def __call__(self, tokens: Sequence[str]) -> list[str]:
        """The same as `normalize(" ".join(tokens))`."""
        one_sided = False
        words: list[str] = []
        for token in tokens:
            kind = self.kind[token]
            if kind == self.IN_CONTEXT or (kind == self.ONE_SIDED and one_sided):
                return normalize(" ".join(tokens))
            one_sided = kind == self.ONE_SIDED
            words += self.words[token]
        return words
