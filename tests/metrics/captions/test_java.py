"""The oracle: that it is driven safely, and, where Java is present, that the native scores are its scores."""

import random
import re
import shutil
import stat
import sys

import numpy as np
import pytest

from vlmbench.foundations.errors import AbsentError
from vlmbench.metrics.captions import java
from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS, load_index
from vlmbench.metrics.captions.scoring import Tokenized, score_java, score_meteor, score_native
from vlmbench.metrics.captions.statistics import Statistics
from vlmbench.metrics.spec import caption_specs

NAMES = tuple(name for name in [spec.name for spec in caption_specs()][:7])

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java on the path")

WORDS = re.findall(
    r"\S+",
    """a an the dog dogs cat cats man men woman running runs ran sits sitting on in near under of with large big small
    little red car automobile street road beach sea child kid two 2 person people plays playing ball not eats""",
)


@pytest.fixture(scope="module")
def text():
    """Forty images with one to six references: words with stems, synonyms and paraphrases in common."""
    rng = random.Random(1)

    def caption():
        return [rng.choice(WORDS) for _ in range(rng.choice([1, 3, 9, 9, 12, 20]))]

    references = [[caption() for _ in range(rng.choice([1, 5, 5, 6]))] for _ in range(40)]
    candidates = [caption() if rng.random() < 0.7 else list(refs[0]) for refs in references]
    candidates[7] = []
    return Tokenized(references, [candidates, list(reversed(candidates))], [np.arange(40), np.arange(40)])


@needs_java
def test_native_scores_equal_the_oracles(text, tmp_path_factory, pytestconfig):
    """BLEU, ROUGE-L, METEOR, CIDEr: per image and of the corpus, two systems in one METEOR process."""
    theirs = score_java(text, NAMES)
    mine = score_native(text, NAMES)
    arrays = score_meteor(text, load_index(pytestconfig.cache.mkdir("meteor")))
    for system, scored in enumerate(mine):
        scored.columns[METEOR_STATISTICS], scored.columns["meteor"] = arrays[2 * system : 2 * system + 2]
        corpus = Statistics.of(scored.columns, NAMES).corpus()
        for name in NAMES:
            np.testing.assert_allclose(
                scored.columns[name], theirs[system].columns[name], rtol=0, atol=1e-9, err_msg=name
            )
            assert corpus[name] == pytest.approx(theirs[system].corpus[name], abs=1e-9), name
        assert Statistics.of(theirs[system].columns, NAMES).corpus()["meteor"] == pytest.approx(
            corpus["meteor"], abs=1e-9
        )


@needs_java
def test_tokens_of_the_oracle():
    found = java.tokenize(["A dog, (running) fast.", "", "it's £5 ½", "...", "日本 dogs"])
    assert found[:4] == [["a", "dog", "-lrb-", "running", "-rrb-", "fast"], [], ["it", "'s", "#", "5", "1/2"], []]
    assert len(found) == 5
    assert java.tokenize([]) == []


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program called `java` on the path that runs the Python given."""

    def make(code):
        path = tmp_path / "java"
        path.write_text(f"#!{sys.executable}\nimport sys, time\n{code}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setattr(shutil, "which", lambda name: str(path))

    return make


def test_a_tokenizer_that_loses_a_line_is_caught(program):
    program("print('one line')")
    with pytest.raises(java.JavaError, match="1 lines for 2 captions"):
        java.tokenize(["a", "b"])


def test_a_tokenizer_that_fails_is_caught_with_what_it_said(program):
    program("print('a'); print('out of memory', file=sys.stderr); sys.exit(3)")
    with pytest.raises(java.JavaError, match="exit 3: out of memory"):
        java.tokenize(["a"])


def test_a_tokenizer_that_hangs_is_ended(program):
    program("time.sleep(60)")
    with pytest.raises(java.JavaError, match="timed out"):
        java.tokenize(["a"], timeout=0.3)


def test_a_meteor_that_goes_silent_is_ended(program):
    program("sys.stdin.readline(); time.sleep(60)")
    with java.Meteor(timeout=0.3) as meteor, pytest.raises(java.JavaError, match="no answer"):
        meteor.statistics(["a"], [["b"]])


def test_a_meteor_that_dies_is_caught_with_what_it_said(program):
    program("sys.stdin.readline(); print('no heap', file=sys.stderr); sys.exit(1)")
    with java.Meteor(timeout=20) as meteor, pytest.raises(java.JavaError, match="exit code 1: no heap"):
        meteor.statistics(["a", "b"], [["b"], ["c"]])


def test_a_meteor_that_writes_much_on_stderr_does_not_block(program):
    program("print('x' * 300000, file=sys.stderr, flush=True)\nfor line in sys.stdin: print('1 2', flush=True)")
    with java.Meteor(timeout=20) as meteor:
        assert meteor.statistics(["a"] * 50, [["b"]] * 50) == ["1 2"] * 50


def test_a_meteor_that_answers_with_a_comma_is_caught(program):
    """What it does under a German locale, were the locale not pinned."""
    program("for line in sys.stdin: print('0,5\\n0,5', flush=True)")
    with java.Meteor(timeout=20) as meteor, pytest.raises(java.JavaError, match="not a number"):
        meteor.scores(["1 2"])


def test_the_locale_is_pinned(program):
    program("print(' '.join(sys.argv))")
    assert "-duser.language=en" in " ".join(java.tokenize(["a"])[0]).lower()


def test_a_jar_that_is_not_there():
    with pytest.raises(AbsentError, match=r"none\.jar"):
        java.jar("meteor", "none.jar")


def test_candidates_go_to_meteor_without_bars():
    assert java.meteor_lines(["a ||| b", "a  b"]) == ["a b", "a b"]
