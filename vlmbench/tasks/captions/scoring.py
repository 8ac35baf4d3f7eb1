"""The steps from captions to figures, each computed from the previous one; `evaluate.score_captions` runs them.

`Inputs` (read) → `Aligned` → `Safe` → `Tokenized` → `ScoredSet`, also of each group → `Metric`s → `StoredRun`s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlmbench.data.captions.read import Aligned, Candidates, References
from vlmbench.foundations.errors import AbsentError, InputError, UsageError, VlmbenchError
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.corpus import Caption
from vlmbench.metrics.captions.inputs import by_image
from vlmbench.metrics.captions.language import not_english
from vlmbench.metrics.captions.sanitize import sanitize_all, what_changed
from vlmbench.metrics.captions.scoring import Scored, Tokenized, refusals, score_java, score_native
from vlmbench.metrics.captions.statistics import RESAMPLES, Statistics, intervals, resample, widened
from vlmbench.metrics.spec import caption_specs, needing
from vlmbench.records.result import DatasetFacts, Metric, ModelFacts
from vlmbench.session.context import Context
from vlmbench.tasks.captions.meteor import meteor_beside

if TYPE_CHECKING:
    from vlmbench.tasks.captions.clip import ClipImages


BACKENDS = ("native", "java")


def usual_metrics() -> tuple[str, ...]:
    """The metrics that are scored by default."""
    return tuple(spec.name for spec in caption_specs() if spec.usual)


@dataclass(frozen=True)
class Scoring:
    """How captions are scored."""

    metrics: tuple[str, ...] = field(default_factory=usual_metrics)
    backend: str = "native"
    resamples: int = RESAMPLES
    allow_missing: bool = False
    allow_empty: bool = False
    documents: str | References | None = None
    """References that CIDEr's document frequencies come from; None: those scored against."""
    novel_to: str | None = None
    """Training captions (a file or a captioned set), for the share of novel captions."""
    clip: str | None = None
    """The dual encoder of CLIPScore; None: the paper's."""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            fix = f"choose from {', '.join(BACKENDS)}"
            raise UsageError(f"no such backend: {visible(self.backend)}", where="--backend", fix=fix)


@dataclass(frozen=True)
class System:
    """One system's captions; for a model, also its facts and what else decides its captions."""

    candidates: Candidates
    model: ModelFacts | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """The captions to score, as read."""

    references: References
    systems: Sequence[System]
    documents: References | None = None
    training: Sequence[str] = ()
    images: "ClipImages | None" = None
    dataset: DatasetFacts | None = None
    """The references' part of the record; None: from the file's name and the captions' hash."""
    limit: int | None = None
    """N images were sampled, for the record; None: all."""


@dataclass(frozen=True)
class Safe:
    """Captions made safe for line protocols.

    Attributes:
        aligned: the original captions.
        documents: the references that CIDEr's document frequencies come from; None: those scored against.
        backend: the backend whose tokenizer is used.
        lines: the captions of references and documents, then those of each system.
        changed: how many of each had to be changed.
    """

    aligned: Aligned
    documents: References | None
    backend: str
    lines: tuple[list[str], ...]
    changed: tuple[int, ...]

    @cached_property
    def text(self) -> Tokenized:
        """Their tokens, computed in each process that needs them, which is cheaper than sending them."""
        aligned, documents = self.aligned, self.documents
        tokens = iter(tokenizer(self.backend)(list(chain.from_iterable(self.lines))))
        per_image = [*aligned.references, *(documents.captions.values() if documents else ())]
        found = by_image(self.lines[0], tokens, map(len, per_image), native=self.backend == "native")
        candidates: list[list[Caption]] = [[next(tokens) for _ in captions] for captions in aligned.candidates]
        images = [np.asarray(rows, dtype=np.int64) for rows in aligned.images]
        size = len(aligned.references)
        return Tokenized(found[:size], candidates, images, found[size:] if documents else None)


def made_safe(aligned: Aligned, documents: References | None, backend: str, reporter: Reporter) -> Safe:
    """Captions without line breaks, control characters and anything else that would break a line protocol."""
    per_image = [*aligned.references, *(documents.captions.values() if documents else ())]
    found = [sanitize_all(lines) for lines in (list(chain.from_iterable(per_image)), *aligned.candidates)]
    changed = tuple(count for _, count in found)
    if sum(changed):
        found_in = what_changed(chain(*per_image, *aligned.candidates))
        reporter.note(f"captions cleaned before scoring, which does not change their words: {found_in}")
    return Safe(aligned, documents, backend, tuple(lines for lines, _ in found), changed)


@dataclass(frozen=True)
class ScoredSet:
    """Systems' scores on a set of images.

    Attributes:
        aligned: the images and captions.
        text: their tokens.
        systems: the systems.
        scores: the scores of each system.
        metrics: the metrics that were scored.
        left_out: the metrics that were not, with the reason.
        foreign: why the captions of a system, or the references (under an empty name), do not look English.
        changed: number of captions that had to be made safe: the references', then each system's; empty: not counted.
        group: the references' name for this group of images; None: all of them.
    """

    aligned: Aligned
    text: Tokenized
    systems: tuple[System, ...]
    scores: tuple[Scored, ...]
    metrics: tuple[str, ...]
    left_out: Mapping[str, str]
    foreign: Mapping[str, str]
    changed: tuple[int, ...] = ()
    group: str | None = None


def scored(safe: Safe, inputs: Inputs, scoring: Scoring, context: Context) -> ScoredSet:
    """Scores of every system, METEOR's on a second core in parallel.

    Raises:
        AbsentError, InputError: nothing is left to score.
    """
    metrics, java, reporter = scoring.metrics, scoring.backend == "java", context.reporter
    left_out = refusals(metrics, len(inputs.documents.captions if inputs.documents else safe.aligned.ids))
    with meteor_beside(lambda: safe.text, () if java else metrics, context) as add_meteor:
        names = ["", *(system.candidates.name for system in inputs.systems)]
        foreign = foreign_captions(names, safe.lines, reporter) if set(metrics) - needing("images") else {}
        others = {*left_out, *needing("java", "images", *(() if java else ("index",)))}
        rest = [name for name in metrics if name not in others]
        scores = (score_java if java else score_native)(safe.text, rest)
        left_out |= add_meteor(scores)
    if inputs.images is not None:
        inputs.images.add_to(scores, safe.aligned, needing("images") & set(metrics))
    if needing("java") & set(metrics):
        left_out |= add_spice(scores, safe.text, context.cache_dir, metrics)
    for name, why in left_out.items():
        reporter.warn(f"{name} is left out: {why}")
    metrics = tuple(name for name in metrics if name not in left_out)
    if not metrics:
        raise nothing_left(left_out)
    for system, captions in zip(inputs.systems, safe.text.candidates, strict=True):
        count = sum(not tokens for tokens in captions)
        if count:
            reporter.warn(f"{count:,} captions of {system.candidates.name} contain no words and score 0")
    systems = tuple(inputs.systems)
    return ScoredSet(safe.aligned, safe.text, systems, tuple(scores), metrics, left_out, foreign, safe.changed)


def groups_of(whole: ScoredSet, groups: Mapping[str, str]) -> list[ScoredSet]:
    """Each group of the images (nocaps' domains), sorted by name; none if all images are in one.

    A group is scored like ``pycocoevalcap`` scores a file with only its images: CIDEr's document frequencies come from
    the group's own references. All other scores are reused from all images.

    Args:
        whole: all images.
        groups: the group of each image that has one.
    """
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(whole.aligned.ids):
        if image in groups:
            rows.setdefault(groups[image], []).append(row)
    found = [_group(whole, name, rows[name]) for name in sorted(rows)] if len(rows) > 1 else []
    return [group for group in found if group.systems and group.metrics]


def _group(whole: ScoredSet, name: str, rows: list[int]) -> ScoredSet:
    aligned, text, inside = whole.aligned, whole.text, set(rows)
    places = [[k for k, image in enumerate(images) if image in inside] for images in aligned.images]
    systems = tuple(index for index, part in enumerate(places) if part)
    cut = aligned.only(rows, systems)
    tokens = Tokenized(
        [text.references[row] for row in rows],
        [[text.candidates[index][k] for k in places[index]] for index in systems],
        [np.asarray(images, dtype=np.int64) for images in cut.images],
        text.documents,
    )
    left_out = refusals(whole.metrics, len(rows if text.documents is None else text.documents))
    metrics = tuple(name for name in whole.metrics if name not in left_out)
    again = [name for name in metrics if name in needing("documents") and text.documents is None]
    own = score_native(tokens, again) if again else [Scored() for _ in systems]
    scores = tuple(
        Scored({**{key: column[places[index]] for key, column in whole.scores[index].columns.items()}, **item.columns})
        for index, item in zip(systems, own, strict=True)
    )
    chosen = tuple(whole.systems[index] for index in systems)
    left_out = {**whole.left_out, **left_out}
    return ScoredSet(cut, tokens, chosen, scores, metrics, left_out, whole.foreign, group=name)


def resampled(part: ScoredSet, seed: int, resamples: int) -> list[dict[str, Metric]]:
    """Each system's figures with their 95 % intervals; systems that captioned the same images share their resamples."""
    statistics = [Statistics.of(item.columns, part.metrics) for item in part.scores]
    same = all(rows == part.aligned.images[0] for rows in part.aligned.images)
    draw = partial(resample, seed=seed, resamples=resamples, swaps=False)
    together = draw(statistics) if same else None
    found = []
    for system, (item, scores) in enumerate(zip(statistics, part.scores, strict=True)):
        ends = intervals(together, system) if together else intervals(draw([item]), 0)
        values = {**item.corpus(), **scores.corpus}
        found.append({name: widened(values[name], ends.get(name)) for name in part.metrics})
    return found


def tokenizer(backend: str) -> Callable[[Sequence[str]], Sequence[Caption]]:
    """The tokenizer of a backend: captions to their tokens."""
    if backend == "java":
        from vlmbench.metrics.captions import java

        return java.tokenize
    from vlmbench.metrics.captions.ptb.tokenizer import tokenize

    return tokenize


def foreign_captions(names: Sequence[str], lines: Sequence[Sequence[str]], reporter: Reporter) -> dict[str, str]:
    """The systems whose captions do not look English, with the reason; also a warning.

    Args:
        names: the systems' names, an empty one for the references.
        lines: the captions of each.
        reporter: receives the warning.
    """
    reasons = {name: not_english(captions) for name, captions in zip(names, lines, strict=True)}
    found = {name: why for name, why in reasons.items() if why is not None}
    if found:
        whose = "; ".join(f"{visible(name) or 'the references'}: {why}" for name, why in found.items())
        reporter.warn(
            f"captions that do not look English ({whose}): the tokenizer and METEOR are made for English, "
            "and scores of other languages are misleading"
        )
    return found


def add_spice(scores: Sequence[Scored], text: Tokenized, cache_dir: Path, metrics: Sequence[str]) -> dict[str, str]:
    """Adds SPICE to the columns of every system; if it cannot run, nothing is added and the reason is returned.

    Raises:
        AbsentError: it cannot run, and no other metric is among `metrics`.
        JavaError: its program failed.
    """
    from vlmbench.metrics.captions.spice import SPEC, spice_scores

    lines = [[" ".join(tokens) for tokens in captions] for captions in text.references]
    found = []
    try:
        for captions, images in zip(text.candidates, text.images, strict=True):
            chosen = [lines[image] for image in images.tolist()]
            found.append(spice_scores([" ".join(tokens) for tokens in captions], chosen, cache_dir))
    except AbsentError as error:
        if needing("java") >= set(metrics):
            raise
        return dict.fromkeys(needing("java"), f"{error.what} (fix: {error.fix})")
    for item, values in zip(scores, found, strict=True):
        item.columns[SPEC.name] = values
    return {}


def nothing_left(left_out: Mapping[str, str]) -> VlmbenchError:
    """The error if no metric is left: something is absent, unless there were too few images."""
    reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    kind = InputError if needing("documents") & set(left_out) else AbsentError
    return kind(f"nothing is left to score: {reasons}", where="--metrics", fix="choose other metrics")


def distinct(names: Sequence[str | None]) -> None:
    """Refuses two systems with the same name.

    Raises:
        UsageError: a name occurs twice.
    """
    given = [name for name in names if name is not None]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise UsageError(
            f"two systems are called {visible(twice[0])}", where="-p", fix="name them: -p first=FILE -p second=FILE"
        )
