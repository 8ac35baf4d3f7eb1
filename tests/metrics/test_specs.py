"""Every metric that is declared: complete, listed, recomputable, gateable, in its range, the right way up."""

import numpy as np
import pytest

from vlmbench.metrics.captions.bleu import STATISTICS as BLEU_STATISTICS
from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS
from vlmbench.metrics.captions.meteor.score import STATISTICS as METEOR_COUNTS
from vlmbench.metrics.classification import sample_columns, softmax
from vlmbench.metrics.differences import TESTS, differences
from vlmbench.metrics.figures import figures
from vlmbench.metrics.spec import FAMILIES, CaptionSpec, ClassificationSpec, specs
from vlmbench.tasks.listing import metrics

N = 200
EVERY = [pytest.param(spec, id=name) for name, spec in specs().items()]
TESTED = [pytest.param(spec, id=name) for name, spec in specs().items() if spec.test is not None]


def samples(spec, skill, seed=0):
    """Per-sample columns of a system, the better the higher `skill` (0: at random, 1: nearly always right)."""
    generator = np.random.default_rng([seed, round(100 * skill)])
    ids = np.array([f"i{index:04d}" for index in range(N)])
    return {"id": ids} | globals()[f"_{spec.family.replace('-', '_')}"](spec, skill, generator, ids)


def _classification(spec, skill, generator, ids):
    truth_of = np.random.default_rng(7)
    if not spec.columns:
        truth = (truth_of.random((N, 4)) < 0.3).astype(np.uint8)
        return sample_columns(generator.normal(size=(N, 4)) + 4 * skill * truth, truth, ids)
    classes = spec.classes[1] or 7
    truth = truth_of.integers(0, classes, N)
    logits = generator.normal(size=(N, classes)) + 6 * skill * np.eye(classes)[truth]
    return sample_columns(softmax(logits), truth, ids)


def _captions(spec, skill, generator, ids):
    if spec.columns == BLEU_STATISTICS:
        length = generator.integers(6, 14, N)
        found = {"candidate_length": length, "reference_length": length}
        for n in range(1, 5):
            found[f"bleu_ngrams_{n}"] = length - n + 1
            found[f"bleu_matches_{n}"] = generator.binomial(length - n + 1, (0.3 + 0.6 * skill) ** n)
        return found | {spec.name: generator.random(N)}
    if spec.columns == (METEOR_STATISTICS,):
        counts = np.zeros((N, len(METEOR_COUNTS)))
        matched = generator.binomial(8, 0.3 + 0.6 * skill, N)
        for name, value in (
            ("candidate_length", 10),
            ("reference_length", 10),
            ("candidate_function_words", 2),
            ("reference_function_words", 2),
            ("exact_candidate_content", matched),
            ("exact_reference_content", matched),
        ):
            counts[:, METEOR_COUNTS.index(name)] = value
        counts[:, 20], counts[:, 21], counts[:, 22] = np.minimum(matched, 3), matched, matched
        return {METEOR_STATISTICS: counts, spec.name: generator.random(N)}
    low, high = spec.range
    return {spec.name: low + (high - low) * generator.beta(1 + 4 * skill, 2, N)}


def _retrieval(spec, skill, generator, ids):
    ranks = np.floor(generator.exponential(20 * (1.05 - skill), (N, 6)))
    return {"image_rank": ranks[:, 0], "caption_ranks": list(ranks[:, 1:])}


def _agreement(spec, skill, generator, ids):
    rating = np.random.default_rng(7).integers(1, 5, N)
    return {"score": skill * rating + generator.normal(size=N), "rating": rating.astype(float)}


def value(spec, columns, resamples=0):
    return figures(spec.family, columns, [spec.name], 0, resamples=resamples)[spec.name]


@pytest.mark.parametrize("spec", EVERY)
def test_it_is_complete_and_listed(spec):
    assert spec.family in FAMILIES
    assert all(text.strip() for text in (spec.title, spec.definition, spec.source, spec.blind_to))
    assert any(char.isdigit() for char in spec.source), "a year, an equation, a version"
    assert spec.definition == next(row["what"] for row in metrics() if row["name"] == spec.name)
    assert (spec.test is None) == bool(spec.untested)
    assert spec.test is None or callable(spec.test) or spec.test in TESTS
    assert spec.test not in {"mcnemar", "bootstrap"} or spec.per_image is not None


def test_nothing_is_at_the_same_place():
    for family in FAMILIES:
        orders = [spec.order for spec in specs().values() if spec.family == family]
        assert len(set(orders)) == len(orders)
    places = [spec.prominence for spec in specs().values() if isinstance(spec, CaptionSpec) and spec.prominence]
    assert sorted(places) == list(range(1, len(places) + 1))


@pytest.mark.parametrize("spec", EVERY)
def test_it_is_computed_from_its_columns_alone(spec):
    columns = samples(spec, 0.4)
    alone = {name: columns[name] for name in ("id", *spec.columns_of(columns))}
    assert value(spec, alone) == value(spec, columns)
    for name in set(alone) - {"id"}:
        lacking = {key: column for key, column in alone.items() if key != name}
        with pytest.raises(Exception, match="column") as told:
            value(spec, lacking)
        assert name in str(told.value)


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize("skill", [0.0, 0.5, 1.0])
def test_it_stays_in_its_range(spec, skill):
    low, high = spec.range
    found = value(spec, samples(spec, skill), resamples=200)
    assert low <= found.low <= found.value <= found.high <= high


@pytest.mark.parametrize("spec", EVERY)
def test_a_better_prediction_moves_it_the_right_way(spec):
    found = [spec.better(value(spec, samples(spec, skill)).value) for skill in (0.05, 0.4, 1.0)]
    if spec.name == "ece":  # it is about confidence, not about being right: what is said twice as surely is worse
        columns = samples(spec, 0.2)
        surer = {**columns, "confidence": 1 - (1 - columns["confidence"]) / 2}
        found = [spec.better(value(spec, one).value) for one in (surer, columns)]
    assert found == sorted(found)
    assert found[0] < found[-1]


@pytest.mark.parametrize("spec", TESTED)
def test_two_systems_are_told_apart_also_from_what_a_baseline_keeps(spec):
    good, bad = samples(spec, 0.9), samples(spec, 0.1)
    found = differences(good, bad, [spec.name])[spec.name]
    assert found.value == pytest.approx(value(spec, good).value - value(spec, bad).value)
    assert found.low <= found.value <= found.high
    assert spec.better(found.value) > 0
    assert found.p < 0.001
    kept = [{"id": one["id"], **spec.kept(one)} for one in (good, bad)]
    assert all(spec.testable(one) and not spec.testable({"id": one["id"]}) for one in kept)
    again = differences(*kept, [spec.name])[spec.name]
    assert again.value == pytest.approx(found.value, abs=0.002)  # the Brier score is rounded in a baseline
    same = differences(good, good, [spec.name])[spec.name]
    assert (same.value, same.p) == (0, 1)


@pytest.mark.parametrize("spec", TESTED)
def test_figures_by_image_are_what_it_is_the_mean_of(spec):
    if spec.per_image is None:
        return
    columns = samples(spec, 0.4)
    each = spec.per_image(columns)
    assert each.shape == (N,)
    if not (isinstance(spec, CaptionSpec) and spec.total is not None):
        assert each.mean() == pytest.approx(value(spec, columns).value)


def test_what_classification_metrics_fit():
    fits = {spec.name: spec for spec in specs().values() if isinstance(spec, ClassificationSpec)}
    assert [name for name, spec in fits.items() if spec.fits(5, multilabel=False)] == [
        "accuracy", "mean_per_class_accuracy", "ece", "brier"
    ]  # fmt: skip
    assert [name for name, spec in fits.items() if spec.fits(6, multilabel=False)][1] == "accuracy_top5"
    assert "roc_auc" in [name for name, spec in fits.items() if spec.fits(2, multilabel=False)]
    assert [name for name, spec in fits.items() if spec.fits(2, multilabel=True)] == ["map11", "map", "roc_auc"]
