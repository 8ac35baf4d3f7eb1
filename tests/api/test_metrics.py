"""`vlmbench.metrics`: against pycocoevalcap's own scorers, against the command, and what they refuse."""

import json
import random

import numpy as np
import pytest

import vlmbench
from vlmbench.errors import InputError
from vlmbench.metrics import bleu, cider, meteor, rouge_l

WORDS = ["dog", "cat", "man", "horse", "runs", "sleeps", "on", "near", "the", "grass", "U.S.", "1/2", "don't", "-"]


def corpus(seed, images=14):
    rng = random.Random(seed)

    def caption():
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12))).capitalize() + rng.choice([".", "", "!"])

    references = {str(image): [caption() for _ in range(rng.choice([1, 2, 5]))] for image in range(images)}
    candidates = {image: rng.choice([caption(), rng.choice(found)]) for image, found in references.items()}
    return candidates, references


def oracle(candidates, references):
    """pycocoevalcap's Python scorers on tokenized lines: per image, and of the corpus."""
    from vlmbench.metrics.captions.java import bleu_rouge_cider
    from vlmbench.metrics.captions.ptb.tokenizer import settle_initials, tokenize
    from vlmbench.metrics.captions.sanitize import sanitize

    lines = []
    for captions in references.values():
        safe = [sanitize(caption)[0] for caption in captions]
        tokens = tokenize(safe)
        settle_initials(safe, tokens)
        lines.append([" ".join(caption) for caption in tokens])
    return bleu_rouge_cider([" ".join(tokenize([sanitize(one)[0]])[0]) for one in candidates.values()], lines)


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_pycocoevalcaps(seed):
    candidates, references = corpus(seed)
    each, whole = oracle(candidates, references)
    found = bleu(candidates, references)
    for n in range(4):
        np.testing.assert_allclose(found.scores[:, n], each[f"bleu_{n + 1}"], atol=1e-12)
        assert found.score[n] == pytest.approx(whole[f"bleu_{n + 1}"], abs=1e-12)
    for name, metric in (("rouge_l", rouge_l), ("cider", cider)):
        scored = metric(candidates, references)
        np.testing.assert_allclose(scored.scores, each[name], atol=1e-12)
        assert scored.score == pytest.approx(whole[name], abs=1e-12)
        assert scored.scores.dtype == np.float64
        assert scored.ids == tuple(references)
        assert list(scored.by_image().values()) == scored.scores.tolist()


@pytest.fixture(scope="module")
def cache(pytestconfig):
    return pytestconfig.cache.mkdir("meteor")


def test_scores_are_the_commands(cache, tmp_path):
    candidates, references = corpus(20, images=30)
    for name, data in (("refs", references), ("mine", candidates)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    (run,) = vlmbench.score_captions(
        tmp_path / "refs.json", tmp_path / "mine.json", resamples=100, out=tmp_path / "out", cache_dir=cache
    )
    samples = run.samples()
    found = bleu(candidates, references)
    for n in range(4):
        assert found.score[n] == run.metrics[f"bleu_{n + 1}"].value
        np.testing.assert_array_equal(found.scores[:, n], samples[f"bleu_{n + 1}"])
    for name, scored in (
        ("rouge_l", rouge_l(candidates, references)),
        ("cider", cider(candidates, references)),
        ("meteor", meteor(candidates, references, cache_dir=cache)),
    ):
        assert scored.score == pytest.approx(run.metrics[name].value, abs=1e-14)
        np.testing.assert_array_equal(scored.scores, samples[name])


def test_lists_mappings_tokens_and_pycocoevalcaps_own_form_are_the_same():
    candidates, references = corpus(3)
    wanted = cider(candidates, references)
    order = list(reversed(candidates))
    by_number = {int(image): candidates[image] for image in order}
    as_lists = cider(list(candidates.values()), list(references.values()))
    assert as_lists.ids is None
    assert list(as_lists.by_image()) == [str(place) for place in range(len(references))]
    for other in (
        as_lists,
        cider(by_number, {int(image): tuple(found) for image, found in references.items()}),
        cider({image: [caption] for image, caption in candidates.items()}, references),
    ):
        np.testing.assert_array_equal(other.scores, wanted.scores)
        assert other.score == wanted.score


def test_tokens_are_taken_as_they_are():
    candidates, references = [["A", "dog", "."], ["cats"]], [[["A", "dog", "."]], [["cats"], ["a", "cat"]]]
    assert bleu(candidates, references, tokenized=True).score[0] == pytest.approx(1.0)
    assert bleu([["a", "dog"], ["cats"]], references, tokenized=True).scores[0, 0] == pytest.approx(
        0.5 * np.exp(1 - 3 / 2)
    )
    assert rouge_l(candidates, references, tokenized=True).score == 1.0


def test_document_frequencies_of_other_references():
    candidates, references = corpus(5)
    _, others = corpus(6, images=40)
    same = cider(candidates, references, document_frequency=references)
    np.testing.assert_array_equal(same.scores, cider(candidates, references).scores)
    weighed = cider(candidates, references, document_frequency=others)
    assert weighed.score != same.score
    one = {"0": candidates["0"]}, {"0": references["0"]}
    assert cider(*one, document_frequency=others).scores[0] == pytest.approx(weighed.scores[0], abs=1e-12)
    with pytest.raises(InputError, match="at least two images"):
        cider(*one)


def test_captions_that_break_lines_stay_with_their_image():
    references = [["a dog\nruns"], ["two ||| cats"]]
    assert bleu(["a dog\u2028runs", "two ||| cats"], references).score[0] == pytest.approx(1.0)


@pytest.mark.parametrize("metric", [bleu, rouge_l, cider, meteor])
@pytest.mark.parametrize(
    ("candidates", "references", "said"),
    [
        (["a", "b"], [["a"]], "2 candidates, but references for 1 images"),
        ({"1": "a"}, {"2": ["a"]}, r"no candidate for 1 image \(2\); no reference for 1 image \(1\)"),
        ({"1": "a"}, [["a"]], "only one has image ids"),
        (["a"], ["a dog"], "text instead of a list of captions"),
        (["a"], [[]], "the image has no caption"),
        (["a"], [[None]], "nothing instead of a caption"),
        ([3], [["a"]], "type int instead of a caption"),
        ([["a", "b"]], [["a"]], "2 captions instead of one"),
        ("a dog", [["a"]], "candidates are text, not a list"),
        (["a"], 7, "references are a value of type int"),
        ([], [], "references contain no image"),
    ],
)
def test_what_is_no_captions_is_one_clear_error(metric, candidates, references, said):
    with pytest.raises(InputError, match=said) as raised:
        metric(candidates, references)
    assert raised.value.fix


@pytest.mark.parametrize(
    ("candidates", "references", "said"),
    [
        (["a dog"], [[["a"]]], "text instead of a list of tokens"),
        ([["a", 3]], [[["a"]]], "a token is not text"),
        ([["a"]], [["a dog"]], "text instead of a list of tokens"),
    ],
)
def test_what_is_no_tokens(candidates, references, said):
    with pytest.raises(InputError, match=said):
        bleu(candidates, references, tokenized=True)
