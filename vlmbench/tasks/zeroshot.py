"""Zero-shot classification: every model on every dataset with every prompt set, one record each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from vlmbench.data.catalogue import expand, with_corruptions
from vlmbench.data.names import BOXES, DatasetRef
from vlmbench.data.regions import MOST_TILES
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.foundations.versions import package_versions
from vlmbench.heads.classnames import ClassNames, class_names
from vlmbench.heads.prompts import PromptSet, prompt_sets
from vlmbench.heads.zeroshot import zero_shot_columns
from vlmbench.metrics.choice import computable, require_metric
from vlmbench.metrics.classification import (
    INTERVALS,
    metric_names,
    metrics_from_samples,
    per_class,
)
from vlmbench.metrics.stats.intervals import RESAMPLES
from vlmbench.records.classification import ZEROSHOT, ClassFigures, ClassificationDetail, ZeroShotProtocol
from vlmbench.records.result import Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import Context, Stopwatch
from vlmbench.session.features import SplitFeatures
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass
from vlmbench.tasks.held_out import check_share, held_out


@dataclass(frozen=True)
class ZeroShotRequest:
    """A zero-shot request: the arguments of `vlmbench.zeroshot`."""

    models: Sequence[str]
    datasets: Sequence[str]
    split: str | None = None
    limit: int | None = None
    prompts: Sequence[str] = ()
    classnames: str | None = None
    holdout: float | None = None
    metric: str | None = None
    boxes: Path | None = None
    tiles: int | None = None
    corrupt: str | None = None


@dataclass(frozen=True)
class ZeroShotPlan:
    """A dataset that was checked before any model is loaded."""

    images: Selection
    classes: ClassNames
    raw: tuple[str, ...]
    prompts: list[PromptSet]
    metric: str | None
    system: str = ""
    """What follows the model's name where it is scored with the classes of another dataset, or with some of them."""
    protocol: Mapping[str, JsonValue] = field(default_factory=dict)
    """The same for the protocol."""


def run_zeroshot(request: ZeroShotRequest, context: Context, session: Session | None = None) -> list[StoredRun]:
    """Scores each model on each dataset with each prompt set and writes a record for each.

    Names, files and directories are checked before the first image is encoded.

    Raises:
        VlmbenchError: a model, a dataset, a prompt file, an image or ``--out`` is invalid.
    """
    require_writable(context.out)
    session = session or Session(context)
    models, plans = _checked(request, session)
    runs = []
    for plan in plans if request.corrupt else ():  # all of the same images in one pass
        session.expect(models, plan.images)
    for plan in plans:
        session.prepare(models, plan.images)
        for model in models:
            watch = Stopwatch()
            features = session.features(model, plan.images, sparse=True)
            if request.holdout is not None:
                features = held_out(features, request.holdout, context.seed)
            for prompts in plan.prompts:
                runs.append(score_zeroshot(session, model, features, plan, prompts, watch))
    return runs


def check_zeroshot(request: ZeroShotRequest, session: Session) -> list[Pass]:
    """Checks models, datasets and files; returns the passes over images that the run makes.

    Raises:
        VlmbenchError: something is invalid.
    """
    models, plans = _checked(request, session)
    return [Pass(plan.images, tuple(models)) for plan in plans]


def _checked(request: ZeroShotRequest, session: Session) -> tuple[list[str], list[ZeroShotPlan]]:
    if request.boxes is not None and request.tiles is not None:
        raise UsageError("boxes are not cut into tiles", where="--boxes and --tiles", fix="leave one of them out")
    if request.tiles is not None and not 2 <= request.tiles <= MOST_TILES:
        raise UsageError(
            f"an image is cut into 2 to {MOST_TILES} tiles, not {request.tiles}", where="--tiles", fix="--tiles 4"
        )
    models = list(dict.fromkeys(request.models))
    for model in models:
        session.require_texts(model)
    check_share(request.holdout)
    return models, [_plan(name, request, session) for name in _datasets(request, session)]


def _datasets(request: ZeroShotRequest, session: Session) -> list[DatasetRef]:
    """The datasets, or their boxes or tiles if these are requested."""
    refs = with_corruptions(expand(request.datasets), request.corrupt)
    if request.boxes is not None:
        return [DatasetRef(BOXES, str(request.boxes), images=ref) for ref in refs]
    return [session.images.in_tiles(ref, request.tiles) for ref in refs] if request.tiles is not None else refs


def _plan(dataset: DatasetRef, request: ZeroShotRequest, session: Session) -> ZeroShotPlan:
    info = session.dataset(dataset).info
    if not info.classnames:
        raise InputError(
            f"{visible(info.id)} has captions but no classes",
            where=info.id,
            fix=f"vlmbench retrieval -d {visible(info.id)}",
        )
    check_share(request.holdout, info)
    require_metric(request.metric, len(info.classnames), multilabel=info.multilabel, where=info.id)
    cache_dir = session.context.cache_dir
    classes = class_names(request.classnames, info, cache_dir)
    sets = prompt_sets(request.prompts, info, cache_dir, classes.names)
    raw = info.raw_classnames or info.classnames
    images = Selection(dataset, session.choose_split(dataset, request.split), request.limit)
    return ZeroShotPlan(images, classes, raw, sets, request.metric)


def score_zeroshot(
    session: Session, model: str, features: SplitFeatures, plan: ZeroShotPlan, prompts: PromptSet, watch: Stopwatch
) -> StoredRun:
    """Scores features by one prompt set and writes the record; labels are those of the plan's classes."""
    context = session.context
    head = session.text_weights(model, plan.classes.names, prompts, plan.raw)
    columns = zero_shot_columns(features.x, head, features.y, features.ids, views=features.views)
    info = features.info
    metric = plan.metric or info.metric
    possible = metric_names(len(plan.raw), multilabel=info.multilabel)
    names, left_out = computable(possible, features.y, metric, features.dataset.id)
    figures = metrics_from_samples(columns, names, context.seed)
    origin: dict[str, Any] = {**features.protocol, **prompts.protocol(), **plan.classes.protocol(), **plan.protocol}
    record = Record(
        task=ZEROSHOT.name,
        system=session.model(model).files.system + plan.system,
        model=features.model,
        dataset=features.dataset,
        n=len(features.ids),
        seed=context.seed,
        protocol=ZeroShotProtocol(
            **origin,
            tokenizer_sha256=session.model(model).files.tokenizer_sha256,
            classnames=list(head.classnames),
            classnames_sha256=digest([list(item) for item in plan.classes.names]),
            logit_scale=head.logit_scale,
            logit_bias=head.logit_bias,
            metric=metric,
            intervals=INTERVALS,
            resamples=RESAMPLES,
        ),
        metrics=figures,
        detail=ClassificationDetail(
            per_class=None if info.multilabel else [ClassFigures(**row) for row in per_class(columns, head.classnames)],
            left_out=left_out or None,
            group=info.group or None,
            skipped=len(features.dataset.skipped) or None,
        ),
        versions={**features.versions, **package_versions("numpy")},
    )
    return write_run(context.out, record, columns, watch.facts(session.throughput(features)))
