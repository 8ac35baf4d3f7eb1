"""One fit of a probe run: the trainer, the search on validation images, what a record says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.heads.fewshot import NO_VALIDATION_C
from vlmbench.heads.logistic import MAX_ITER, Fit, Trainer
from vlmbench.heads.oracle import SklearnTrainer
from vlmbench.heads.search import Trains, most_trials, search_strength
from vlmbench.metrics.classification import metrics_from_samples, sample_columns
from vlmbench.metrics.spec import ClassificationSpec, find
from vlmbench.records.classification import FitDetail, Trial
from vlmbench.session.session import Session
from vlmbench.tasks.probe.data import TRAIN, VAL, ProbeData


@dataclass(frozen=True)
class ProbeRequest:
    """What is asked of a linear-probe run.

    Attributes:
        models: as the user names them; empty with `features`.
        datasets: as the user names them; empty with `features`.
        features: a features file instead of models and datasets.
        shots: labels a class; None stands for all.
        seeds: few-shot samples to average over.
        c: the strength, scikit-learn's C = 1 / λ; None: searched.
        solver: ``native`` or ``sklearn``.
        layer: ``pre_proj``, ``proj`` or None for the default.
        normalised: bring features to unit length.
        refit: fit once more on train and val at the strength chosen.
        zero_shot_start: start from and shrink towards the zero-shot classifier.
        prompts: the prompt set of the zero-shot classifier; none: ``a photo of a {}.``
        limit: so many images a split.
        metric: the metric that decides, in the search of the strength too; none: the dataset's own.
        holdout: of a dataset of one split, the share of each class that is the test set; none: a quarter.
        save: a file to keep the probe in.
    """

    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    features: Path | None = None
    shots: Sequence[int | None] = (None,)
    seeds: int = 5
    c: float | None = None
    solver: str = "native"
    layer: str | None = None
    normalised: bool = False
    refit: bool = False
    zero_shot_start: bool = False
    prompts: Sequence[str] = ()
    limit: int | None = None
    metric: str | None = None
    holdout: float | None = None
    save: Path | None = None


def fit_split(
    split: ProbeData,
    final: list[tuple[NDArray[np.floating], NDArray[Any]]],
    request: ProbeRequest,
    session: Session,
    *,
    refit: bool,
) -> tuple[Fit, FitDetail]:
    """The fit, and what a record says of it: the strength, the search, convergence, classes without images."""
    trainer = _trainer(split.x[TRAIN], split.y[TRAIN], split, request, session)
    search: list[Trial] | None = None
    if request.c is None and VAL in split.x and len(split.x[VAL]):
        with session.context.reporter.task(
            f"strengths for {split.system} on {split.dataset.id}", most_trials()
        ) as advance:
            found = search_strength(trainer, lambda fit: _validate(fit, split), tried=advance)
        fit, search = found.best, [Trial.model_validate(trial.row()) for trial in found.trials]
        failed = [trial.exponent for trial in found.trials if not trial.converged]
        if failed:
            _warn(session, split, f"{len(failed)} of {len(found.trials)} fits of the search")
    else:
        fit, _ = trainer.fit(request.c if request.c is not None else NO_VALIDATION_C)
    if refit and len(final) > 1:
        x, y = (np.concatenate([part[index] for part in final]) for index in (0, 1))
        fit, _ = _trainer(x, y, split, request, session).fit(fit.c)
    if not fit.converged:
        _warn(session, split, "the final fit")
    present = range(len(split.classnames)) if split.multilabel else np.unique(split.y[TRAIN]).tolist()
    missing = [name for index, name in enumerate(split.classnames) if index not in set(present)]
    if missing:
        session.context.reporter.warn(
            f"{split.dataset.id}: {len(missing)} classes have no training image and are never predicted"
        )
    return fit, FitDetail(
        c=fit.c,
        iterations=fit.iterations,
        converged=fit.converged,
        search=search,
        search_metric=None if search is None else split.metric,
        classes_without_training_images=missing or None,
    )


def _trainer(
    x: NDArray[np.floating], y: NDArray[Any], data: ProbeData, request: ProbeRequest, session: Session
) -> Trains:
    classes = len(data.classnames)
    if request.solver == "sklearn":
        return SklearnTrainer(x, y, classes=classes)
    prior = None
    if request.zero_shot_start and data.zero_shot is not None:
        prior = data.zero_shot.weights * np.float32(data.zero_shot.logit_scale)
    device = "cpu" if request.features is not None and session.context.device == "auto" else session.device
    return Trainer(x, y, classes=classes, prior=prior, device=device if device == "cuda" else "cpu")


def _validate(fit: Fit, split: ProbeData) -> tuple[float, float]:
    """The validation figure and log-loss of a fit; where no class can be ranked, the log-loss alone decides."""
    probabilities, truth = fit.probabilities(split.x[VAL]), split.y[VAL]
    columns = sample_columns(probabilities, truth, [""] * len(truth))
    figure = 0.0
    spec = find(split.metric)
    if not (isinstance(spec, ClassificationSpec) and spec.undefined(truth)):
        figure = metrics_from_samples(columns, [split.metric], 0, resamples=0)[split.metric].value
    tiny = np.finfo(np.float64).tiny
    if split.multilabel:
        right = np.where(truth == 1, probabilities, 1 - probabilities)
        return figure, float(-np.log(np.maximum(right, tiny)).sum(axis=1).mean())
    return figure, float(-np.log(np.maximum(columns["probability"], tiny)).mean())


def _warn(session: Session, split: ProbeData, what: str) -> None:
    session.context.reporter.warn(
        f"{split.system} on {split.dataset.id}: {what} did not converge in {MAX_ITER} steps; the record says which"
    )
