"""Sanitised text fits on one line of any protocol, and gives the tokens the text gave."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vlmbench.metrics.captions.ptb.tokenizer import tokenize
from vlmbench.metrics.captions.sanitize import sanitize, sanitize_all

ANY = st.text(st.characters(categories=None), max_size=60)


@pytest.mark.parametrize(
    "line_break", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_every_line_break_becomes_one_space(line_break):
    assert sanitize(f"a dog{line_break}runs") == ("a dog runs", True)


def test_bars_are_kept_apart_and_tokenize_alike():
    assert sanitize("a ||| b||||c || d") == ("a | | | b| | | |c || d", True)
    assert tokenize(["a ||| b", "a | | | b"]) == [["a", "|", "|", "|", "b"]] * 2


def test_controls_and_lone_surrogates():
    assert sanitize("a\x00b\x7fc\ud800d") == ("a b c d", True)
    assert sanitize("don\x92t\ta 😀 日本") == ("don\x92t\ta 😀 日本", False)


@given(ANY)
@example("|\x00||")
@example("\r\n\r\n")
def test_sanitised_text_is_safe_and_stays_as_it_is(text):
    safe, touched = sanitize(text)
    assert touched == (safe != text)
    assert sanitize(safe) == (safe, False)
    assert "|||" not in safe
    assert len(safe.splitlines()) <= 1
    safe.encode()


@given(st.lists(ANY, max_size=6))
def test_all_at_once_is_one_by_one(texts):
    safe, touched = sanitize_all(texts)
    assert safe == [sanitize(text)[0] for text in texts]
    assert touched == sum(sanitize(text)[1] for text in texts)
