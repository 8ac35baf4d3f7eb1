"""Scores captions that are in memory: tokens, metrics, intervals, and a record for each system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from vlmbench.data.captions.read import Aligned, Candidates, References, align, reference_digest
from vlmbench.foundations.background import Arrays, Background
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.metrics.captions.corpus import Caption
from vlmbench.metrics.captions.diversity import profile
from vlmbench.metrics.captions.inputs import by_image
from vlmbench.metrics.captions.scoring import Scored, Tokenized, refusals, score_java, score_meteor, score_native
from vlmbench.metrics.captions.statistics import RESAMPLES, Statistics, intervals, resample, widened
from vlmbench.metrics.spec import caption_specs, needing
from vlmbench.records.result import DatasetFacts, Metric, ModelFacts, Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import Context, Stopwatch, package_versions
from vlmbench.tasks.captions.groups import Group, groups_of
from vlmbench.tasks.captions.pieces import (
    add_clip,
    add_spice,
    distinct,
    encodable,
    fingerprint,
    foreign_captions,
    frequency,
    known_tokens,
    nothing_left,
    tokenizer,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from vlmbench.tasks.captions.clip import ClipImages


def usual_metrics() -> tuple[str, ...]:
    """The metrics that are scored where nobody names any."""
    return tuple(spec.name for spec in caption_specs() if spec.usual)


@dataclass(frozen=True)
class Protocol:
    """How captions are scored."""

    metrics: tuple[str, ...] = field(default_factory=usual_metrics)
    backend: str = "native"
    resamples: int = RESAMPLES
    allow_missing: bool = False
    allow_empty: bool = False
    documents: References | None = None
    """References whose document frequencies CIDEr takes; none: those scored against."""
    limit: int | None = None
    """So many images were drawn, for the record; none: all."""


def score_captions(
    references: References | Mapping[str, Sequence[str]],
    systems: Sequence[Candidates] | Mapping[str, Mapping[str, str]],
    context: Context,
    *,
    protocol: Protocol | None = None,
    dataset: DatasetFacts | None = None,
    models: Mapping[str, ModelFacts] | None = None,
    extra: Mapping[str, Mapping[str, "JsonValue"]] | None = None,
    seen: "ClipImages | None" = None,
    training: Sequence[str] = (),
    watch: Stopwatch | None = None,
) -> list[StoredRun]:
    """Scores systems against references and writes a run for each; where the references have groups, also one for each
    of them.

    Args:
        references: references, or ``{image: [caption, …]}``.
        systems: candidates of each system, or ``{system: {image: caption}}``.
        context: where to write, seed, reporter.
        protocol: how to score; none: the defaults.
        dataset: what the references are; none: from the file's name and the captions' hash.
        models: for a system that is a model, what it is.
        extra: for a system more of what decides its captions (decoding settings), for the record's protocol.
        seen: the images, for CLIPScore and RefCLIPScore.
        training: captions the systems may have learnt from, for the share of novel ones.
        watch: a stopwatch that already runs.

    Raises:
        InputError, AbsentError, OutputError: see `run_caption_eval`.
    """
    protocol, watch = protocol or Protocol(), watch or Stopwatch()
    if not isinstance(references, References):
        references = References(
            "captions", "", {key: list(found) for key, found in references.items()}, "the references given"
        )
    if isinstance(systems, Mapping):
        systems = [Candidates(name, "", dict(found), f"the captions of {name}") for name, found in systems.items()]
    distinct([system.name for system in systems])
    aligned = align(references, systems, allow_missing=protocol.allow_missing, allow_empty=protocol.allow_empty)
    if seen is None and needing("images") & set(protocol.metrics):
        raise UsageError("CLIPScore needs the images", where="--metrics", fix="name the set they are in: -d DATASET")
    job = _Scoring(references, systems, aligned, protocol, context, seen, training)
    job.score()
    facts = dataset or DatasetFacts(id=references.name, fingerprint=fingerprint(aligned), split=references.split)
    runs = job.write(facts, models or {}, extra or {}, watch)
    for group in groups_of(aligned, job.text, job.scored, references.groups, job.metrics):
        part = job.cut(group)
        runs += part.write(group.facts(facts, references.groups), models or {}, extra or {}, watch)
    return runs


@dataclass
class _Scoring:
    """One call: what was read, and what comes of it."""

    references: References
    systems: Sequence[Candidates]
    aligned: Aligned
    protocol: Protocol
    context: Context
    seen: "ClipImages | None" = None
    training: Sequence[str] = ()
    metrics: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    sanitised: list[int] = field(default_factory=list)
    """Captions that had to be made safe: the references', then each system's."""
    lines: list[list[str]] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    values: list[dict[str, Metric]] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)
    """Why the captions of a system, or the references (under an empty name), are taken not to be English."""
    group: str | None = None

    def cut(self, group: Group) -> "_Scoring":
        """The same for a group of the images, scored."""
        part = replace(
            self,
            systems=[self.systems[index] for index in group.systems],
            aligned=group.aligned,
            group=group.name,
            scored=group.scored,
            left_out={**self.left_out, **group.left_out},
            metrics=tuple(name for name in self.metrics if name not in group.left_out),
            values=[],
            sanitised=[],
        )
        part.text, part._known = group.text, self._known
        part.resample()
        return part

    def score(self) -> None:
        """Tokenizes, scores, resamples; METEOR runs beside the rest, on a second core."""
        documents = self.protocol.documents
        self.left_out = refusals(self.protocol.metrics, len(documents.captions if documents else self.aligned.ids))
        self.lines = self._safe()
        if set(self.protocol.metrics) - needing("images"):
            names = ["", *(candidates.name for candidates in self.systems)]
            self.foreign = foreign_captions(names, self.lines, self.context.reporter)
        java = self.protocol.backend == "java"
        asked = set(self.protocol.metrics)
        meteor = bool(needing("index") & asked) and not java and self._meteor_data()
        with Background(self._meteor, allowed=meteor) as beside:
            others = {*self.left_out, *needing("java", "images", *(() if java else ("index",)))}
            rest = [name for name in self.protocol.metrics if name not in others]
            self.scored = (score_java if java else score_native)(self.text, rest)
            if meteor:
                self._take(beside)
        if self.seen is not None:
            add_clip(self.scored, self.aligned, self.seen, needing("images") & asked)
        if needing("java") & asked:
            self.left_out |= add_spice(self.scored, self.text, self.context.cache_dir, self.protocol.metrics)
        self.metrics = tuple(name for name in self.protocol.metrics if name not in self.left_out)
        for name, why in self.left_out.items():
            self.context.reporter.warn(f"{name} is left out: {why}")
        if not self.metrics:
            raise nothing_left(self.left_out)
        for candidates, captions in zip(self.systems, self.text.candidates, strict=True):
            count = sum(not tokens for tokens in captions)
            if count:
                self.context.reporter.warn(f"{count:,} captions of {candidates.name} hold no word and score 0")
        self.resample()

    def _safe(self) -> list[list[str]]:
        """Captions fit for any line protocol: those of references and documents, then each system's."""
        from vlmbench.metrics.captions.sanitize import sanitize_all

        documents = self.protocol.documents
        per_image = chain(self.aligned.references, documents.captions.values() if documents else ())
        groups: list[list[str]] = []
        for captions in (list(chain.from_iterable(per_image)), *self.aligned.candidates):
            safe, touched = sanitize_all(captions)
            groups.append(safe)
            self.sanitised.append(touched)
        if sum(self.sanitised):
            self.context.reporter.note(
                f"{sum(self.sanitised):,} captions held line ends, control characters, halves of characters or '|||', "
                "which became spaces or bars apart"
            )
        return groups

    @cached_property
    def text(self) -> Tokenized:
        """The tokens of everything; made in each process that needs them, which is cheaper than handing them over."""
        tokens = iter(tokenizer(self.protocol.backend)(list(chain.from_iterable(self.lines))))
        documents = self.protocol.documents
        per_image = [*self.aligned.references, *(documents.captions.values() if documents else ())]
        native = self.protocol.backend == "native"
        found = by_image(self.lines[0], tokens, map(len, per_image), native=native)
        candidates: list[list[Caption]] = [[next(tokens) for _ in captions] for captions in self.aligned.candidates]
        images = [np.asarray(kept, dtype=np.int64) for kept in self.aligned.images]
        size = len(self.aligned.references)
        return Tokenized(found[:size], candidates, images, found[size:] if documents else None)

    def _meteor_data(self) -> bool:
        """Whether METEOR's index is there; built where it never was, and the metric left out where it can't be."""
        place = self.context.cache_dir / "meteor"
        if any(place.glob("en-*/manifest.json")) and any(place.glob("kernel-*.bin")):
            return True  # of this version, most likely; if not, the second process builds it
        from vlmbench.metrics.captions.meteor.score import load_index

        try:
            load_index(self.context.cache_dir, progress=self.context.reporter.task)
        except AbsentError as error:
            self._leave_out_meteor(error)
            return False
        return True

    def _meteor(self) -> Arrays:
        from vlmbench.metrics.captions.meteor.score import load_index

        return score_meteor(self.text, load_index(self.context.cache_dir, progress=self.context.reporter.task))

    def _take(self, beside: Background) -> None:
        from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS, SPEC

        try:
            arrays = beside.result()
        except AbsentError as error:
            self._leave_out_meteor(error)
            return
        for system, scored in enumerate(self.scored):
            scored.columns[METEOR_STATISTICS], scored.columns[SPEC.name] = arrays[2 * system], arrays[2 * system + 1]

    def _leave_out_meteor(self, error: AbsentError) -> None:
        if needing("index") >= set(self.protocol.metrics):
            raise error
        self.left_out |= dict.fromkeys(needing("index"), f"{error.what} (fix: {error.fix})")

    def resample(self) -> None:
        """Figures and intervals from the scores."""
        statistics = [Statistics.of(item.columns, self.metrics) for item in self.scored]
        same = all(kept == self.aligned.images[0] for kept in self.aligned.images)
        draw = partial(resample, seed=self.context.seed, resamples=self.protocol.resamples, swaps=False)
        together = draw(statistics) if same else None
        for system, item in enumerate(statistics):
            ends = intervals(together, system) if together else intervals(draw([item]), 0)
            values = {**item.corpus(), **self.scored[system].corpus}
            self.values.append({name: widened(values[name], ends.get(name)) for name in self.metrics})

    def write(
        self,
        dataset: DatasetFacts,
        models: Mapping[str, ModelFacts],
        extra: Mapping[str, Mapping[str, Any]],
        watch: Stopwatch,
    ) -> list[StoredRun]:
        """A record, a per-sample file and a ``run.json`` for each system."""
        versions = package_versions("numpy", "pycocoevalcap")
        runs = []
        for system, candidates in enumerate(self.systems):
            kept = self.aligned.images[system]
            record = Record(
                task="caption-eval",
                system=candidates.name,
                model=models.get(candidates.name),
                dataset=dataset,
                n=len(kept),
                seed=self.context.seed,
                protocol={**self._protocol(system), **extra.get(candidates.name, {})},
                metrics=self.values[system],
                detail=self._detail(system),
                versions=versions,
            )
            runs.append(write_run(self.context.out, record, self._samples(system), watch.facts({"cores": cores()})))
        return runs

    def _protocol(self, system: int) -> dict[str, "JsonValue"]:
        counts = [len(captions) for captions in self.aligned.references]
        fewest, most = min(counts), max(counts)
        ids, captions = [self.aligned.ids[k] for k in self.aligned.images[system]], self.aligned.candidates[system]
        return {
            "tokenizer": "ptb-3.4.1",
            "backend": self.protocol.backend,
            "references": str(most) if fewest == most else f"{fewest}-{most}",
            "df": frequency(self.protocol.documents, len(counts)),
            "resamples": self.protocol.resamples,
            "metrics": ",".join(self.metrics),
            **({"limit": self.protocol.limit} if self.protocol.limit is not None else {}),
            **({"group": self.group} if self.group is not None else {}),
            **({"clip": self.seen.protocol} if self.seen is not None and needing("images") & set(self.metrics) else {}),
            "captions": digest([ids, captions])[:16],
        }

    @cached_property
    def _known(self) -> list[Caption] | None:
        """The training captions' tokens, if there are any."""
        return known_tokens(self.training, self.protocol.backend) if self.training else None

    @cached_property
    def _reference_set(self) -> str:
        """Digest of all references, also of images that a system has no caption of: CIDEr weighs words by them."""
        return reference_digest(dict(zip(self.aligned.ids, map(encodable, self.aligned.references), strict=True)))

    def _detail(self, system: int) -> dict[str, Any]:
        detail: dict[str, Any] = {"text": profile(self.text.candidates[system], self._known)}
        detail |= {"novel_to": f"{len(self.training)}@{digest(list(self.training))[:8]}"} if self.training else {}
        detail["references_sha256"] = self._reference_set
        if foreign := [self.foreign[key] for key in ("", self.systems[system].name) if key in self.foreign]:
            detail["not_english"] = foreign[0]
        if self.left_out:
            detail["left_out"] = dict(self.left_out)
        counts = {
            "missing": self.aligned.missing[system],
            "unknown": self.aligned.unknown[system],
            "sanitised_references": self.sanitised[0] if self.sanitised else 0,
            "sanitised": self.sanitised[1 + system] if self.sanitised else 0,
            "without_words": sum(not tokens for tokens in self.text.candidates[system]),
        }
        detail.update({name: count for name, count in counts.items() if count})
        return detail

    def _samples(self, system: int) -> dict[str, Any]:
        kept, columns = self.aligned.images[system], self.scored[system].columns
        samples: dict[str, Any] = {
            "id": [self.aligned.ids[index] for index in kept],
            "candidate": encodable(self.aligned.candidates[system]),
            "references": [encodable(self.aligned.references[index]) for index in kept],
        }
        first, known = [name for name in self.metrics if name in columns], {spec.name for spec in caption_specs()}
        for name in [*first, *(name for name in columns if name not in known)]:
            samples[name] = columns[name]
        return samples
