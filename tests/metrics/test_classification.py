import numpy as np
import pytest
from sklearn import metrics as oracle

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.metrics import classification
from vlmbench.metrics.classification import metrics_from_samples, sample_columns, softmax


def classification_metrics(probabilities, labels, *, metric_names, seed, resamples=1000):
    """Figures as from a per-sample file."""
    columns = sample_columns(probabilities, labels, [""] * len(labels))
    return metrics_from_samples(columns, metric_names, seed, resamples=resamples)


def random_problem(n=400, classes=7, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n)
    logits = generator.normal(size=(n, classes)) + 2 * np.eye(classes)[labels]
    return softmax(logits), labels


def test_every_figure_agrees_with_scikit_learn():
    probabilities, labels = random_problem()
    names = classification.metric_names(7)
    found = classification_metrics(probabilities, labels, metric_names=names, seed=0)
    prediction = probabilities.argmax(axis=1)
    assert found["accuracy"].value == pytest.approx(oracle.accuracy_score(labels, prediction))
    assert found["accuracy_top5"].value == pytest.approx(oracle.top_k_accuracy_score(labels, probabilities, k=5))
    assert found["mean_per_class_accuracy"].value == pytest.approx(oracle.balanced_accuracy_score(labels, prediction))
    squares = ((probabilities - np.eye(7)[labels]) ** 2).sum(axis=1).mean()
    assert found["brier"].value == pytest.approx(squares)
    for metric in found.values():
        assert metric.low <= metric.value <= metric.high
        assert 0 < metric.high - metric.low < 0.15


def test_binary_auc_agrees_with_scikit_learn_ties_included():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 300)
    score = np.round(np.clip(0.3 * labels + 0.6 * generator.random(300), 0, 1), 1)
    found = classification_metrics(np.c_[1 - score, score], labels, metric_names=("roc_auc",), seed=0)["roc_auc"]
    assert found.value == pytest.approx(oracle.roc_auc_score(labels, score))
    assert found.low < found.value < found.high


def test_multilabel_map_agrees_with_scikit_learn_and_voc():
    generator = np.random.default_rng(2)
    truth = (generator.random((250, 4)) < 0.3).astype(np.int64)
    scores = (truth + generator.normal(size=truth.shape)).astype(np.float32)
    found = classification_metrics(scores, truth, metric_names=("map", "map11", "roc_auc"), seed=0, resamples=200)
    assert found["map"].value == pytest.approx(oracle.average_precision_score(truth, scores, average="macro"))
    assert found["roc_auc"].value == pytest.approx(oracle.roc_auc_score(truth, scores, average="macro"))
    assert found["map11"].value == pytest.approx(np.mean([voc_ap(truth[:, c], scores[:, c]) for c in range(4)]))
    for metric in found.values():
        assert metric.low < metric.value < metric.high


def voc_ap(truth, scores):
    """The VOC2007 development kit's loop."""
    order = np.argsort(-scores)
    hits = np.cumsum(truth[order])
    recall, precision = hits / truth.sum(), hits / np.arange(1, len(truth) + 1)
    return sum(max(precision[recall >= step / 10], default=0.0) for step in range(11)) / 11


def test_resampled_ranking_equals_scikit_learn_on_repeated_images():
    generator = np.random.default_rng(3)
    truth, scores = generator.random(60) < 0.4, np.round(generator.random(60), 1)
    weights = generator.multinomial(60, np.full(60, 1 / 60), size=5)
    from vlmbench.metrics.ranking import average_precision, roc_auc

    for row, precision, area in zip(
        weights, average_precision(truth, scores, weights), roc_auc(truth, scores, weights), strict=True
    ):
        assert precision == pytest.approx(oracle.average_precision_score(truth, scores, sample_weight=row))
        assert area == pytest.approx(oracle.roc_auc_score(truth, scores, sample_weight=row))


def test_a_class_without_test_images_is_left_out_of_the_mean():
    probabilities = np.eye(4)[[0, 0, 1, 2, 2]]
    labels = np.array([0, 1, 1, 2, 2])
    found = classification_metrics(probabilities, labels, metric_names=("mean_per_class_accuracy",), seed=0)
    assert found["mean_per_class_accuracy"].value == pytest.approx((1 + 0.5 + 1) / 3)


def test_rank_zero_means_predicted_even_among_ties():
    probabilities = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])
    columns = sample_columns(probabilities, np.array([0, 1, 2]), ["a", "b", "c"])
    assert columns["prediction"].tolist() == [0, 0, 1]
    assert columns["rank"].tolist() == [0, 1, 1]


def test_metrics_from_the_stored_file_are_identical(tmp_path):
    from pathlib import Path

    from vlmbench.records.store import write_samples

    pq = pytest.importorskip("pyarrow.parquet")
    for classes, multilabel in ((9, False), (2, False), (5, True)):
        probabilities, labels = random_problem(classes=classes)
        if multilabel:
            labels = np.eye(classes, dtype=np.int64)[labels]
        columns = sample_columns(probabilities, labels, [str(i) for i in range(len(labels))])
        path = Path(tmp_path / f"{classes}.parquet")
        write_samples(path, columns)
        table = pq.read_table(path)
        stored = {name: table.column(name).to_numpy() for name in table.column_names}
        names = classification.metric_names(classes, multilabel=multilabel)
        expected = classification_metrics(probabilities, labels, metric_names=names, seed=3, resamples=50)
        assert metrics_from_samples(stored, names, 3, resamples=50) == expected


def test_several_seeds_give_the_mean_and_students_t():
    shares = []
    blocks = []
    for seed in range(4):
        probabilities, labels = random_problem(seed=seed)
        columns = sample_columns(probabilities, labels, ["x"] * len(labels))
        shares.append((columns["prediction"] == columns["label"]).mean())
        blocks.append({**columns, "seed": np.full(len(labels), seed)})
    joined = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    found = metrics_from_samples(joined, ("accuracy",), 0)["accuracy"]
    half = 3.182446 * np.std(shares, ddof=1) / 2
    assert found.value == pytest.approx(np.mean(shares))
    assert found.high - found.value == pytest.approx(half, rel=1e-5)


def test_the_seed_decides_the_bootstrap_and_nothing_else_does():
    probabilities, labels = random_problem()
    first = classification_metrics(probabilities, labels, metric_names=("brier", "ece"), seed=1)
    again = classification_metrics(probabilities, labels, metric_names=("ece", "brier"), seed=1)
    other = classification_metrics(probabilities, labels, metric_names=("brier",), seed=2)
    assert first == again
    assert first["brier"].low != other["brier"].low


def test_order_of_images_moves_no_value():
    probabilities, labels = random_problem()
    probabilities = np.round(probabilities, 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    order = np.random.default_rng(0).permutation(len(labels))
    names = classification.metric_names(7)
    straight = classification_metrics(probabilities, labels, metric_names=names, seed=0)
    mixed = classification_metrics(probabilities[order], labels[order], metric_names=names, seed=0)
    for name in names:
        assert straight[name].value == pytest.approx(mixed[name].value, abs=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=int)),
        (np.full((2, 3), np.nan), np.array([0, 1])),
        (np.ones((2, 3)), np.array([0, 3])),
        (np.ones((2, 3)), np.array([0, -1])),
        (np.ones((2, 3)), np.array([0.0, 1.0])),
        (np.ones((2, 3)), np.array([0])),
    ],
)
def test_bad_input_is_an_error(probabilities, labels):
    with pytest.raises(InputError):
        classification_metrics(probabilities, labels, metric_names=("accuracy",), seed=0)


def test_an_unknown_metric_and_one_that_does_not_apply_are_errors():
    probabilities, labels = random_problem()
    with pytest.raises(UsageError, match="no such"):
        classification_metrics(probabilities, labels, metric_names=("acuracy",), seed=0)
    with pytest.raises(InputError, match="score"):
        classification_metrics(probabilities, labels, metric_names=("roc_auc",), seed=0)
    with pytest.raises(InputError, match="both"):
        classification_metrics(np.eye(2)[[0, 0]], np.array([1, 1]), metric_names=("roc_auc",), seed=0)


def test_per_class_rows_and_confusion():
    columns = sample_columns(np.eye(3)[[0, 1, 1, 1]], np.array([0, 0, 1, 1]), list("abcd"))
    rows = classification.per_class(columns, ["x", "y", "z"])
    assert rows[0] == {"class": "x", "n": 2, "recall": 0.5, "precision": 1.0}
    assert rows[2] == {"class": "z", "n": 0, "recall": None, "precision": None}
    assert classification.confusion_matrix(columns["label"], columns["prediction"], 3).tolist() == [
        [1, 1, 0],
        [0, 2, 0],
        [0, 0, 0],
    ]
