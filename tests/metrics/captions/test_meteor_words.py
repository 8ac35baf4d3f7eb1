"""Normaliser, stemmer, WordNet look-up and aligner, one by one."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vlmbench.metrics.captions.meteor.align import Match, align, find_matches
from vlmbench.metrics.captions.meteor.normalize import TokenNormalizer, normalize
from vlmbench.metrics.captions.meteor.resources import WordNet, find_sources, function_words
from vlmbench.metrics.captions.meteor.stem import stem

GOLDEN = json.loads(Path(__file__).with_name("data").joinpath("meteor_golden.json").read_text(encoding="utf-8"))
PIECES = st.sampled_from(
    [*"xy.1,'-`é$ |", "'s", "Mr", "u.s.", "..", "--", "–", "\u00a0", "“", "''", "漢", "\x0b", "\x00"]
)


def test_normaliser_equals_the_jars():
    assert {text: " ".join(normalize(text)) for text in GOLDEN["normalised"]} == GOLDEN["normalised"]


@example(["x\x00", "x"])
@given(st.lists(st.lists(PIECES, max_size=4).map("".join), max_size=7))
def test_token_by_token_is_the_same(tokens):
    assert TokenNormalizer(set(tokens))(tokens) == normalize(" ".join(tokens))


@given(st.text())
def test_normaliser_and_stemmer_take_anything(text):
    for word in normalize(text):
        assert word
        assert " " not in word
        stem(word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("consistently", "consist"),
        ("knightly", "knight"),
        ("hopping", "hop"),
        ("hoped", "hope"),
        ("dying", "die"),
        ("skies", "sky"),
        ("ties", "tie"),
        ("flies", "fli"),
        ("sayings", "say"),
        ("generously", "generous"),
        ("communism", "communism"),
        ("proceeded", "proceed"),
        ("herrings", "herring"),
        ("relational", "relat"),
        ("yellow", "yellow"),
        ("by", "by"),
        ("'clock", "clock"),
        ("café", "café"),
        ("", ""),
    ],
)
def test_stems(word, expected):
    assert stem(word) == expected


def test_wordnet_bases_and_exceptions():
    wordnet = WordNet(find_sources())
    assert wordnet.synsets("geese") & wordnet.synsets("goose")
    assert wordnet.synsets("wives") & wordnet.synsets("wife")
    assert not wordnet.synsets("wives") & wordnet.synsets("wive")  # an irregular form has its listed bases alone
    assert wordnet.synsets("news") & wordnet.synsets("new")
    assert not wordnet.synsets("secreted") & wordnet.synsets("secret")  # the first rule that leads somewhere ends it
    assert not wordnet.synsets("us") & wordnet.synsets("u")
    assert wordnet.synsets("qqqq") == frozenset()


def test_function_words():
    words = function_words(find_sources())
    assert {"the", "of", "-lrb-", "was"} <= words
    assert "dog" not in words


class Lexicon:
    """Words are letters; `a` and `b` are paraphrases of `c`, in both directions."""

    def stem(self, word):
        return word % 100

    def synsets(self, word):
        return frozenset({word % 10}) if word >= 1000 else frozenset()

    def phrases(self, words):
        return [(i, 1, word) for i, word in enumerate(words)]

    def paraphrases(self, phrase):
        return {7: [8, 9], 8: [7]}.get(phrase, [])


def test_matches_come_in_the_jars_order():
    found = find_matches([1, 101, 8], [7, 1], Lexicon())
    assert found == [Match(1, 1, 0, 1, 0), Match(1, 1, 1, 1, 1), Match(0, 1, 2, 1, 3), Match(0, 1, 2, 1, 3)]


def test_identical_sentences_match_exactly_alone():
    assert {match.module for match in find_matches([1, 101, 7, 8], [1, 101, 7, 8], Lexicon())} == {0}


def test_a_lone_ambiguous_stem_gains_nothing_and_is_left():
    twice = [Match(0, 1, 0, 1, 1), Match(0, 1, 0, 1, 2)]
    assert align(twice, 1) == ([], 0)
    assert align([*twice, Match(1, 1, 1, 1, 0)], 2) == ([twice[0], Match(1, 1, 1, 1, 0)], 1)


def test_an_unambiguous_match_is_kept_whatever_it_gains():
    assert align([Match(0, 1, 0, 1, 1)], 1) == ([Match(0, 1, 0, 1, 1)], 1)


def test_longer_phrases_gain_by_halves():
    long = Match(0, 5, 0, 1, 3)
    assert align([long, Match(0, 1, 1, 1, 0), Match(1, 1, 2, 1, 0)], 5)[0] != [long]


def test_the_distance_of_a_match_falls_to_those_that_come_after_it():
    assert align([Match(0, 1, 5, 1, 0), Match(0, 1, 1, 1, 0)], 1) == ([Match(0, 1, 5, 1, 0)], 1)


def test_a_chunk_counts_when_it_closes():
    assert align([Match(0, 1, 0, 1, 0), Match(1, 1, 0, 1, 0)], 2) == ([Match(1, 1, 0, 1, 0)], 1)


def test_no_words():
    assert align([], 0) == ([], 0)
    assert align([], 3) == ([], 0)
