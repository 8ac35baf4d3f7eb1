"""Cohen's kappa of labels and predictions."""

import numpy as np

from vlmbench.metrics.spec import ClassificationSpec
from vlmbench.metrics.stats.intervals import percentile_interval
from vlmbench.records.result import Metric


def kappa(labels, predictions):
    """Agreement beyond chance, -1 to 1; 0 where labels and predictions are all of one class."""
    classes = int(max(labels.max(), predictions.max())) + 1
    seen = (labels == predictions).mean()
    chance = np.bincount(labels, minlength=classes) @ np.bincount(predictions, minlength=classes) / len(labels) ** 2
    return float((seen - chance) / (1 - chance)) if chance < 1 else 0.0


def compute(columns, seed, resamples):
    """The figure, with a bootstrap interval over images."""
    labels, predictions = (np.asarray(columns[name], dtype=np.int64) for name in ("label", "prediction"))
    value = kappa(labels, predictions)
    if not resamples:
        return Metric(value=value)
    rows = np.random.default_rng(seed).integers(0, len(labels), (resamples, len(labels)))
    low, high = percentile_interval(np.array([kappa(labels[row], predictions[row]) for row in rows]))
    return Metric(value=value, low=min(value, low), high=max(value, high))


SPEC = ClassificationSpec(
    name="cohen_kappa",
    title="cohen_kappa",
    definition="agreement of labels and predictions beyond chance",
    source="Cohen 1960",
    blind_to="how sure the model was",
    in_sentences="Cohen's kappa",
    range=(-1.0, 1.0),
    columns=("label", "prediction"),
    compute=compute,
    test="statistic",
    references=lambda counts, order, images: (0.0, 0.0),
)
