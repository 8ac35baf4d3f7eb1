import importlib.util
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.captions.ngrams import count_ngrams, intern
from vlmbench.metrics.captions.rouge import lcs_lengths
from vlmbench.metrics.captions.scoring import Tokenized, score_native

_spec = importlib.util.spec_from_file_location("captions_oracle", Path(__file__).with_name("oracle.py"))
_oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_oracle)
oracle, corpus, native, split = _oracle.oracle, _oracle.corpus, _oracle.native, _oracle.split


def cider_of(references, systems, *, images=None, documents=None):
    """CIDEr of lines, by system."""
    kept = [np.arange(len(lines)) for lines in systems] if images is None else images
    text = Tokenized(
        [list(map(split, lines)) for lines in references],
        [list(map(split, lines)) for lines in systems],
        kept,
        documents and [list(map(split, lines)) for lines in documents],
    )
    return [scored.columns["cider"] for scored in score_native(text, ["cider"])]


line = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=9).map(" ".join)
images = st.lists(st.tuples(line, st.lists(line, min_size=1, max_size=4)), min_size=2, max_size=8)


def equal(mine, theirs):
    for name in theirs:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", range(25))
def test_scores_equal_pycocoevalcap(seed):
    references, candidates = corpus(seed)
    each, whole = oracle(references, candidates)
    mine, total, _ = native(references, candidates)
    equal(mine, each)
    equal(total, whole)


@given(images)
@settings(max_examples=30, deadline=None)
def test_scores_equal_pycocoevalcap_on_any_corpus(found):
    references, candidates = [refs for _, refs in found], [line for line, _ in found]
    assume(any(map(any, references)))  # pycocoevalcap fails where no reference holds a word
    each, whole = oracle(references, candidates)
    mine, total, _ = native(references, candidates)
    equal(mine, each)
    equal(total, whole)


def test_a_token_with_a_no_break_space_is_split_as_pycocoevalcap_splits_it():
    references = [["1\xa01/2 cups of a\u2003b", "a b", "\u2003x y"], ["one cup", "x"]]
    candidates = ["1\xa01/2 cups x", "a\xa0b one \u2003x"]
    each, whole = oracle(references, candidates)
    mine, total, _ = native(references, candidates)
    equal(mine, each)
    equal(total, whole)


def test_bleu_of_known_counts():
    _, total, columns = native([["the cat sat on the mat", "a cat"], ["x y z"]], ["the the the cat", "x y"])
    assert [columns[f"bleu_matches_{n}"].tolist() for n in (1, 2, 3)] == [[3, 2], [1, 1], [0, 0]]
    assert columns["candidate_length"].tolist() == [4, 2]
    assert columns["reference_length"].tolist() == [2, 3]  # 4 is as far from 2 as from 6: the shorter counts
    assert total["bleu_1"] == pytest.approx(5 / 6)


def test_the_closest_reference_length_ties_to_the_shorter():
    _, _, columns = native([["a b", "a b c d"], ["q"]], ["a b c", "q"])
    assert columns["reference_length"][0] == 2


def test_an_empty_candidate_scores_zero():
    mine, _, _ = native([["a b c"], ["d e"]], ["", "d e"])
    assert all(mine[name][0] < 1e-9 for name in mine)


@given(images, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_permuting_images_permutes_scores(found, rng):
    order = list(range(len(found)))
    rng.shuffle(order)
    first, total, _ = native([refs for _, refs in found], [line for line, _ in found])
    second, again, _ = native([found[k][1] for k in order], [found[k][0] for k in order])
    for name in first:
        np.testing.assert_allclose(second[name], first[name][order], rtol=0, atol=1e-12)
        assert again[name] == pytest.approx(total[name], abs=1e-12)


@given(images, st.tuples(line, st.lists(line, min_size=1, max_size=4)))
@settings(max_examples=25, deadline=None)
def test_a_neighbour_never_changes_bleu_or_rouge(found, other):
    first, _, _ = native([refs for _, refs in found], [line for line, _ in found])
    changed = [*found[:-1], other]
    second, _, _ = native([refs for _, refs in changed], [line for line, _ in changed])
    for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"):
        assert second[name][:-1].tolist() == first[name][:-1].tolist()


def test_systems_scored_together_score_as_alone():
    references, first = corpus(3, images=9)
    second = [" ".join(reversed(line.split())) for line in first]
    together = cider_of(references, [first, second, first[2:5]], images=[np.arange(9), np.arange(9), np.arange(2, 5)])
    for scores, lines in zip(together, (first, second), strict=False):
        assert np.allclose(scores, cider_of(references, [lines])[0], atol=1e-12)
    assert np.allclose(together[2], together[0][2:5], atol=1e-12)


def test_document_frequencies_from_another_set():
    references, candidates = [["a b c d", "a c"], ["e f g"]], ["a b d", "e f"]
    documents = [["a b"], ["a c d"], ["z"], ["e f", "g"]]
    score = cider_of(references, [candidates], documents=documents)[0]
    frequency = {}
    for lines in documents:
        grams = {tuple(w[i : i + n]) for w in map(str.split, lines) for n in range(1, 5) for i in range(len(w) - n + 1)}
        for gram in grams:
            frequency[gram] = frequency.get(gram, 0) + 1

    def vector(text, n):
        words, found = text.split(), {}
        for i in range(len(words) - n + 1):
            gram = tuple(words[i : i + n])
            found[gram] = found.get(gram, 0) + np.log(4) - np.log(max(1, frequency.get(gram, 0)))
        return found

    expected = []
    for candidate, refs in zip(candidates, references, strict=True):
        total = 0.0
        for ref in refs:
            gap = len(candidate.split()) - len(ref.split())
            for n in range(1, 5):
                ours, theirs = vector(candidate, n), vector(ref, n)
                norm = np.sqrt(sum(v * v for v in ours.values())) * np.sqrt(sum(v * v for v in theirs.values()))
                if norm:
                    dot = sum(min(ours[g], theirs[g]) * theirs[g] for g in ours if g in theirs)
                    total += dot / norm * np.exp(-(gap**2) / 72)
        expected.append(10 * total / 4 / len(refs))
    np.testing.assert_allclose(score, expected, atol=1e-12)


def test_cider_of_one_image_is_refused():
    with pytest.raises(InputError, match="two images"):
        cider_of([["a b"]], [["a b"]])


def test_an_image_without_references_is_refused():
    with pytest.raises(InputError, match="no reference"):
        cider_of([["a"], []], [["a", "b"]])


def plain_lcs(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@pytest.mark.parametrize("longest", [5, 63, 64, 65, 130])
def test_the_longest_common_subsequence_on_both_sides_of_a_machine_word(longest):
    rng = random.Random(longest)
    texts = [[rng.choice("abc") for _ in range(rng.randint(max(0, longest - 3), longest))] for _ in range(24)]
    tokens = intern(texts)
    first, second = np.arange(12), np.arange(12, 24)
    assert lcs_lengths(tokens, first, second).tolist() == [plain_lcs(texts[i], texts[i + 12]) for i in range(12)]


def test_very_long_captions_beside_short_ones():
    texts = [["a", "b"] * 3000, ["a", "c", "b"], ["b"] * 70]
    tokens = intern(texts)
    assert lcs_lengths(tokens, np.array([0, 0, 1]), np.array([1, 2, 2])).tolist() == [2, 70, 1]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=7), max_size=6))
@settings(max_examples=60, deadline=None)
def test_ngram_counts_are_those_of_a_dictionary(texts):
    for n, table in enumerate(count_ngrams(intern(texts)), 1):
        expected = []
        for caption, words in enumerate(texts):
            counts = {}
            for i in range(len(words) - n + 1):
                gram = tuple(words[i : i + n])
                counts[gram] = counts.get(gram, 0) + 1
            expected += [(caption, count) for count in counts.values()]
        assert sorted(zip(table.caption.tolist(), table.count.tolist(), strict=True)) == sorted(expected)
        assert len(set(table.gram.tolist())) == table.grams
        keys = list(zip(table.gram.tolist(), table.caption.tolist(), strict=True))
        assert keys == sorted(set(keys))


SHARED = Path(__file__).parents[4] / "shared" / "data" / "captions"
PAIRS = [
    ("coco_karpathy_test_references.json", "coco_karpathy_test_magic.json"),
    ("coco_karpathy_test_references.json", "coco_karpathy_test_nucleus.json"),
    ("coco_val2017_references.json", "coco_val2017_nearest_neighbour.json"),
]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the COCO captions beside the checkout are not there")
@pytest.mark.parametrize(("wanted", "given"), PAIRS)
def test_scores_equal_pycocoevalcap_on_coco(wanted, given):
    """Split at white space, as tokens: the tokenizer has tests of its own."""
    data = json.loads((SHARED / wanted).read_text("utf-8"))
    references = {image["id"]: [] for image in data["images"][:1500]}
    for annotation in data["annotations"]:
        if annotation["image_id"] in references:
            references[annotation["image_id"]].append(" ".join(annotation["caption"].lower().split()))
    candidates = {
        entry["image_id"]: entry["caption"].lower() for entry in json.loads((SHARED / given).read_text("utf-8"))
    }
    lines = [" ".join(candidates[image].split()) for image in references]
    each, whole = oracle(list(references.values()), lines)
    mine, total, _ = native(list(references.values()), lines)
    equal(mine, each)
    equal(total, whole)
