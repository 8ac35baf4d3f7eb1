"""The Snowball English stemmer ("Porter2"), in the edition that METEOR 1.5 uses.

Source: M. F. Porter, "The English (Porter2) stemming algorithm", snowballstem.org, the description before the 2.x
revisions. Our own implementation; `tests/metrics/captions` compares it with the jar's answers.
"""

import re

_VOWELS = frozenset("aeiouy")
_DOUBLES = frozenset(("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"))
_LI_ENDING = frozenset("cdeghkmnrt")
_WHOLE = {
    "skis": "ski",
    "skies": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "idly": "idl",
    "gently": "gentl",
    "ugly": "ugli",
    "early": "earli",
    "only": "onli",
    "singly": "singl",
}
_INVARIANT = frozenset(("sky", "news", "howe", "atlas", "cosmos", "bias", "andes"))
_INVARIANT_AFTER_1A = frozenset(("inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed"))
_STEP_2 = (
    ("ational", "ate"),
    ("fulness", "ful"),
    ("iveness", "ive"),
    ("ization", "ize"),
    ("ousness", "ous"),
    ("biliti", "ble"),
    ("lessli", "less"),
    ("tional", "tion"),
    ("alism", "al"),
    ("aliti", "al"),
    ("ation", "ate"),
    ("entli", "ent"),
    ("fulli", "ful"),
    ("iviti", "ive"),
    ("ousli", "ous"),
    ("abli", "able"),
    ("alli", "al"),
    ("anci", "ance"),
    ("ator", "ate"),
    ("enci", "ence"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("ogi", "og"),
    ("li", ""),
)
_STEP_3 = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("alize", "al"),
    ("ative", ""),
    ("icate", "ic"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ness", ""),
    ("ful", ""),
)
_STEP_4 = (
    "ement", "able", "ance", "ence", "ible", "ment", "ant", "ate", "ent", "ion", "ism", "iti", "ive", "ize", "ous",
    "al", "er", "ic",
)  # fmt: skip
_REGION = re.compile("[aeiouy][^aeiouy]")
_HAS_VOWEL = re.compile("[aeiouy]")


def _regions(word: str) -> tuple[int, int]:
    """Where R1 and R2 begin in `word`."""
    r1 = len(word)
    for prefix in ("gener", "commun", "arsen"):
        if word.startswith(prefix):
            r1 = len(prefix)
            break
    else:
        found = _REGION.search(word)
        if found:
            r1 = found.end()
    found = _REGION.search(word, r1)
    return r1, found.end() if found else len(word)


def _ends_short(word: str) -> bool:
    """Whether `word` ends with a short syllable."""
    if len(word) == 2:
        return word[0] in _VOWELS and word[1] not in _VOWELS
    return (
        len(word) > 2
        and word[-1] not in _VOWELS
        and word[-1] not in "wxY"
        and word[-2] in _VOWELS
        and word[-3] not in _VOWELS
    )


def stem(word: str) -> str:
    """The stem of a lower-cased word (English, Snowball/Porter2).

    Words of up to two characters, and characters outside a to z, stay unchanged. Never raises.
    """
    if word in _WHOLE:
        return _WHOLE[word]
    if len(word) <= 2 or word in _INVARIANT:
        return word
    if "'" in word:
        word = word[1:] if word[0] == "'" else word
        for ending in ("'s'", "'s", "'"):
            if word.endswith(ending):
                word = word[: -len(ending)]
                break
    if "y" in word:  # a y that begins the word or follows a vowel is a consonant, written Y
        letters = list(word)
        for i, letter in enumerate(letters):
            if letter == "y" and (i == 0 or letters[i - 1] in _VOWELS):
                letters[i] = "Y"
        word = "".join(letters)
    r1, r2 = _regions(word)
    word = _step_1a(word)
    if word in _INVARIANT_AFTER_1A:
        return word
    word = _step_1b(word, r1)
    if len(word) > 2 and word[-1] in "yY" and word[-2] not in _VOWELS:
        word = word[:-1] + "i"
    word = _steps_2_and_3(word, r1, r2)
    word = _steps_4_and_5(word, r1, r2)
    return word.replace("Y", "y")


def _step_1a(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and _HAS_VOWEL.search(word, 0, len(word) - 2):
        return word[:-1]
    return word


def _step_1b(word: str, r1: int) -> str:
    for ending in ("eedly", "eed"):
        if word.endswith(ending):
            return word[: -len(ending)] + "ee" if len(word) - len(ending) >= r1 else word
    for ending in ("ingly", "edly", "ing", "ed"):
        if word.endswith(ending):
            base = word[: -len(ending)]
            if not _HAS_VOWEL.search(base):
                return word
            if base.endswith(("at", "bl", "iz")):
                return base + "e"
            if base[-2:] in _DOUBLES:
                return base[:-1]
            return base + "e" if len(base) <= r1 and _ends_short(base) else base
    return word


def _steps_2_and_3(word: str, r1: int, r2: int) -> str:
    for ending, replacement in _STEP_2:
        if word.endswith(ending):
            at = len(word) - len(ending)
            if at >= r1 and (
                word[at - 1 : at] == "l" if ending == "ogi" else ending != "li" or word[at - 1 : at] in _LI_ENDING
            ):
                word = word[:at] + replacement
            break
    for ending, replacement in _STEP_3:
        if word.endswith(ending):
            at = len(word) - len(ending)
            if at >= (r2 if ending == "ative" else r1):
                word = word[:at] + replacement
            break
    return word


def _steps_4_and_5(word: str, r1: int, r2: int) -> str:
    for ending in _STEP_4:
        if word.endswith(ending):
            at = len(word) - len(ending)
            if at >= r2 and (ending != "ion" or word[at - 1 : at] in ("s", "t")):
                word = word[:at]
            break
    if word.endswith("e"):
        if len(word) - 1 >= r2 or (len(word) - 1 >= r1 and not _ends_short(word[:-1])):
            return word[:-1]
    elif word.endswith("ll") and len(word) - 1 >= r2:
        return word[:-1]
    return word
