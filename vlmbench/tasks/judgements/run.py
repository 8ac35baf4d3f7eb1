"""``metric-eval``: how far each metric agrees with people's ratings of captions, one record per metric."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.judgements.base import Judgements
from vlmbench.data.judgements.read import TAU, read_judgements
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import is_there
from vlmbench.foundations.text import encodable
from vlmbench.foundations.versions import package_versions
from vlmbench.metrics.agreement import Tau, agreement, metrics
from vlmbench.metrics.captions.statistics import RESAMPLES
from vlmbench.metrics.spec import needing
from vlmbench.records.agreement import SPEC, AgreementDetail, AgreementProtocol
from vlmbench.records.captions import ClipProtocol
from vlmbench.records.result import DatasetFacts, Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import Context, Stopwatch
from vlmbench.tasks.base import Pass
from vlmbench.tasks.captions.scoring import usual_metrics
from vlmbench.tasks.judgements.scores import References, score_judgements, with_references

if TYPE_CHECKING:
    from vlmbench.session.session import Session
    from vlmbench.tasks.captions.clip import ClipImages


@dataclass(frozen=True)
class MetricEvalRequest:
    """A ``vlmbench metric-eval`` request."""

    judgements: Sequence[str]
    references: Sequence[str] = ()
    """Files or captioned sets; for Flickr8k's files, ``Flickr8k.token.txt``."""
    format: str = "auto"
    metrics: Sequence[str] = field(default_factory=usual_metrics)
    resamples: int = RESAMPLES
    images: str | None = None
    """The directory of the judged images, or a dataset with them, for CLIPScore."""
    clip: str | None = None
    """The dual encoder of CLIPScore; None: the paper's."""


def check_metric_eval(request: MetricEvalRequest, session: "Session") -> list[Pass]:
    """Checks judgements, references and images before anything is scored.

    Raises:
        VlmbenchError: as in `run_metric_eval`.
    """
    _, references = _read(request, session.context)
    if seen := _seen(request, references, session.context, session):
        seen.facts  # noqa: B018 - finds the encoder
    return []


def run_metric_eval(request: MetricEvalRequest, context: Context, session: "Session | None" = None) -> list[StoredRun]:
    """Scores every judged caption against its image's references, correlates scores with ratings, and writes a record
    for each metric.

    CIDEr's document frequencies count each image once, regardless of how many of its captions were judged; on a
    published set they count each judgement with its references, as the evaluation of CLIPScore does (`pycocoevalcap`
    over all judgements).

    Raises:
        UsageError: a metric needs the images, or references are given twice or not at all.
        InputError: a file is malformed, an image is absent, or all ratings are equal.
        AbsentError: a requirement of METEOR or SPICE is missing and no other metric was requested.
        OutputError: the results directory cannot be written.
    """
    watch = Stopwatch()
    require_writable(context.out)
    found, references = _read(request, context)
    documents = "judgements" if found.format in TAU else "images"
    seen = _seen(request, references, context, session)
    scores = score_judgements(found, references, request.metrics, context, seen=seen, documents=documents)
    if found.left_out:
        context.reporter.note(f"{found.left_out:,} judgements left out: {found.why}")
    with context.reporter.task("Resampling", request.resamples) as advance:
        taus = agreement(
            list(scores.values()),
            [item.rating for item in found.items],
            [item.image for item in found.items],
            context.seed,
            resamples=request.resamples,
            advance=lambda: advance(1),
        )
    for name, (b, _) in zip(scores, taus, strict=True):
        if b.value != b.value:
            context.reporter.warn(f"{name} gives every caption the same score: tau is undefined")
    if len(references) == 1:
        context.reporter.warn("one image: no interval, since images are resampled")
    job = _Judging(request, found, references, context, documents, seen)
    return [job.write(name, scores[name], pair, watch) for name, pair in zip(scores, taus, strict=True)]


def _read(request: MetricEvalRequest, context: Context) -> tuple[Judgements, References]:
    paths = [Path(given) for given in request.references]
    found = read_judgements([Path(given) for given in request.judgements], request.format, paths)
    if len({item.rating for item in found.items}) < 2:
        raise InputError(
            "all ratings are equal, so they rank nothing and tau is undefined",
            where=", ".join(request.judgements),
            fix="give judgements with at least two different ratings",
        )
    return with_references(found, request.references, context)


def _seen(
    request: MetricEvalRequest, references: References, context: Context, session: "Session | None"
) -> "ClipImages | None":
    """The encoder of the images, if they are named and a metric needs them."""
    from vlmbench.data.catalogue import names
    from vlmbench.session.session import Session
    from vlmbench.tasks.captions.clip import DEFAULT_CLIP, ClipImages

    if request.images is None or not needing("images") & set(request.metrics):
        return None
    if session is None or context.on_bad_image != "skip":
        session = Session(replace(context, on_bad_image="skip"))
    images = request.images
    if is_there(images, directory=True) or (":" not in images and images not in names()):
        from vlmbench.data.local.image_directory import open_images

        directory = open_images(Path(images), list(references))
        session.images.adopt(directory.info.id, directory)
        images = directory.info.id
    return ClipImages(session, request.clip or DEFAULT_CLIP, images, references)


@dataclass(frozen=True)
class _Judging:
    """What all records of a command share."""

    request: MetricEvalRequest
    found: Judgements
    references: References
    context: Context
    documents: str
    seen: "ClipImages | None"

    def write(self, metric: str, scores: NDArray[np.float64], pair: tuple[Tau, Tau], watch: Stopwatch) -> StoredRun:
        """The record of one metric and its per-judgement file."""
        found, items = self.found, self.found.items
        content = [[item.image, item.candidate, item.rating] for item in items]
        samples: dict[str, Any] = {
            "id": encodable([item.image for item in items]),
            "candidate": encodable([item.candidate for item in items]),
            "rating": np.array([item.rating for item in items], dtype=np.float64),
            "score": scores,
        }
        clip = self._clip(metric)
        record = Record(
            task=SPEC.name,
            system=metric,
            model=None if clip is None else clip.facts,
            dataset=DatasetFacts(id=found.name, fingerprint=digest([content, self.references]), split="all"),
            n=len(self.references),
            seed=self.context.seed,
            protocol=self._protocol(metric),
            metrics=metrics(pair),
            detail=self._detail(pair[0]),
            versions=package_versions("numpy", "scipy", "pycocoevalcap"),
        )
        return write_run(self.context.out, record, samples, watch.facts({"cores": cores()}))

    def _protocol(self, metric: str) -> AgreementProtocol:
        counts = sorted({len(captions) for captions in self.references.values()})
        clip = self._clip(metric)
        return AgreementProtocol(
            format=self.found.format,
            judgements=len(self.found.items),
            left_out=self.found.left_out,
            references=str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}",
            resamples=self.request.resamples,
            tau=TAU.get(self.found.format),
            clip=None if clip is None else ClipProtocol(**clip.protocol),
            tokenizer="ptb-3.4.1" if clip is None else None,
            df=self.documents if metric in needing("documents") else None,
        )

    def _detail(self, tau: Tau) -> AgreementDetail:
        constant = tau.value != tau.value
        return AgreementDetail(
            ratings=len({item.rating for item in self.found.items}),
            left_out_because=self.found.why if self.found.left_out else None,
            not_defined="the metric gives every caption the same score" if constant else None,
            no_interval="one image, or every resample of the images is constant"
            if not constant and tau.low != tau.low
            else None,
        )

    def _clip(self, metric: str) -> "ClipImages | None":
        """The encoder of the images, if the metric uses it."""
        return self.seen if metric in needing("images") else None
