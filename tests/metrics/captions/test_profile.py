"""Length, vocabulary, variety and novelty of captions."""

import pytest

from vlmbench.metrics.captions.diversity import profile


def test_by_hand() -> None:
    captions = [["a", "dog"], ["a", "cat", "sat"], ["a", "dog"], []]
    assert profile(captions, [["a", "cat", "sat"], ["a", "horse"]]) == {
        "words": 7 / 4,
        "vocabulary": 4.0,
        "distinct_1": pytest.approx(4 / 7),
        "distinct_2": pytest.approx(3 / 4),
        "different": 0.75,
        "novel": 0.75,
    }


def test_nothing_said() -> None:
    assert profile([]) == {"words": 0, "vocabulary": 0, "distinct_1": 0, "distinct_2": 0, "different": 0}
    assert "novel" not in profile([["a"]])
