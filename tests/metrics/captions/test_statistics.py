import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.captions.bleu import STATISTICS, bleu_scores
from vlmbench.metrics.captions.statistics import (
    Statistics,
    compare,
    intervals,
    metrics_from_samples,
    paired_captions,
    resample,
)

NAMES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")


def values_of(found, names):
    return {name: metric.value for name, metric in metrics_from_samples(found, names, 0).items()}


def columns(rng, size, shift=0.0):
    """Per-image columns of a system: lengths, matches that thin out with the order, and two means."""
    length = rng.integers(6, 14, size)
    found = {
        "id": [str(k) for k in range(size)],
        "candidate_length": length,
        "reference_length": length + rng.integers(-2, 3, size),
    }
    share = np.clip(rng.normal(0.55 + shift, 0.15, size), 0, 1)
    for n in range(1, 5):
        found[f"bleu_ngrams_{n}"] = length - n + 1
        found[f"bleu_matches_{n}"] = rng.binomial(length - n + 1, share ** (0.8 * n))
    found["rouge_l"] = np.clip(share + rng.normal(0, 0.05, size), 0, 1)
    found["cider"] = rng.gamma(2, 0.5 + shift, size)
    return found


def test_corpus_scores_come_from_sums_and_means():
    found = columns(np.random.default_rng(0), 50)
    values = values_of(found, NAMES)
    sums = np.array([found[name].sum() for name in STATISTICS], dtype=float)
    assert values["bleu_4"] == float(bleu_scores(sums)[3])
    assert values["cider"] == pytest.approx(found["cider"].mean())
    assert set(values) == set(NAMES)


def test_only_the_metrics_asked_for_are_given():
    assert set(values_of(columns(np.random.default_rng(0), 5), ("bleu_2",))) == {"bleu_2"}


def test_a_missing_column_is_named():
    found = columns(np.random.default_rng(0), 5)
    del found["bleu_matches_2"]
    with pytest.raises(InputError, match="bleu_matches_2"):
        values_of(found, NAMES)


def test_resampling_is_that_of_the_plain_loop():
    found = columns(np.random.default_rng(1), 40)
    statistics = Statistics.of(found, NAMES)
    drawn = resample([statistics], 7, resamples=300)
    from vlmbench.foundations.seeds import derive_seed
    from vlmbench.metrics.stats.intervals import iter_bootstrap_weights

    (weights,) = iter_bootstrap_weights(40, 300, derive_seed(7, "captions", "bootstrap"))
    for row in (0, 150, 299):
        rows = np.repeat(np.arange(40), weights[row])
        again = {name: np.asarray(value)[rows] if name != "id" else value for name, value in found.items()}
        expected = values_of(again, NAMES)
        for name in NAMES:
            assert drawn.scores[0][name][row] == pytest.approx(expected[name], abs=1e-12)


def test_intervals_hold_the_value_and_repeat_with_the_seed():
    statistics = Statistics.of(columns(np.random.default_rng(2), 60), NAMES)
    first = intervals(resample([statistics], 3), 0)
    assert first == intervals(resample([statistics], 3), 0)
    assert first != intervals(resample([statistics], 4), 0)
    for name, value in statistics.corpus().items():
        assert 0 <= first[name][0] <= value <= first[name][1] <= (10 if name == "cider" else 1)


def test_an_interval_does_not_depend_on_the_company():
    rng = np.random.default_rng(5)
    first, second = (Statistics.of(columns(rng, 30), NAMES) for _ in range(2))
    alone, together = resample([first], 1), resample([second, first], 1)
    for name, ends in intervals(alone, 0).items():
        assert intervals(together, 1)[name] == pytest.approx(ends, abs=1e-12)


def test_a_system_against_itself_differs_by_nothing():
    found = columns(np.random.default_rng(3), 30)
    for pair in paired_captions(found, found, NAMES, seed=0).values():
        assert (pair.difference, pair.low, pair.high, pair.p_bootstrap, pair.p_randomization) == (0, 0, 0, 1, 1)


def test_a_clear_difference_is_found_and_has_a_sign():
    rng = np.random.default_rng(4)
    better, worse = columns(rng, 300, 0.2), columns(rng, 300)
    for name, pair in paired_captions(better, worse, NAMES, seed=0).items():
        assert pair.low > 0, name
        assert pair.p_bootstrap < 0.001, name
        assert pair.p_randomization < 0.001, name
        back = paired_captions(worse, better, NAMES, seed=0)[name]
        assert back.difference == -pair.difference


def test_other_images_cannot_be_paired():
    found = columns(np.random.default_rng(0), 5)
    with pytest.raises(InputError, match="same images"):
        paired_captions(found, {**found, "id": ["9", *found["id"][1:]]}, NAMES, seed=0)


def test_small_p_values_survive_a_correction_for_many_tests():
    rng = np.random.default_rng(6)
    drawn = resample([Statistics.of(columns(rng, 400, shift), NAMES) for shift in (0.25, 0.0)], 0)
    assert all(
        0 < pair.p_bootstrap < 1e-4 and 0 < pair.p_randomization < 1e-4 for pair in compare(drawn, 0, 1).values()
    )


def test_intervals_cover_and_tests_keep_their_level():
    """150 corpora of 200 images from a population of 4,000; benchmarks/coverage.py draws 2,000."""
    rng = np.random.default_rng(11)
    population = Statistics.of(columns(rng, 4000), NAMES)
    truth = population.corpus()
    covered = dict.fromkeys(NAMES, 0)
    rejected = dict.fromkeys(NAMES, 0)
    for corpus in range(150):
        rows = rng.integers(0, 4000, (2, 200))
        first, second = (Statistics(population.matrix[part], population.scorers) for part in rows)
        drawn = resample([first, second], corpus, resamples=400)
        ends = intervals(drawn, 0)
        tests = compare(drawn, 0, 1)
        for name in NAMES:
            covered[name] += ends[name][0] <= truth[name] <= ends[name][1]
            rejected[name] += tests[name].p_bootstrap <= 0.05 or tests[name].p_randomization <= 0.05
    for name in NAMES:
        assert covered[name] / 150 > 0.89, name
        assert rejected[name] / 150 < 0.12, name
