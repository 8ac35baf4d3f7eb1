"""The lexer's lists, drawn from what ``ptb_probe.py`` observed: no list here is written by hand."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any


def tables(observed: dict[str, Any]) -> str:
    """The text of ``vlmbench/metrics/captions/ptb/tables.json``; each list is named with its families of probes."""
    kinds, names = _characters(observed["characters"]["kinds"])
    lists = {**_abbreviations(observed["abbreviations"]["other"]), **_others(observed)}
    drawn = {
        "CHARACTERS": ("characters: code points in hexadecimal", kinds),
        "NAMES": ("characters, pairs: what stands for a character", names),
        **{name: (source, " ".join(sorted(words))) for name, (source, words) in lists.items()},
        "ENTITIES": ("entity_names, entities", _entities(observed)),
    }
    about = {name: source for name, (source, _) in drawn.items()}
    return json.dumps({"ABOUT": about, **{name: found for name, (_, found) in drawn.items()}}, indent=1) + "\n"


# --- characters
# A character's kind shows in the places of ``ptb_families.PLACES``; here by number, with {} for the character.
ALONE, INSIDE, FIGURES, DOUBLED, TAGGED, COMPOUND = 0, 1, 2, 5, 7, 9
MAILED, ELIDED, SUPER, SUB, QUOTED, NUMBERED = 18, 16, 19, 20, 21, 22


def _kind(answers: list[str]) -> str:
    """The lexer's name for characters that behave so; empty where a character stands for itself alone."""
    if answers[NUMBERED] == "no. 5" and answers[ALONE] == "x x":
        return "spaces" if answers[MAILED] == "x@b{}" else ""
    if answers[ALONE] == "x x" and answers[INSIDE] == "xb":
        return ""  # the soft hyphen
    if answers[ALONE] == "x {} x":
        if answers[INSIDE] == "x{}b":
            if answers[COMPOUND] in ("x-{}", "x-ς"):
                return "letters" if answers[TAGGED] == "#{}" else "digits"
            return "marks"
        if answers[SUPER] in ("{}²", "{}{}"):
            return "superscripts" if answers[DOUBLED] == "{}{}" else ""
        if answers[SUB] in ("{}₂", "{}{}"):
            return "subscripts" if answers[DOUBLED] == "{}{}" else ""
        return "symbols" if answers[QUOTED] == "{}" and answers[FIGURES] == "1 {} 2" else ""
    if answers[ALONE] != "x x":
        return ""
    if answers[INSIDE] == "x{}b":
        return "hyphens"
    if answers[FIGURES] == "1{}2":
        return "separators"
    quotes = {"````": "double_opening", "``''": "double_closing", "```": "opening", "``'": "closing"}
    kind = quotes.get(answers[QUOTED], "")
    if kind == "closing" and answers[ELIDED] != "'s":
        return "angle"
    return kind or ("nothing" if answers[QUOTED] == "" else "")


def _characters(kinds: Iterable[dict[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """Ranges of each kind, and the tokens of the characters that another text stands for."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    names: dict[str, str] = {}
    for kind in kinds:
        pairs = [item.partition("-") for item in kind["characters"].split()]
        codes = [(int(low, 16), int(high or low, 16)) for low, _, high in pairs]
        alone = re.fullmatch(r"x (\S+) x", kind["answers"][ALONE])
        if alone and alone[1] != "{}":
            names.update((chr(code), alone[1]) for low, high in codes for code in range(low, high + 1))
        name = _kind(kind["answers"])
        found[name] += [pair for pair in codes if pair[0] > 127]
    found.pop("", None)
    text = {}
    for name, codes in sorted(found.items()):
        merged: list[list[int]] = []
        for low, high in sorted(codes):
            if merged and low == merged[-1][1] + 1:
                merged[-1][1] = high
            else:
                merged.append([low, high])
        text[name] = " ".join(f"{low:x}" if low == high else f"{low:x}-{high:x}" for low, high in merged)
    return text, dict(sorted(names.items()))


# --- abbreviations
def _abbreviations(other: list[list[str]]) -> dict[str, tuple[str, set[str]]]:
    """Words that keep their period: always, only in some casings, only before a number."""
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for text, answer in other:
        match = re.match(r"([A-Za-z.]*[A-Za-z])\.( .*|-x|)$", text)
        if match and (answer + " ").startswith(match[1].lower() + ". ") and len(match[1]) > 1:
            word = match[1]
            case = "small" if word.islower() else "capitals" if word.isupper() else "title"
            seen[word.lower()][match[2]].add(case)
    groups: dict[str, set[str]] = defaultdict(set)
    for word, places in seen.items():
        cases = places[" the"]
        if not cases:
            groups["NUMBERED"].add(word) if places[" 5"] else None
            continue
        kind = "CLOSING" if _closing(word, other_answers(other, word)) else "TITLES"
        if cases == {"small", "title", "capitals"}:
            groups[kind].add(word)
        elif "small" not in cases:
            groups[kind + "_NAMES"].add(word)
        else:
            groups[kind + "_SMALL"].add(word)
    said = {
        "CLOSING": "abbreviations: period kept, and nothing glued to it",
        "CLOSING_NAMES": "abbreviations: the same, with a capital only",
        "CLOSING_SMALL": "abbreviations: the same, never in capitals",
        "TITLES": "abbreviations: period kept",
        "TITLES_SMALL": "abbreviations: the same, never in capitals",
        "NUMBERED": "abbreviations: period kept before a number only",
    }
    return {name: (source, groups[name]) for name, source in said.items()}


def other_answers(other: list[list[str]], word: str) -> dict[str, str]:
    """What stands of one word."""
    return {text.lower(): answer for text, answer in other if text.lower().startswith(word + ".")}


def _closing(word: str, answers: dict[str, str]) -> bool:
    return answers.get(f"{word}.-x") == f"{word}. x"


# --- the other lists
def _others(observed: dict[str, Any]) -> dict[str, tuple[str, set[str]]]:
    words, starters = set(), set()
    whole, clipped, halved = set(), set(), set()
    for text, answer in observed["words"]["other"]:
        match = re.fullmatch("a ('?)([A-Za-z]+)('?) b", text)
        if match and answer == f"a {text[2:-2].lower()} b":
            if match[3] and not match[1]:
                whole.add(match[2].lower() + "'")
            elif match[1] and not match[3]:
                clipped.add(match[2].lower())
        elif match and not (match[1] or match[3]):
            halved.add(match[2].lower())
    clipped -= {"s", "d", "m", "n", "ll", "re", "ve"}
    for text, answer in observed["apostrophe_words"]["other"]:
        if answer == text:
            words.add(text)
    for text, answer in observed["initials"]["other"]:
        match = re.fullmatch(r"zab Q\. ([A-Za-z]+\.?) \w+", text)
        if match and answer.startswith("zab q "):
            starters.add(match[1].lower())
    files = {text[4:-2].lower() for text, answer in observed["files"]["other"] if answer == text.lower()}
    domains = {text[4:-2].lower() for text, answer in observed["domains"]["other"] if answer == text.lower()}
    return {
        "HALVED": ("words: two tokens", halved),
        "APOSTROPHE_WORDS": ("words, apostrophe_words: one token, not by the rules", whole | words - {"o'o", "n't"}),
        "CLIPPED": ("words: one token with the apostrophe before it", clipped),
        "STARTERS": ("initials: what begins a sentence after an initial", starters),
        "EXTENSIONS": ("files: what makes a figure and a word one name", files),
        "DOMAINS": ("domains", domains),
    }


def _entities(observed: dict[str, Any]) -> dict[str, str]:
    found = {}
    listed = zip(_listed("entities"), observed["entities"]["answers"], strict=True)
    for text, answer in itertools.chain(observed["entity_names"]["other"], listed):
        match = re.fullmatch("&([A-Za-z0-9]+);", text)
        if match and not re.fullmatch("[aeiouAEIOU](acute|grave|uml)", match[1]) and answer != f"& {match[1].lower()}":
            found[match[1]] = answer
    return dict(sorted(found.items()))


def _listed(name: str) -> list[str]:
    from ptb_families import LISTED

    return list(LISTED[name]())
