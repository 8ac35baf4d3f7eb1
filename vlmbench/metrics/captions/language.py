"""Are the captions English? Decided by script and function words, without a model.

The tokenizer splits words by English rules, and METEOR knows English stems and synonyms: on other languages their
scores mislead. The test is whether there is evidence of *another* language, over the whole corpus, so that short
captions (``a dog``) and telegraphic ones (``dog, grass, ball``) pass.
"""

import re
from collections import Counter
from collections.abc import Sequence

SAMPLE = 5000
"""Number of captions that are checked, evenly spaced."""
LEAST_LETTERS = 40
"""Fewer letters than this are not evidence."""
NOT_LATIN = 0.2
"""Share of letters outside the Latin script above which captions are not English."""
ACCENTED = 0.015
"""Share of letters such as é or ł above which captions are not English, if few words are English function words."""
ENGLISH = 0.08
"""The limit for "few": COCO's captions have 15 to 16 %, from people and captioners alike, accents in 0.00 % of their
letters, and function words of other languages in 0.01 % of their words at most."""
FOREIGN = 0.08
"""Share of words that are function words of other languages above which captions are not English, if it is also
twice the share of English ones; captions in twelve languages have 12 to 46 %."""
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a]")
_ENGLISH_WORDS = """
    the of and with at by from for this that are were his her their there its it he she they some two
"""
"""Function words of English captions that are hardly words of other languages (so neither ``a`` nor ``in``)."""
_OTHER_LANGUAGES = """
    ein eine einen einem einer eines der und mit auf ist sind im dem das nicht neben vor
    een het met op zijn naast voor aan er staat zit en et og med på ved som af av til ett det och är
    un une le les du des dans sur avec est sont qui una el los las con del por está están
    um uma uns umas os com não em ao na dos das amb els il lo gli di della nel sul sono che è su și cu este într
    jest się je egy az és ja joka jossa kaksi ovat bir ve ile bu seorang sebuah yang dan dengan sedang pada
"""
"""German; Dutch and Scandinavian; French and Spanish; Portuguese, Catalan, Italian, Romanian; Polish, Czech, Hungarian,
Finnish, Turkish, Indonesian: function words that are hardly words of English captions."""
_ENGLISH, _OTHER = frozenset(_ENGLISH_WORDS.split()), frozenset(_OTHER_LANGUAGES.split())


def not_english(captions: Sequence[str]) -> str | None:
    """Why captions seem not to be English (of many, `SAMPLE` evenly spaced ones are checked); None if they may be."""
    step = max(1, len(captions) // SAMPLE)
    words = Counter(_WORD.findall(" ".join(captions[::step])))
    letters = sum(len(word) * count for word, count in words.items())
    if letters < LEAST_LETTERS:
        return None
    latin = accents = 0
    for word, count in words.items():
        found = word if word.isascii() else "".join(_LATIN.findall(word))
        latin += len(found) * count
        accents += sum(not letter.isascii() for letter in found) * count
    if 1 - latin / letters > NOT_LATIN:
        return f"{1 - latin / letters:.0%} of their letters are not Latin"
    accented = accents / letters
    english, other = (
        sum(count for word, count in words.items() if word.lower() in known) / words.total()
        for known in (_ENGLISH, _OTHER)
    )
    if accented > ACCENTED and english < ENGLISH:
        return f"{accented:.0%} of their letters are outside a to z"
    if other > max(FOREIGN, 2 * english):
        return f"{other:.0%} of their words are function words of other languages, {english:.0%} of English"
    return None
