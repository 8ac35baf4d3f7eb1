"""Counts things: the nearest of the prompts ``a photo of N things``."""

from dataclasses import dataclass

import numpy as np

from sample_tasks.record import METRICS, SPEC, CountProtocol
from vlmbench.foundations.errors import UsageError
from vlmbench.heads.prompts import PromptSet
from vlmbench.heads.zeroshot import logits
from vlmbench.metrics.figures import figures
from vlmbench.metrics.stats.intervals import RESAMPLES
from vlmbench.records.result import Record
from vlmbench.records.store import write_run
from vlmbench.session.context import Stopwatch
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass


@dataclass(frozen=True)
class CountRequest:
    """What is asked: of class k of a dataset, k + 1 things are seen."""

    models: tuple
    dataset: str
    template: str = "{}"
    limit: int | None = None


def check_count(request, session):
    """Finds what is wrong before an image is encoded."""
    if "{}" not in request.template:
        raise UsageError("the template has no place for the number", where="--template", fix="--template '{} things'")
    for model in request.models:
        session.require_texts(model)
    split = session.choose_split(request.dataset, None)
    return [Pass(Selection(request.dataset, split, request.limit), tuple(request.models))]


def run_count(request, context, session=None):
    """Scores each model and writes a record for each."""
    session = session or Session(context)
    (one,) = check_count(request, session)
    session.prepare(one.models, one.selection)
    runs = []
    for model in request.models:
        watch = Stopwatch()
        features = session.features(model, one.selection)
        words = [(f"{k + 1} object{'s' if k else ''}",) for k in range(len(features.info.classnames))]
        head = session.text_weights(model, words, PromptSet("count", (request.template,)))
        columns = {
            "id": list(features.ids),
            "count": logits(features.x, head).argmax(axis=1).astype(np.int64) + 1,
            "truth": features.y + 1,
        }
        record = Record(
            task=SPEC.name,
            system=model,
            model=features.model,
            dataset=features.dataset,
            n=len(features.ids),
            seed=context.seed,
            protocol=CountProtocol(
                **features.protocol, template=request.template, most=len(words), resamples=RESAMPLES
            ),
            metrics=figures(SPEC.family, columns, [metric.name for metric in METRICS], context.seed),
            versions=features.versions,
        )
        runs.append(write_run(context.out, record, columns, watch.facts(session.throughput(features))))
    return runs
