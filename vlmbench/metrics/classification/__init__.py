"""Classification metrics with 95 % intervals, from probabilities or from the per-sample file alone.

`sample_columns` reduces probabilities to per-image columns; `metrics_from_samples` computes every figure from
those columns. So a stored figure can always be recomputed from its per-sample file, to the last digit.

Intervals: accuracy, top-5 and the mean per class by Wilson's score interval (for the mean per class on the effective
number of images), the rest by a seeded bootstrap over images; with several seeds, the mean over seeds with
Student's t. `INTERVALS` names them in a record's protocol.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.spec import Columns, classification_specs, figure
from vlmbench.metrics.stats.intervals import RESAMPLES, t_interval

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

INTERVALS = "wilson; bootstrap for ece, brier, map, roc_auc"
INTERVALS_OVER_SEEDS = "t over seeds"
PROBABILITIES, MOST = "probabilities", 50
"""The column of every class's probability, and the most classes for which single runs have it."""
_CELLS = 2**22
"""Numbers of a block of images: probabilities, or features."""


def metric_names(classes: int, *, multilabel: bool = False) -> tuple[str, ...]:
    """The metrics that make sense for this number of classes."""
    return tuple(spec.name for spec in classification_specs() if spec.fits(classes, multilabel=multilabel))


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Softmax over the last axis in float64, `[N, C]`; preserves the order of the logits down to e^-700."""
    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sample_columns(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], ids: Sequence[str]
) -> dict[str, Any]:
    """The per-sample columns.

    Args:
        probabilities: `[N, C]`, rows summing to 1; multi-label: scores on any scale.
        labels: `[N]` class indices; multi-label: `[N, C]` of 0 and 1.
        ids: names of the N images.

    Returns:
        id; label, prediction (the first of ties), probability (of the label), confidence (of the prediction), rank
        (of the label, 0 best), brier (sum of squared errors over classes, 0 to 2); with two classes also score, the
        probability of class 1; with 3 to `MOST` also probabilities, of every class (list of float32). Multi-label: id,
        labels (list of int8), scores (list of float32).

    Raises:
        InputError: shapes or values are not as described.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels)
    _require_shapes(values, truth, len(ids))
    names = np.array(list(ids), dtype=object)
    if truth.ndim == 2:
        return {"id": names, "labels": list(truth.astype(np.int8)), "scores": list(values.astype(np.float32))}
    rows = np.arange(len(truth))
    own = values[rows, truth]
    prediction = values.argmax(axis=1)
    earlier = np.arange(values.shape[1]) < truth[:, None]
    ahead = (values > own[:, None]) | ((values == own[:, None]) & earlier)
    columns = {
        "id": names,
        "label": truth.astype(np.int32),
        "prediction": prediction.astype(np.int32),
        "probability": own,
        "confidence": values[rows, prediction],
        "rank": ahead.sum(axis=1, dtype=np.int32),
        "brier": (values**2).sum(axis=1) - 2 * own + 1,
    }
    if values.shape[1] == 2:
        columns["score"] = values[:, 1].copy()
    elif 2 < values.shape[1] <= MOST:
        columns[PROBABILITIES] = values.astype(np.float32)
    return columns


def columns_by_block(
    probabilities: Callable[[slice], NDArray[np.floating[Any]]],
    labels: NDArray[np.integer[Any]],
    ids: Sequence[str],
    width: int,
) -> dict[str, Any]:
    """`sample_columns` of probabilities that are computed a block of rows at a time, `[N, C]` never as a whole. `width`
    is how many numbers per image they are computed from, as far as these need memory."""
    rows = max(1, _CELLS // max(width, int(labels.max(initial=0)) + 1))
    starts = range(0, len(labels), rows)
    blocks = [slice(start, start + rows) for start in starts]
    found = [sample_columns(probabilities(block), labels[block], ids[block]) for block in blocks]
    return (
        found[0]
        if len(found) == 1
        else {
            name: np.concatenate([one[name] for one in found])
            if isinstance(column, np.ndarray)
            else [row for one in found for row in one[name]]
            for name, column in found[0].items()
        }
    )


def metrics_from_samples(
    columns: Columns, names: Sequence[str], seed: int, *, resamples: int = RESAMPLES
) -> dict[str, "Metric"]:
    """The metrics `names` with 95 % intervals, from per-sample columns alone; each has a random stream of its own.

    If there is a `seed` column with several values (few-shot), each seed's images are scored separately; the figure is
    the mean over seeds, and the interval is Student's t over seeds. Raises `InputError` where a column is missing,
    `UsageError` where a metric is unknown, or not for such labels.
    """
    if "seed" in columns:
        seeds = np.unique(np.asarray(columns["seed"]))
        if len(seeds) > 1:
            return _over_seeds(columns, names, seeds)
    known = {spec.name: spec for spec in classification_specs()}
    found: dict[str, Metric] = {}
    for name in names:
        if name not in known:
            raise UsageError(f"no such classification metric: {name}", fix=f"one of {', '.join(known)}")
        spec = known[name]
        missing = [key for key in spec.columns_of(columns) if key not in columns]
        if missing:
            raise InputError(f"the metric {name} needs the per-sample column {missing[0]}", where=name)
        found[name] = spec.compute(columns, derive_seed(seed, "bootstrap", name), resamples)
    return found


def confusion_matrix(
    labels: NDArray[np.integer[Any]], predictions: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int64]:
    """How many images of each class (rows) were predicted as each class (columns), `[C, C]` int64."""
    flat = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def per_class(columns: Columns, classnames: Sequence[str]) -> list[dict[str, Any]]:
    """One row per class: name, number of images n, recall and precision.

    A share of no images is None. Counts are summed over seeds.
    """
    matrix = confusion_matrix(columns["label"], columns["prediction"], len(classnames))
    correct, actual, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        {
            "class": name,
            "n": int(actual[index]),
            "recall": float(correct[index] / actual[index]) if actual[index] else None,
            "precision": float(correct[index] / predicted[index]) if predicted[index] else None,
        }
        for index, name in enumerate(classnames)
    ]


def _over_seeds(columns: Columns, names: Sequence[str], seeds: NDArray[Any]) -> dict[str, "Metric"]:
    blocks = []
    for one in seeds:
        chosen = np.asarray(columns["seed"]) == one
        block = {name: _pick(column, chosen) for name, column in columns.items() if name != "seed"}
        blocks.append(metrics_from_samples(block, names, 0, resamples=0))
    found, known = {}, {spec.name: spec for spec in classification_specs()}
    for name in names:
        values = np.array([block[name].value for block in blocks])
        low, high = t_interval(values)
        least, most = known[name].range
        found[name] = figure(float(values.mean()), max(least, low), min(most, high))
    return found


def _pick(column: Any, chosen: NDArray[np.bool_]) -> Any:
    if isinstance(column, np.ndarray):
        return column[chosen]
    return [column[index] for index in np.flatnonzero(chosen)]


def _require_shapes(values: NDArray[np.float64], truth: NDArray[Any], ids: int) -> None:
    if values.ndim != 2 or not len(values) or truth.shape not in {values.shape[:1], values.shape} or ids != len(values):
        raise InputError(f"probabilities {values.shape}, labels {truth.shape} and {ids} ids do not match")
    if not np.isfinite(values).all():
        raise InputError(
            "a probability is not a finite number", where=f"row {int(np.argmin(np.isfinite(values).all(axis=1)))}"
        )
    top = 1 if truth.ndim == 2 else values.shape[1] - 1
    if truth.dtype.kind not in "iub" or truth.min() < 0 or truth.max() > top:
        raise InputError(f"labels must be whole numbers from 0 to {top}")
