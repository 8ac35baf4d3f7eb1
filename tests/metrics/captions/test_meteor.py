"""METEOR against the jar's recorded answers, and what has to hold of any captions."""

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmbench.metrics.captions.meteor import corpus as meteor_corpus
from vlmbench.metrics.captions.meteor import native as meteor_native
from vlmbench.metrics.captions.meteor import reference as meteor_python
from vlmbench.metrics.captions.meteor import score as meteor
from vlmbench.metrics.captions.meteor.score import STATISTICS, meteor_score, meteor_statistics, summable

GOLDEN = json.loads(Path(__file__).with_name("data").joinpath("meteor_golden.json").read_text(encoding="utf-8"))
IMAGES = GOLDEN["images"]
WORDS = sorted(
    {word for image in IMAGES for line in (image["candidate"], *image["references"]) for word in line.split()}
)
COMMON = [
    "a",
    "the",
    "of",
    "on",
    "in",
    "dog",
    "dogs",
    "cat",
    "sits",
    "sitting",
    "is",
    "table",
    "red",
    "large",
    "order",
    "to",
]

sentences = st.lists(st.sampled_from(COMMON) | st.sampled_from(WORDS), max_size=14)
hostile = st.lists(
    st.text(max_size=6) | st.sampled_from([".", "'", "''", "|||", "-", "u.s.", "", "\x00", "\ud800"]), max_size=9
)
several = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def index(pytestconfig):
    return meteor.load_index(Path(pytestconfig.cache.mkdir("meteor")))


def golden():
    candidates = [image["candidate"].split() for image in IMAGES]
    return candidates, [[line.split() for line in image["references"]] for image in IMAGES]


def pairs(candidates, references, index, threads):
    numbered, words = meteor_corpus.number_words([*candidates, *(line for refs in references for line in refs)])
    vocabulary = meteor_corpus.describe(words, index)
    starts = np.concatenate(([0], np.cumsum([len(refs) for refs in references], dtype=np.int64)))
    if threads is None:
        return meteor_python.pair_statistics(numbered, vocabulary, starts, index)
    kernel = meteor_native.load_kernel(index.folder.parent)
    assert kernel is not None
    return meteor_native.pair_statistics(numbered, vocabulary, starts, index, kernel, threads)


def test_statistics_and_scores_equal_the_jars(index):
    stats, scores = meteor_statistics(*golden(), index)
    recorded = np.array([image["statistics"] for image in IMAGES], dtype=np.float64)
    np.testing.assert_array_equal(stats, summable(recorded))
    np.testing.assert_allclose(scores, [image["score"] for image in IMAGES], rtol=0, atol=1e-12)
    assert meteor_score(stats.sum(0)) == pytest.approx(GOLDEN["corpus"], abs=1e-12)


def test_uncompiled_gives_the_same(index, monkeypatch):
    compiled = meteor_statistics(*golden(), index)
    monkeypatch.setattr(meteor, "load_kernel", lambda folder: None)
    interpreted = meteor_statistics(*golden(), index)
    np.testing.assert_array_equal(compiled[0], interpreted[0])
    np.testing.assert_array_equal(compiled[1], interpreted[1])


@several
@given(st.lists(st.tuples(sentences, st.lists(sentences, min_size=1, max_size=4)), min_size=1, max_size=6))
def test_kernel_equals_the_readable_aligner(index, corpus):
    candidates, references = [image[0] for image in corpus], [image[1] for image in corpus]
    np.testing.assert_array_equal(pairs(candidates, references, index, 1), pairs(candidates, references, index, None))


def test_kernel_equals_the_readable_aligner_on_long_captions(index):
    draw = random.Random(3)
    vocabulary = [*COMMON * 3, *WORDS]
    candidates = [draw.choices(vocabulary, k=draw.randint(60, 150)) for _ in range(6)]
    references = [[draw.choices(vocabulary, k=draw.randint(60, 150))] for _ in candidates]
    np.testing.assert_array_equal(pairs(candidates, references, index, 1), pairs(candidates, references, index, None))


def test_threads_and_room_change_nothing(index, monkeypatch):
    candidates, references = golden()
    one = pairs(candidates, references, index, 1)
    monkeypatch.setattr(meteor_native, "_IMAGES_AT_A_TIME", 7)
    monkeypatch.setattr(meteor_native, "_ROOM", 2)
    np.testing.assert_array_equal(pairs(candidates, references, index, 3), one)


@several
@given(st.randoms(use_true_random=False))
def test_permuting_images_permutes_scores(index, draw):
    candidates, references = golden()
    order = draw.sample(range(len(candidates)), len(candidates))
    stats, scores = meteor_statistics(candidates, references, index)
    shuffled = meteor_statistics([candidates[i] for i in order], [references[i] for i in order], index)
    np.testing.assert_array_equal(shuffled[0], stats[order])
    np.testing.assert_array_equal(shuffled[1], scores[order])


@several
@given(sentences, st.lists(sentences, min_size=1, max_size=3), hostile, st.lists(hostile, max_size=3))
def test_neighbours_change_nothing_and_nothing_raises(index, candidate, references, other, others):
    alone = meteor_statistics([candidate], [references], index)
    among = meteor_statistics([other, candidate, other], [others, references, [other]], index)
    np.testing.assert_array_equal(among[0][1], alone[0][0])
    assert among[1][1] == alone[1][0]
    assert np.isfinite(among[1]).all()
    assert ((among[1] >= 0) & (among[1] <= 1)).all()


def test_very_long_captions_end(index):
    draw = random.Random(1)
    candidate = draw.choices(COMMON, k=2000)
    started = time.monotonic()
    _, scores = meteor_statistics(
        [candidate, ["a"] * 2000], [[draw.choices(COMMON, k=2000), candidate], [["a"] * 1999]], index
    )
    assert scores[0] == pytest.approx(1.0)
    assert time.monotonic() - started < 120


def test_corpora_of_nothing(index):
    stats, scores = meteor_statistics([], [], index)
    assert stats.shape == (0, len(STATISTICS))
    assert scores.shape == (0,)
    stats, scores = meteor_statistics([["a"], []], [[], [[]]], index)
    assert scores.tolist() == [0, 0]
    assert meteor_score(stats.sum(0)) == 0


def test_counts_must_agree(index):
    with pytest.raises(ValueError, match="2 candidates, but references for 1"):
        meteor_statistics([["a"], ["b"]], [[["a"]]], index)


def test_scores_of_sums_over_leading_axes(index):
    stats, scores = meteor_statistics(*golden(), index)
    np.testing.assert_array_equal(meteor_score(stats), scores)
    sums = np.stack([stats.sum(0), stats[:9].sum(0)])
    np.testing.assert_array_equal(meteor_score(np.stack([sums, sums])), np.stack([meteor_score(sums)] * 2))
