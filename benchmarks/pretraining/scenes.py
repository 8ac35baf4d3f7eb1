"""The grammar of the captioned scenes, in two halves: what the captioner was taught, and what only the references say.

Each half is a list of phrasings for each kind of image. `taught` draws from the first; `references` mixes both, so that
the references are worded by a grammar of which the captioner saw a part.
"""

from __future__ import annotations

import numpy as np

from benchmarks.pretraining import captions as c

SEEN = {
    "glyph": [
        "the {what} {name} in {ink} on a {paper} background",
        "a {ink} {what} {name} on a {paper} background",
        "the {what} {name} written in {ink}",
        "a picture of the {ink} {what} {name}",
    ],
    "one": [
        "{A} {ink} {shape} on a {paper} background",
        "there is {A} {ink} {shape} on a {paper} background",
        "a picture of {A} {size}{ink} {shape}",
        "{A} {size}{ink} {shape} on {paper}",
    ],
    "many": [
        "{n} {ink}{shapes} on a {paper} background",
        "there are {n} {ink}{shapes} on a {paper} background",
        "a picture of {n} {ink}{shapes}",
        "{n} {ink}{shapes} on {paper}",
    ],
    "pair": [
        "{first} {relation} {second}",
        "{first} and {second} on a {paper} background",
        "there is {first} {relation} {second}",
        "{first} {relation} {second} on a {paper} background",
    ],
    "texture": [
        "{texture} in {ink} and {paper}",
        "a picture of {texture} in {ink} and {paper}",
        "{ink} and {paper} {bare}",
        "a {ink} and {paper} pattern of {bare}",
    ],
}
UNSEEN = {
    "glyph": [
        "someone drew the {what} {name} in {ink} over {paper}",
        "one {ink} {what}, {name}, against {paper}",
        "{name}, the {what}, coloured {ink} on a {paper} surface",
    ],
    "one": [
        "one {shape}, coloured {ink}, against a {paper} backdrop",
        "a single {ink} {shape} drawn over {paper}",
        "a {paper} image with {A} {ink} {shape} in it",
    ],
    "many": [
        "a group of {n} {ink}{shapes} against a {paper} backdrop",
        "{n} {shapes} drawn in {inks} over {paper}",
        "a {paper} image with {n} {ink}{shapes} in it",
    ],
    "pair": [
        "{second} can be seen {inverse} {first}",
        "a {paper} image with {first} and {second}",
        "{second} {inverse} {first} against a {paper} backdrop",
    ],
    "texture": [
        "an abstract design made of {ink} and {paper} {bare}",
        "{bare} covering the whole image, {ink} and {paper}",
        "a surface with {bare} coloured {ink} and {paper}",
    ],
}


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeio" else "a ") + noun


def _words(fact: np.ndarray) -> tuple[str, dict[str, str]]:
    """Which phrasings suit the facts, and what fills their gaps."""
    kind = int(fact[c.KIND])
    ink = c.COLOURS[fact[c.COLOUR]] if fact[c.COLOUR] != c.UNNAMED else ""
    words = {"ink": ink, "paper": c.COLOURS[fact[c.BACKGROUND]]}
    if kind in (c.DIGIT, c.LETTER):
        name = c.DIGITS[fact[c.LABEL]] if kind == c.DIGIT else c.LETTERS[fact[c.LABEL]]
        return "glyph", {**words, "what": "number" if kind == c.DIGIT else "letter", "name": name}
    if kind == c.TEXTURE:
        full = c.TEXTURES[fact[c.LABEL]]
        return "texture", {**words, "texture": full, "bare": full.removeprefix("a ")}
    if kind == c.PAIR:
        first = _with_article(f"{ink} {c.SHAPES[fact[c.LABEL]]}")
        second = _with_article(f"{c.COLOURS[fact[c.COLOUR2]]} {c.SHAPES[fact[c.LABEL2]]}")
        relation = int(fact[c.RELATION])
        there, back = c.RELATIONS[relation][0], c.RELATIONS[relation ^ 1][0]
        return "pair", {**words, "first": first, "second": second, "relation": there, "inverse": back}
    if fact[c.COUNT] == 1:
        size = {0: "small ", 1: "large "}.get(int(fact[c.SIZE]), "")
        return "one", {
            **words,
            "A": "an" if ink[0] == "o" and not size else "a",
            "size": size,
            "shape": c.SHAPES[fact[c.LABEL]],
        }
    noun = c.PLURALS[fact[c.LABEL]] if fact[c.LABEL] != c.UNNAMED else "shapes"
    inks = ink or "several colours"
    return "many", {
        **words,
        "ink": ink + " " if ink else "",
        "inks": inks,
        "n": c.DIGITS[fact[c.COUNT]],
        "shapes": noun,
    }


def _fill(phrase: str, words: dict[str, str]) -> str:
    if "{A}" in phrase and "{size}" not in phrase:
        words = {**words, "A": "an" if words["ink"].startswith("o") else "a"}
    return phrase.format(**words)


def taught(fact: np.ndarray, rng: np.random.Generator) -> str:
    """One caption of the kind that the captioner is trained on."""
    kind, words = _words(fact)
    return _fill(SEEN[kind][rng.integers(len(SEEN[kind]))], words)


def references(fact: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Five different captions: three in taught phrasings, two in others, in random order."""
    kind, words = _words(fact)
    chosen = [SEEN[kind][i] for i in rng.permutation(len(SEEN[kind]))[:3]]
    chosen += [UNSEEN[kind][i] for i in rng.permutation(len(UNSEEN[kind]))[:2]]
    return [_fill(chosen[i], words) for i in rng.permutation(5)]
