"""``caption-eval`` over files: scores any number of systems against references, one record per system."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlmbench.data.base import TRAIN, limited_rows
from vlmbench.data.captions.columns import Named, parse_named
from vlmbench.data.captions.entries import Want
from vlmbench.data.captions.read import Candidates, References, align, read_candidates, read_references
from vlmbench.data.names import caption_file
from vlmbench.data.open import captioned_ref, open_dataset
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.paths import is_there
from vlmbench.foundations.plugins import nearest
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.bleu import ALL_BLEU, BLEU
from vlmbench.metrics.spec import caption_specs, needing
from vlmbench.records.store import StoredRun
from vlmbench.session.context import Context, Stopwatch
from vlmbench.tasks.base import Pass
from vlmbench.tasks.captions.record import About, written
from vlmbench.tasks.captions.scoring import (
    Inputs,
    Scoring,
    System,
    distinct,
    groups_of,
    made_safe,
    resampled,
    scored,
    usual_metrics,
)

if TYPE_CHECKING:
    from vlmbench.session.session import Session


@dataclass(frozen=True)
class CaptionEvalRequest:
    """``vlmbench caption-eval -r -p``; captions from Python code are used as they are."""

    references: str | References
    candidates: Sequence[str | Candidates]
    scoring: Scoring = field(default_factory=Scoring)
    split: str | None = None
    """The split of a dataset whose captions are the references."""
    images: str | None = None
    """The set with the images, for CLIPScore; None: that of the references, if they come from a dataset."""
    limit: int | None = None
    """N randomly sampled images; None: all."""
    columns: str | None = None
    """``image=…,captions=…,prediction=…``: the columns of files that are tables, where they have other names."""


def metric_names(text: str | Iterable[str] | None) -> tuple[str, ...]:
    """Metrics from a comma-separated list, in the order of tables; ``bleu`` stands for all four, None for the default
    ones.

    Raises:
        UsageError: a name is unknown, or none is given.
    """
    if text is None:
        return usual_metrics()
    given = {
        part.strip().lower().replace("-", "_") for part in (text.split(",") if isinstance(text, str) else text)
    } - {""}
    if ALL_BLEU in given:
        given = given - {ALL_BLEU} | set(BLEU)
    known = [spec.name for spec in caption_specs()]
    wrong = sorted(given - set(known))
    if wrong or not given:
        raise UsageError(
            f"no such metric: {', '.join(map(visible, wrong)) or 'none given'}",
            where="--metrics",
            fix=nearest(wrong[0] if wrong else "", [ALL_BLEU, *known], f"choose from {', '.join(known)}, {ALL_BLEU}"),
        )
    return tuple(name for name in known if name in given)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disables the cyclic collector, which would repeatedly scan a million tokens without finding garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def run_caption_eval(
    request: CaptionEvalRequest, context: Context, session: "Session | None" = None
) -> list[StoredRun]:
    """Reads, checks and scores caption files.

    Raises:
        UsageError: two systems have the same name, or a metric is unknown.
        InputError: a file is malformed (see `read_references`, `read_candidates`, `align`).
        AbsentError: Java or METEOR's data are missing and nothing is left to score.
        OutputError: a result cannot be written.
    """
    watch = Stopwatch()
    require_writable(context.out)
    inputs = _read(request, context)
    dataset = _images(request)
    if dataset is not None:
        from vlmbench.session.session import Session
        from vlmbench.tasks.captions.clip import DEFAULT_CLIP, ClipImages

        clip, of = request.scoring.clip or DEFAULT_CLIP, inputs.references.captions
        images = ClipImages(session or Session(context), clip, dataset, of, request.split)
        inputs = replace(inputs, images=images)
    inputs = replace(inputs, training=training_captions(request.scoring.novel_to, context))
    return score_captions(inputs, request.scoring, context, watch)


def score_captions(inputs: Inputs, scoring: Scoring, context: Context, watch: Stopwatch) -> list[StoredRun]:
    """Scores systems against references and writes a run for each; if the references have groups, also one for each
    of them.

    Raises:
        UsageError, InputError, AbsentError, OutputError: see `run_caption_eval`.
    """
    distinct([system.candidates.name for system in inputs.systems])
    candidates, allow = [system.candidates for system in inputs.systems], (scoring.allow_missing, scoring.allow_empty)
    aligned = align(inputs.references, candidates, allow_missing=allow[0], allow_empty=allow[1])
    if inputs.images is None and needing("images") & set(scoring.metrics):
        raise UsageError("CLIPScore needs the images", where="--metrics", fix="name the dataset with -d DATASET")
    safe = made_safe(aligned, inputs.documents, scoring.backend, context.reporter)
    whole = scored(safe, inputs, scoring, context)
    about, runs = About.of(inputs, aligned, scoring), []
    for part in (whole, *groups_of(whole, inputs.references.groups)):
        runs += written(part, resampled(part, context.seed, scoring.resamples), about, context, watch)
    return runs


def check_caption_eval(request: CaptionEvalRequest, session: "Session") -> list[Pass]:
    """Checks options, files and the encoder of CLIPScore before anything is scored.

    Raises:
        VlmbenchError: as in `run_caption_eval`.
    """
    _read(request, session.context)
    training_captions(request.scoring.novel_to, session.context)
    dataset = _images(request)
    if dataset is not None:
        from vlmbench.tasks.captions.captioners import dual_encoder
        from vlmbench.tasks.captions.clip import DEFAULT_CLIP

        session.choose_split(dataset, request.split)
        dual_encoder(session, request.scoring.clip or DEFAULT_CLIP)
    return []


def _read(request: CaptionEvalRequest, context: Context) -> Inputs:
    scoring = request.scoring
    named = [item if isinstance(item, Candidates) else _candidate_file(item) for item in request.candidates]
    distinct([item.name if isinstance(item, Candidates) else item[0] for item in named])
    columns = parse_named(request.columns)
    with_images = request.images is not None and bool(needing("images") & set(scoring.metrics))
    references = open_references(request.references, context, request.split, columns=columns, lenient=with_images)
    documents = None if scoring.documents is None else open_references(scoring.documents, context)
    want = Want(columns, split=request.split)
    systems = [item if isinstance(item, Candidates) else read_candidates(item[1], item[0], want) for item in named]
    columns.check()
    limit = request.limit if request.limit is not None and request.limit < len(references.captions) else None
    if limit is not None:
        references, systems = _sampled(references, systems, request, limit, context.seed)
    return Inputs(references, tuple(map(System, systems)), documents, limit=limit)


def _sampled(
    references: References, systems: list[Candidates], request: CaptionEvalRequest, limit: int, seed: int
) -> tuple[References, list[Candidates]]:
    """A random sample of the images, the same that ``--limit`` draws from a dataset, with its captions."""
    images = list(references.captions)
    name = request.references if isinstance(request.references, str) else references.name
    ref = captioned_ref(name)
    rows = limited_rows(len(images), limit, seed, name if ref is None else ref.id, references.split)
    sample = references.only([images[row] for row in rows])
    left_out = references.captions.keys() - sample.captions.keys()
    return sample, [
        replace(item, captions={image: text for image, text in item.captions.items() if image not in left_out})
        for item in systems
    ]


def _images(request: CaptionEvalRequest) -> str | None:
    """The set with the images, for CLIPScore; None if there is none, or CLIPScore is not requested."""
    if not needing("images") & set(request.scoring.metrics):
        return None
    if request.images is not None or not isinstance(request.references, str):
        return request.images
    return request.references if captioned_ref(request.references) else None


def open_references(
    spec: str | References,
    context: Context,
    split: str | None = None,
    *,
    columns: Named | None = None,
    training: bool = False,
    lenient: bool = False,
) -> References:
    """References from a file, or the captions of a dataset (``hf:…``, ``folder:…``, ``coco:…``, a bundled name).

    Args:
        spec: ``PATH``, ``file:PATH``, a dataset as the user names it, or references that were already read;
            ``?restval=yes`` after one of Karpathy's files.
        context: locates datasets.
        split: the split of a dataset or of a file with splits; None: test, else the only one.
        columns: columns of a table, if the user names them.
        training: read training captions; a source with a single split is used whole.
        lenient: a split that a file does not have is not an error: the option also applies elsewhere.

    Raises:
        InputError: the file is malformed, or the dataset has no captions.
        AbsentError: there is no such dataset.
        UsageError: a split for a file without splits, or columns for a dataset.
    """
    if isinstance(spec, References):
        return spec
    name, equals, rest = spec.partition("=")
    if equals and name.strip() and rest and "?" not in name and not is_there(spec):
        if captioned_ref(rest) is not None:
            raise UsageError(f"a dataset keeps its name: {visible(spec)}", where="-r", fix=f"-r {visible(rest)}")
        found = open_references(rest, context, split, columns=columns, training=training, lenient=lenient)
        return replace(found, name=name.strip())
    ref = captioned_ref(spec)
    if ref is None:
        path, restval = caption_file(spec)
        want = Want(columns or Named(), split=split, lenient=training or lenient, restval=restval)
        found = read_references(path, want)
        return replace(found, name=found.name + "?restval=yes") if restval else found
    from vlmbench.data.base import choose_split

    dataset = open_dataset(ref, context.cache_dir, context.reporter)
    alone = training and len(dataset.info.splits) == 1
    part = dataset.split(choose_split(dataset.info, None if alone else split, where=spec))
    if not part.captions:
        raise InputError(
            "the dataset has no captions", where=spec, fix="give a captioned dataset, with a column caption or captions"
        )
    captions = {image: list(found) for image, found in zip(part.ids, part.captions, strict=True)}
    groups = {image: group for image, group in zip(part.ids, part.groups, strict=True) if group} if part.groups else {}
    return References(dataset.info.id, "", captions, spec, part.name, groups)


def _candidate_file(text: str) -> tuple[str | None, Path]:
    """The name, if any, and the file of ``NAME=FILE`` or ``FILE``; an existing file with ``=`` in its name is a file.

    Raises:
        UsageError: the name or the file is empty.
    """
    name, equals, rest = text.partition("=")
    if not equals or is_there(text):
        return None, caption_file(text)[0]
    if not name.strip() or not rest:
        raise UsageError(f"not NAME=FILE: {visible(text)}", where="-p")
    return name.strip(), caption_file(rest)[0]


def training_captions(spec: str | None, context: Context) -> list[str]:
    """Every caption of the training split of a file of references or of a dataset; None if none is named.

    A source without splits is used whole. In Karpathy's files ``restval`` is left out, unless ``?restval=yes`` follows
    the name.

    Raises:
        InputError: the file is malformed, or the dataset has no captions or no training split.
        AbsentError: there is no such dataset.
    """
    if spec is None:
        return []
    found = open_references(spec, context, TRAIN, training=True)
    return [caption for captions in found.captions.values() for caption in captions]
