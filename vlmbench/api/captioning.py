"""The functions of `vlmbench` about captions: `caption`, `score_captions`, `score_captioners`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from vlmbench import __version__
from vlmbench.api import options
from vlmbench.api.jobs import writes_runs
from vlmbench.api.options import AnyPath, Names, RunOptions
from vlmbench.api.rows import Rows
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.foundations.text import visible
from vlmbench.records.signature import format_fields
from vlmbench.tasks.base import TaskJob

if TYPE_CHECKING:
    import pandas as pd

    from vlmbench.captioners.base import Captioning
    from vlmbench.captioners.names import CaptionerKind, CaptionerRef
    from vlmbench.tasks.captions.captioning import Captions as Made
    from vlmbench.tasks.captions.scoring import Scoring

Captions = AnyPath | Sequence[AnyPath] | Mapping[Any, str] | Mapping[str, "Mapping[Any, str] | PathLike[str]"]
References = AnyPath | Mapping[Any, Sequence[str]]
OnFailure = Literal["skip", "error"]


@dataclass(frozen=True)
class CaptionResult:
    """A captioner's captions.

    Attributes:
        system: the name in tables.
        model: the captioner, as named by the caller.
        dataset: the dataset's id; ``files`` for image files.
        captions: caption by image id, or by path.
        failed: images without a caption, with the reason.
        made: number of newly generated captions; the others were stored.
        seed: seed of few-shot examples and sampling.
        shots: few-shot examples; None: there were none.
        signature: one line that says how the captions were made.
        path: the COCO results file with them.
    """

    system: str
    model: str
    dataset: str
    captions: Mapping[str, str] = field(repr=False, hash=False)
    failed: Mapping[str, str] = field(hash=False)
    made: int
    seed: int
    shots: int | None
    signature: str
    path: Path

    @classmethod
    def of(cls, found: "Made", path: Path, seed: int) -> "CaptionResult":
        """Captions that were written to `path`."""
        dataset = found.dataset
        fields = {
            "task": "caption",
            "system": found.system,
            "model": f"{found.model.id}@{found.model.weights_sha256[:8]}",
            "data": f"{dataset.id}/{dataset.split}@{dataset.fingerprint[:8]}",
            "n": str(len(found.ids)),
            **{key: str(value) for key, value in sorted(found.decoding.items()) if value is not None},
            "version": __version__,
        }
        return cls(
            system=found.system,
            model=found.model.id,
            dataset=dataset.id,
            captions=found.by_image(),
            failed=found.failed,
            made=found.made,
            seed=seed,
            shots=found.decoding.get("shots") or None,
            signature=format_fields(fields),
            path=path,
        )

    @property
    def n(self) -> int:
        """Number of images with a caption."""
        return len(self.captions)


class CaptionResults(Rows[CaptionResult]):
    """Captions of each captioner, in their order.

    Attributes:
        warnings: the warnings, if no reporter was given.
    """

    def __init__(self, rows: Iterable[CaptionResult], warnings: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self.warnings = tuple(warnings)

    def __repr__(self) -> str:
        named = ", ".join(f"{one.n:,} by {one.system} of {one.dataset}" for one in self)
        return f"<CaptionResults: {visible(named)}>"

    def to_dicts(self) -> list[dict[str, Any]]:
        """The results as in the document of ``--json``."""
        names = ("system", "model", "dataset", "n", "shots", "seed", "signature")
        return [
            {"task": "caption"}
            | {name: getattr(one, name) for name in names}
            | {"path": str(one.path), "metrics": {}, "failed": one.failed, "made": one.made}
            for one in self
        ]

    def to_frame(self) -> "pd.DataFrame":
        """One row per captioner and image."""
        import pandas as pd

        rows = [(one.system, image, text) for one in self for image, text in one.captions.items()]
        return pd.DataFrame(rows, columns=["system", "image", "caption"])


def caption(
    captioners: Names,
    images: AnyPath | Iterable[AnyPath] = (),
    *,
    dataset: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    prompt: str | None = None,
    num_beams: int = 1,
    max_new_tokens: int = 40,
    temperature: float = 0.0,
    shots: int = 0,
    anchors: str | None = None,
    concurrency: int = 8,
    timeout: float = 60.0,
    on_failure: OnFailure = "skip",
    **run: Unpack[RunOptions],
) -> CaptionResults:
    """Captions images and writes them as COCO results JSON under ``out``/captions; nothing is scored.

    Captions are cached: an image that was captioned before is not captioned again.

    Args:
        captioners: aliases, hub ids, directories, ``retrieval:MODEL``, ``asif:MODEL``, ``magic:LM,MODEL``,
            ``endpoint:URL#MODEL``, or a kind that another package adds.
        images: image files, or directories of them.
        dataset: a dataset instead of files.
        split: one of its splits; None: test, else the only one.
        limit: N randomly sampled images of it; None: all.
        prompt: text given with each image; None: the model's own.
        num_beams: beam search width; 1 is greedy decoding.
        max_new_tokens: maximum caption length, in the model's tokens.
        temperature: sampling temperature; 0: no sampling.
        shots: few-shot examples put before each image.
        anchors: the captioned set whose training split provides examples and retrieved captions; None: `dataset`.
        concurrency: concurrent requests to an endpoint.
        timeout: seconds per request to an endpoint.
        on_failure: ``"skip"``: a failed image is left out; ``"error"``: it stops the run.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: a captioner, an option, an image or ``out`` is invalid.

    Examples:
        >>> import tempfile, vlmbench
        >>> with tempfile.TemporaryDirectory() as out:
        ...     found = vlmbench.caption("tiny-captioner", dataset="scenes", limit=2, out=out, cache_dir=out)
        >>> found
        <CaptionResults: 2 by tiny-captioner of scenes>
        >>> list(found[0].captions.values())
        ['a cyan crescent on a white background', 'a purple circle on pink']
    """
    options.at_least("limit", limit)
    context = options.run_context(**run)
    from vlmbench.tasks.captions.caption import CaptionRequest, run_caption

    how = _captioning(prompt=prompt, num_beams=num_beams, max_new_tokens=max_new_tokens, temperature=temperature,
        shots=shots, anchors=anchors, concurrency=concurrency, timeout=timeout, on_failure=on_failure)  # fmt: skip
    paths = [images] if isinstance(images, str | PathLike) else images
    request = CaptionRequest(_refs(captioners), [*map(Path, paths)], dataset, split, limit, how)
    found = [CaptionResult.of(captions, path, context.seed) for captions, path in run_caption(request, context)]
    return CaptionResults(found, context.reporter.warnings if isinstance(context.reporter, Silent) else ())


@writes_runs
def score_captions(
    references: References,
    candidates: Captions,
    *,
    metrics: str | Sequence[str] | None = None,
    dataset: str | None = None,
    clip: str | None = None,
    backend: Literal["native", "java"] = "native",
    resamples: int = 1000,
    document_frequency: References | None = None,
    novel_to: AnyPath | None = None,
    split: str | None = None,
    allow_missing: bool = False,
    allow_empty: bool = False,
    limit: int | None = None,
    columns: str | None = None,
    **run: Unpack[RunOptions],
) -> TaskJob:
    """Scores captions against references, with intervals: one run per system.

    The plain functions `vlmbench.metrics.bleu`, `rouge_l`, `meteor` and `cider` return scores only and write nothing;
    `score_captioners` generates the captions first.

    Args:
        references: ``{image: [caption, …]}``, a file, or the name of a captioned set.
        candidates: ``{image: caption}``, or a file (``"NAME=FILE"`` names the system); for several systems a list of
            files, or ``{system: captions}``, where captions are ``{image: caption}`` or a `pathlib.Path`.
        metrics: as ``vlmbench list metrics`` names them, ``bleu`` for all four; a list, or comma-separated; None: the
            default ones (BLEU, ROUGE-L, METEOR, CIDEr).
        dataset: the images, for CLIPScore.
        clip: the dual encoder of CLIPScore; None: openai/clip-vit-base-patch32.
        backend: ``"java"``: pycocoevalcap with its Java programs, the reference.
        resamples: bootstrap resamples, at least 100.
        document_frequency: references that CIDEr's document frequencies come from; None: `references`.
        novel_to: training captions (a file or a captioned set), to report the share of novel captions.
        split: the split of a dataset, Karpathy's JSON or a table; None: test, else the only one.
        allow_missing: score only the images that have both a candidate and references.
        allow_empty: allow empty captions; they score 0.
        limit: N randomly sampled images; None: all.
        columns: ``"image=…,captions=…"``: columns of tables, where they have other names.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: the captions, a file, a metric or ``out`` are invalid.

    Examples:
        >>> import tempfile, vlmbench
        >>> references = {1: ["a dog runs on grass", "a running dog"], 2: ["two cats sleep", "cats on a bed"]}
        >>> systems = {"mine": {1: "a dog runs", 2: "two cats sleep on a bed"}, "other": {1: "a man", 2: "cats"}}
        >>> with tempfile.TemporaryDirectory() as out:
        ...     found = vlmbench.score_captions(references, systems, metrics="cider", resamples=100, out=out)
        >>> [(one.system, round(one.metrics["cider"].value, 3)) for one in found]
        [('mine', 3.589), ('other', 0.731)]
    """
    options.at_least("limit", limit)
    from vlmbench.tasks.captions.evaluate import CaptionEvalRequest

    scoring = _scoring(metrics=metrics, clip=clip, backend=backend, resamples=resamples, novel_to=novel_to,
        document_frequency=document_frequency, allow_missing=allow_missing, allow_empty=allow_empty)  # fmt: skip
    request = CaptionEvalRequest(
        references=options.references_of(references),
        candidates=options.candidates_of(candidates),
        scoring=scoring,
        split=split,
        images=dataset,
        limit=limit,
        columns=columns,
    )
    return TaskJob.of("caption-eval", request)


@writes_runs
def score_captioners(
    captioners: Names,
    dataset: str,
    *,
    metrics: str | Sequence[str] | None = None,
    clip: str | None = None,
    backend: Literal["native", "java"] = "native",
    resamples: int = 1000,
    document_frequency: References | None = None,
    novel_to: AnyPath | None = None,
    split: str | None = None,
    limit: int | None = None,
    prompt: str | None = None,
    num_beams: int = 1,
    max_new_tokens: int = 40,
    temperature: float = 0.0,
    shots: int = 0,
    anchors: str | None = None,
    concurrency: int = 8,
    timeout: float = 60.0,
    on_failure: OnFailure = "skip",
    **run: Unpack[RunOptions],
) -> TaskJob:
    """Captions a captioned set with models and scores the captions, with intervals: one run per captioner.

    The captions are also written as COCO results JSON under ``out``/captions. An image that one captioner fails on is
    left out for all.

    Args:
        captioners: as for `caption`.
        dataset: a captioned set.
        metrics: as for `score_captions`, like the next four.
        clip: the dual encoder of CLIPScore.
        backend: ``"native"``, or ``"java"``.
        resamples: bootstrap resamples, at least 100.
        document_frequency: references that CIDEr's document frequencies come from; None: those of `dataset`.
        novel_to: training captions; None: those of the training split of `anchors` or `dataset`, where there is one.
        split: one of its splits; None: test, else the only one.
        limit: N randomly sampled images; None: all.
        prompt: as for `caption`, like all below.
        num_beams: beam search width.
        max_new_tokens: maximum caption length, in the model's tokens.
        temperature: sampling temperature.
        shots: few-shot examples.
        anchors: the captioned set that examples and retrieved captions come from.
        concurrency: concurrent requests to an endpoint.
        timeout: seconds per request to an endpoint.
        on_failure: ``"skip"`` or ``"error"``.
        **run: see `RunOptions`.

    Raises:
        VlmbenchError: a captioner, an option, an image or ``out`` is invalid.
    """
    options.at_least("limit", limit)
    from vlmbench.tasks.captions.captioned import CaptionerEvalRequest, check_captioner_eval, run_captioner_eval

    scoring = _scoring(metrics=metrics, clip=clip, backend=backend, resamples=resamples, novel_to=novel_to,
        document_frequency=document_frequency)  # fmt: skip
    how = _captioning(prompt=prompt, num_beams=num_beams, max_new_tokens=max_new_tokens, temperature=temperature,
        shots=shots, anchors=anchors, concurrency=concurrency, timeout=timeout, on_failure=on_failure)  # fmt: skip
    request = CaptionerEvalRequest(_refs(captioners), dataset, split, limit, scoring, how)
    return TaskJob(partial(check_captioner_eval, request), partial(run_captioner_eval, request))


def captioner_kinds(captioners: Iterable[str]) -> "list[CaptionerKind]":
    """The kinds of the captioners that are not checkpoints; `UsageError` for an invalid name."""
    from vlmbench.captioners.names import kinds_of

    return kinds_of(captioners)


def _captioning(*, concurrency: int, timeout: float, anchors: str | None, on_failure: str, **more: Any) -> "Captioning":
    from vlmbench.captioners.base import Calls, Captioning, Decoding

    options.at_least("concurrency", concurrency)
    options.choice("on_failure", on_failure, ("skip", "error"))
    if not timeout > 0:
        raise UsageError(f"timeout is {timeout}", where="timeout", fix="give seconds, above 0")
    return Captioning(Decoding(**more), Calls(concurrency, timeout), anchors, on_failure)


def _scoring(
    *,
    metrics: str | Iterable[str] | None,
    document_frequency: References | None,
    novel_to: AnyPath | None,
    **more: Any,
) -> "Scoring":
    from vlmbench.tasks.captions.evaluate import metric_names
    from vlmbench.tasks.captions.scoring import Scoring

    options.at_least("resamples", more["resamples"], 100)
    documents = None if document_frequency is None else options.references_of(document_frequency)
    return Scoring(metric_names(metrics), documents=documents, novel_to=options.text(novel_to), **more)


def _refs(captioners: Names) -> "list[CaptionerRef]":
    from vlmbench.captioners.names import CaptionerRef

    return [CaptionerRef.parse(name) for name in options.names(captioners)]
