"""Image–text retrieval on captioned sets: every model on every dataset, one record each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlmbench.data.base import Split
from vlmbench.data.catalogue import expand
from vlmbench.data.loading import load
from vlmbench.data.reduced import reduced
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.foundations.versions import package_versions
from vlmbench.metrics.retrieval import (
    INTERVALS,
    Ranks,
    metric_names,
    metrics_from_samples,
    ranks,
    sample_columns,
    top_k,
)
from vlmbench.metrics.rows import is_sparse, normalise
from vlmbench.metrics.stats.intervals import RESAMPLES
from vlmbench.records.result import Record
from vlmbench.records.retrieval import SPEC, RetrievalProtocol
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import REDUCED, Context, Stopwatch
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass


@dataclass(frozen=True)
class RetrievalRequest:
    """A retrieval request: the arguments of `vlmbench.retrieval`."""

    models: Sequence[str]
    datasets: Sequence[str]
    split: str | None = None
    limit: int | None = None
    rerank: int | None = None
    captions: int | None = None


def run_retrieval(request: RetrievalRequest, context: Context, session: Session | None = None) -> list[StoredRun]:
    """Scores each model on each captioned set and writes a record for each.

    Raises:
        VlmbenchError: a model, a dataset, an image or ``--out`` is invalid.
    """
    require_writable(context.out)
    session = session or Session(context)
    runs = []
    for one in check_retrieval(request, session):
        session.prepare(one.models, one.selection)
        runs += [_score(session, model, one.selection, request) for model in one.models]
    return runs


def check_retrieval(request: RetrievalRequest, session: Session) -> list[Pass]:
    """Checks models and datasets; returns the passes over images that the run makes.

    Raises:
        VlmbenchError: something is invalid.
    """
    models = tuple(dict.fromkeys(request.models))
    if request.rerank is not None and session.engine is not None:
        raise UsageError("a matching head runs in torch alone", where="--rerank and --engine", fix="leave one out")
    for model in models:
        family = session.require_texts(model).files.family
        if request.rerank is not None and not family.matching:
            raise UsageError(
                f"{visible(model)} has no matching head to re-rank with", where="--rerank", fix="use a BLIP model"
            )
    passes = []
    for dataset in expand(request.datasets):
        split, info = session.choose_split(dataset, request.split), session.dataset(dataset).info
        if info.classnames:
            raise InputError(f"{visible(info.id)} has images without captions", where=info.id, fix="vlmbench zeroshot")
        passes.append(Pass(Selection(dataset, split, request.limit), models))
    return passes


def _score(session: Session, model: str, selection: Selection, request: RetrievalRequest) -> StoredRun:
    watch, context, dataset = Stopwatch(), session.context, str(selection.dataset)
    features = session.features(model, selection, sparse=True)
    lists = [texts[: request.captions] for texts in features.items.captions]
    if not lists or not all(lists):
        raise InputError(
            f"{visible(dataset)} has images without captions in {selection.split}",
            where=dataset,
            fix="vlmbench list datasets",
        )
    owner = np.repeat(np.arange(len(lists)), [len(texts) for texts in lists])
    texts = [text for own in lists for text in own]
    embedded, _ = session.text_embeddings(model, texts)
    x = features.x if is_sparse(features.x) else np.asarray(features.x)
    unit = [normalise(values).astype(np.float32) for values in (x, embedded)]
    corpus = _Corpus(unit[0], unit[1], owner, texts)
    if request.rerank is None:
        found = ranks(corpus.images, corpus.captions, owner)
    else:
        items = reduced(features.items) if context.decode == REDUCED else features.items
        found = _rerank(session, model, items, corpus, request.rerank)
    columns = sample_columns(features.ids, found, owner)
    record = Record(
        task=SPEC.name,
        system=session.model(model).files.system,
        model=features.model,
        dataset=features.dataset.model_copy(update={"fingerprint": digest([features.dataset.fingerprint, lists])}),
        n=len(features.ids),
        seed=context.seed,
        protocol=RetrievalProtocol(
            **features.protocol,
            tokenizer_sha256=session.model(model).files.tokenizer_sha256,
            captions=len(texts),
            captions_per_image=request.captions or "all",
            rerank=request.rerank,
            intervals=INTERVALS,
            resamples=RESAMPLES,
        ),
        metrics=metrics_from_samples(columns, metric_names(), context.seed),
        versions={**features.versions, **package_versions("numpy")},
    )
    return write_run(context.out, record, columns, watch.facts(session.throughput(features)))


@dataclass(frozen=True)
class _Corpus:
    """Embeddings of a split: images [N, D] and captions [T, D] of unit norm, and the image of each caption."""

    images: np.ndarray
    captions: np.ndarray
    owner: np.ndarray
    texts: list[str]


def _rerank(session: Session, model: str, split: Split, corpus: _Corpus, k: int) -> Ranks:
    """Ranks with the nearest `k` of each query ordered by cosine plus the matching head's logit.

    As in BLIP's own evaluation (Li et al. 2022). Items not among the nearest keep their place behind them.
    """
    base = ranks(corpus.images, corpus.captions, corpus.owner)
    texts, near_texts = top_k(corpus.images, corpus.captions, k)
    images, near_images = top_k(corpus.captions, corpus.images, k)
    wanted = [set(row) for row in texts.tolist()]
    for text, row in enumerate(images.tolist()):
        for image in row:
            wanted[image].add(text)
    scores = _match(session, model, split, corpus, [sorted(pairs) for pairs in wanted])
    forth = base.image_to_text.copy()
    for image, row in enumerate(texts.tolist()):
        total = near_texts[image] + [scores[image][text] for text in row]
        forth[image] = _rank(total, corpus.owner[row] == image, forth[image])
    back = base.text_to_image.copy()
    for text, row in enumerate(images.tolist()):
        total = near_images[text] + [scores[image][text] for image in row]
        back[text] = _rank(total, np.asarray(row) == corpus.owner[text], back[text])
    return Ranks(forth, back)


def _match(
    session: Session, model: str, split: Split, corpus: _Corpus, pairs: list[list[int]]
) -> list[dict[int, float]]:
    """For each image the matching head's logit with each text it is paired with."""
    encoder, context, rows = session.model(model).encoder, session.context, range(len(split))
    found: list[dict[int, float]] = []
    with context.reporter.task(f"matching with {model}", len(rows)) as advance:
        for item in load(
            split, rows, lambda image, _: encoder.preprocess(image), workers=context.threads, ahead=2 * context.threads
        ):
            if item.error is not None:
                raise item.error
            texts = pairs[len(found)]
            logits: list[float] = []
            for start in range(0, len(texts), context.batch_size):
                part = [corpus.texts[text] for text in texts[start : start + context.batch_size]]
                logits += encoder.match(item.value, part).tolist()
            found.append(dict(zip(texts, logits, strict=True)))
            advance()
    return found


def _rank(total: np.ndarray, right: np.ndarray, before: float) -> float:
    """The rank of the best correct match among the nearest; if there is none, its rank before."""
    if not right.any():
        return before
    best = total[right].max()
    return float((total[~right] > best).sum() + 0.5 * (total[~right] == best).sum())
