"""The records of scored captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from vlmbench.data.captions.read import Aligned, reference_digest
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import encodable
from vlmbench.foundations.versions import package_versions
from vlmbench.metrics.captions.corpus import Caption
from vlmbench.metrics.captions.diversity import profile
from vlmbench.metrics.captions.sanitize import sanitize_all
from vlmbench.metrics.spec import caption_specs, needing
from vlmbench.records.captions import SPEC, CaptionDetail, CaptionProtocol
from vlmbench.records.result import DatasetFacts, Metric, Record
from vlmbench.records.store import StoredRun, write_run
from vlmbench.session.context import Context, Stopwatch
from vlmbench.tasks.captions.scoring import Inputs, ScoredSet, Scoring, tokenizer


@dataclass(frozen=True)
class About:
    """What all records of a command share.

    Attributes:
        inputs: the captions that were read.
        scoring: how they are scored.
        dataset: the references' part of a record.
        known: the tokens of the training captions; None: there are none.
    """

    inputs: Inputs
    scoring: Scoring
    dataset: DatasetFacts
    known: list[Caption] | None

    @classmethod
    def of(cls, inputs: Inputs, aligned: Aligned, scoring: Scoring) -> Self:
        """The same, from the inputs."""
        references = inputs.references
        dataset = inputs.dataset or DatasetFacts(
            id=references.name, fingerprint=digest([aligned.ids, aligned.references]), split=references.split
        )
        known = None
        if inputs.training:
            known = list(tokenizer(scoring.backend)(sanitize_all(list(inputs.training))[0]))
        return cls(inputs, scoring, dataset, known)

    def dataset_of(self, group: str | None) -> DatasetFacts:
        """The dataset, or a group of it as a dataset of its own, named after both."""
        whole, groups = self.dataset, self.inputs.references.groups
        if group is None:
            return whole
        return whole.model_copy(
            update={
                "id": f"{whole.id} {group}",
                "fingerprint": digest([whole.fingerprint, "group", group]),
                "skipped": tuple(image for image in whole.skipped if groups.get(image, group) == group),
            }
        )


def written(
    part: ScoredSet, figures: Sequence[dict[str, Metric]], about: About, context: Context, watch: Stopwatch
) -> list[StoredRun]:
    """A record, a per-sample file and a ``run.json`` for each system."""
    dataset, versions = about.dataset_of(part.group), package_versions("numpy", "pycocoevalcap")
    references = dict(zip(part.aligned.ids, map(encodable, part.aligned.references), strict=True))
    reference_set = reference_digest(references)  # of all: document frequencies include images without a caption
    runs = []
    for index, system in enumerate(part.systems):
        record = Record(
            task=SPEC.name,
            system=system.candidates.name,
            model=system.model,
            dataset=dataset,
            n=len(part.aligned.images[index]),
            seed=context.seed,
            protocol=CaptionProtocol(**{**_protocol(part, index, about), **system.decoding}),
            metrics=figures[index],
            detail=CaptionDetail(**_detail(part, index, about, reference_set)),
            versions=versions,
        )
        runs.append(write_run(context.out, record, _samples(part, index), watch.facts({"cores": cores()})))
    return runs


def _protocol(part: ScoredSet, index: int, about: About) -> dict[str, Any]:
    aligned, inputs = part.aligned, about.inputs
    counts = [len(captions) for captions in aligned.references]
    fewest, most = min(counts), max(counts)
    documents, images = inputs.documents, inputs.images
    df = f"references[{len(counts)}]"
    if documents is not None:
        df = f"{documents.name}[{len(documents.captions)}]@{documents.fingerprint[:8]}"
    ids, captions = [aligned.ids[row] for row in aligned.images[index]], aligned.candidates[index]
    return {
        "tokenizer": "ptb-3.4.1",
        "backend": about.scoring.backend,
        "references": str(most) if fewest == most else f"{fewest}-{most}",
        "df": df,
        "resamples": about.scoring.resamples,
        "metrics": ",".join(part.metrics),
        **({"limit": inputs.limit} if inputs.limit is not None else {}),
        **({"group": part.group} if part.group is not None else {}),
        **({"clip": images.protocol} if images is not None and needing("images") & set(part.metrics) else {}),
        "captions": digest([ids, captions])[:16],
    }


def _detail(part: ScoredSet, index: int, about: About, reference_set: str) -> dict[str, Any]:
    training, name = about.inputs.training, part.systems[index].candidates.name
    detail: dict[str, Any] = {"text": profile(part.text.candidates[index], about.known)}
    detail |= {"novel_to": f"{len(training)}@{digest(list(training))[:8]}"} if training else {}
    detail["references_sha256"] = reference_set
    if foreign := [part.foreign[key] for key in ("", name) if key in part.foreign]:
        detail["not_english"] = foreign[0]
    if part.left_out:
        detail["left_out"] = dict(part.left_out)
    counts = {
        "missing": part.aligned.missing[index],
        "unknown": part.aligned.unknown[index],
        "sanitised_references": part.changed[0] if part.changed else 0,
        "sanitised": part.changed[1 + index] if part.changed else 0,
        "without_words": sum(not tokens for tokens in part.text.candidates[index]),
    }
    return detail | {name: count for name, count in counts.items() if count}


def _samples(part: ScoredSet, index: int) -> dict[str, Any]:
    rows, columns = part.aligned.images[index], part.scores[index].columns
    first, known = [name for name in part.metrics if name in columns], {spec.name for spec in caption_specs()}
    return {
        "id": [part.aligned.ids[row] for row in rows],
        "candidate": encodable(part.aligned.candidates[index]),
        "references": [encodable(part.aligned.references[row]) for row in rows],
        **{name: columns[name] for name in [*first, *(name for name in columns if name not in known)]},
    }
