"""``caption-eval`` over files: references and any number of systems in, one record a system out."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlmbench.data.captions import Candidates, References, read_candidates, read_references
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.clipscore import METRICS as CLIP
from vlmbench.metrics.captions.statistics import BLEU, METRICS, RESAMPLES
from vlmbench.records.store import StoredRun
from vlmbench.runs.caption_scoring import DEFAULT, Protocol, distinct, score_captions
from vlmbench.runs.context import Context, Stopwatch
from vlmbench.runs.job import Pass

if TYPE_CHECKING:
    from vlmbench.runs.session import Session

BACKENDS = ("native", "java")


@dataclass(frozen=True)
class Request:
    """What ``vlmbench caption-eval`` is asked for."""

    references: str
    candidates: Sequence[str]
    metrics: Sequence[str] = DEFAULT
    backend: str = "native"
    resamples: int = RESAMPLES
    allow_missing: bool = False
    allow_empty: bool = False
    documents: str | None = None
    split: str | None = None
    """Of a dataset whose captions are the references."""
    images: str | None = None
    """The set whose images CLIPScore looks at; none: the references', where they are a dataset's."""
    clip: str | None = None
    """The dual encoder CLIPScore looks with; none: the paper's."""
    training: str | None = None
    """What the systems may have learnt from, for the share of novel captions."""


def metric_names(text: str | Iterable[str]) -> tuple[str, ...]:
    """Metrics from a comma-separated list, in the order of tables; ``bleu`` stands for all four.

    Raises:
        UsageError: a name is unknown, or none is given.
    """
    asked = {
        part.strip().lower().replace("-", "_") for part in (text.split(",") if isinstance(text, str) else text)
    } - {""}
    if "bleu" in asked:
        asked = asked - {"bleu"} | set(BLEU)
    wrong = sorted(asked - set(METRICS))
    if wrong or not asked:
        raise UsageError(
            f"no such metric: {', '.join(map(visible, wrong)) or 'none given'}",
            where="--metrics",
            mend=f"choose from {', '.join(METRICS)}, bleu",
        )
    return tuple(name for name in METRICS if name in asked)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cyclic collector, which looks through a million tokens again and again and finds no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def run_caption_eval(request: Request, context: Context, session: "Session | None" = None) -> list[StoredRun]:
    """Reads, checks and scores caption files.

    Raises:
        UsageError: two systems have the same name, or a metric is unknown.
        InputError: a file is not what it has to be (see `read_references`, `read_candidates`, `align`).
        AbsentError: Java or METEOR's data are missing and nothing is left to score.
        OutputError: a result cannot be written.
    """
    watch = Stopwatch()
    require_writable(context.out)
    references, systems, protocol = _read(request, context)
    seen = None
    images = _images(request, protocol)
    if images is not None:
        from vlmbench.runs.caption_clip import DEFAULT_CLIP, Seen
        from vlmbench.runs.session import Session

        seen = Seen(session or Session(context), request.clip or DEFAULT_CLIP, images, request.split)
    training = training_captions(request.training, context)
    return score_captions(references, systems, context, protocol=protocol, seen=seen, training=training, watch=watch)


def training_captions(spec: str | None, context: Context) -> list[str]:
    """Every caption of a file of references, or of the training split of a dataset; none where none is named.

    Raises:
        InputError: the file is not what it has to be, or the dataset has no captions or no training split.
        AbsentError: there is no such dataset.
    """
    if spec is None:
        return []
    found = open_references(spec, context, "train" if _is_dataset(spec) else None)
    return [caption for captions in found.captions.values() for caption in captions]


def check_caption_eval(request: Request, session: "Session") -> list[Pass]:
    """Finds what can be wrong with options, files and the encoder of CLIPScore, before anything is scored.

    Raises:
        VlmbenchError: as `run_caption_eval`.
    """
    _, _, protocol = _read(request, session.context)
    training_captions(request.training, session.context)
    images = _images(request, protocol)
    if images is not None:
        from vlmbench.runs.caption_clip import DEFAULT_CLIP
        from vlmbench.runs.captioners import dual_encoder

        session.choose_split(images, request.split)
        dual_encoder(session, request.clip or DEFAULT_CLIP)
    return []


def _read(request: Request, context: Context) -> tuple[References, list[Candidates], Protocol]:
    if request.backend not in BACKENDS:
        raise UsageError(
            f"no such backend: {visible(request.backend)}", where="--backend", mend=f"choose from {', '.join(BACKENDS)}"
        )
    protocol = Protocol(
        metrics=metric_names(request.metrics), backend=request.backend, resamples=request.resamples,
        allow_missing=request.allow_missing, allow_empty=request.allow_empty,
    )  # fmt: skip
    named = [_named(item) for item in request.candidates]
    distinct([name for name, _ in named])
    references = open_references(request.references, context, request.split)
    if request.documents is not None:
        protocol = replace(protocol, documents=open_references(request.documents, context))
    return references, [read_candidates(path, name) for name, path in named], protocol


def _images(request: Request, protocol: Protocol) -> str | None:
    """The set whose images CLIPScore looks at; none where there is none, or it is not asked for."""
    if not set(protocol.metrics) & set(CLIP):
        return None
    return request.images or (request.references if _is_dataset(request.references) else None)


def open_references(spec: str, context: Context, split: str | None = None) -> References:
    """References from a file, or the captions of a dataset (``hf:…``, ``folder:…``, ``coco:…``, a bundled name).

    Raises:
        InputError: the file is not what it has to be, or the dataset has no captions.
        AbsentError: there is no such dataset.
    """
    if not _is_dataset(spec):
        return read_references(Path(spec))
    from vlmbench.data.base import choose_split
    from vlmbench.data.registry import open_dataset

    dataset = open_dataset(spec, context.cache_dir, context.reporter)
    part = dataset.split(choose_split(dataset.info, split, where=spec))
    if not part.captions:
        raise InputError(
            "the dataset has no captions", where=spec, mend="give a captioned one, with a column caption or captions"
        )
    captions = {image: list(found) for image, found in zip(part.ids, part.captions, strict=True)}
    return References(dataset.info.id, "", captions, spec, part.name)


def _is_dataset(spec: str) -> bool:
    return not Path(spec).is_file() and (spec.partition(":")[0] in ("hf", "folder", "coco") or _bundled(spec))


def _bundled(spec: str) -> bool:
    from vlmbench.data.catalogue import names

    return spec.partition("?")[0] in names()


def _named(text: str) -> tuple[str | None, Path]:
    """``NAME=FILE`` or ``FILE``; a file whose own name holds ``=`` is a file."""
    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        return None, Path(text)
    if not name.strip() or not rest:
        raise UsageError(f"not NAME=FILE: {visible(text)}", where="-p")
    return name.strip(), Path(rest)
