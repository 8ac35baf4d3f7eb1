"""``caption-eval --captioner``: models caption a captioned set, and their captions are scored."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vlmbench.captioners.base import Captioning
from vlmbench.captioners.names import CaptionerRef
from vlmbench.data.base import TRAIN
from vlmbench.data.captions.read import Candidates, References
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible
from vlmbench.metrics.spec import needing
from vlmbench.records.store import StoredRun
from vlmbench.session.context import Context, Stopwatch
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass
from vlmbench.tasks.captions.captioners import dual_encoder
from vlmbench.tasks.captions.captioning import Captions, open_captioning, write_coco_results
from vlmbench.tasks.captions.clip import DEFAULT_CLIP, ClipImages
from vlmbench.tasks.captions.dataset import caption_dataset
from vlmbench.tasks.captions.evaluate import open_references, score_captions, training_captions
from vlmbench.tasks.captions.meteor import meteor_ahead
from vlmbench.tasks.captions.scoring import Inputs, Scoring, System


@dataclass(frozen=True)
class CaptionerEvalRequest:
    """``vlmbench caption-eval --captioner``."""

    captioners: Sequence[CaptionerRef]
    dataset: str
    split: str | None = None
    """None: test, else what there is."""
    limit: int | None = None
    """N randomly sampled images; None: all."""
    scoring: Scoring = field(default_factory=Scoring)
    """Without `novel_to` a caption is novel if the training split of the anchors or of the set does not have it."""
    how: Captioning = field(default_factory=Captioning)


def run_captioner_eval(
    request: CaptionerEvalRequest, context: Context, session: Session | None = None
) -> list[StoredRun]:
    """Captions a captioned set with each captioner, and writes and scores the captions.

    An image that one model fails on is left out for all, so that all are scored on the same images; its
    references still count in CIDEr's document frequencies, which are thus the same for every call.

    Raises:
        InputError: the set has no captions, or no image has a caption from every model.
    """
    session = session or Session(context)
    require_writable(context.out)
    dataset, how = request.dataset, request.how
    scoring = replace(request.scoring, allow_empty=True, allow_missing=True)
    documents = None if scoring.documents is None else open_references(scoring.documents, context)
    meteor = scoring.backend == "native" and bool(needing("index") & set(scoring.metrics))
    with meteor_ahead(context, wanted=meteor):
        made = [caption_dataset(session, ref, dataset, request.split, request.limit, how) for ref in request.captioners]
    first = made[0]
    if not any(first.references.values()):
        raise _without_references(dataset)
    for captions in made:
        write_coco_results(context.out, captions)
    common = [id for id in first.ids if all(id not in captions.failed for captions in made)]
    if not common:
        raise InputError("no image has a caption from every captioner", where=dataset, fix="score them separately")
    skipped = tuple(dict.fromkeys(id for captions in made for id in captions.failed))
    inputs = Inputs(
        references=References(dataset, "", first.references, dataset, groups=first.groups),
        systems=[_system(name, captions, common) for name, captions in zip(_distinct(made), made, strict=True)],
        documents=documents,
        training=training_captions(scoring.novel_to, context) or _training(session, request, first.dataset.split),
        images=ClipImages(session, scoring.clip or DEFAULT_CLIP, dataset, common, request.split),
        dataset=first.dataset.model_copy(update={"skipped": skipped}),
    )
    return score_captions(inputs, scoring, context, Stopwatch())


def check_captioner_eval(request: CaptionerEvalRequest, session: Session) -> list[Pass]:
    """Checks captioners, dataset and options before any image is captioned.

    Raises:
        VlmbenchError: as in `run_captioner_eval`.
    """
    scoring = request.scoring
    training_captions(scoring.novel_to, session.context)
    if scoring.documents is not None:
        open_references(scoring.documents, session.context)
    for ref in request.captioners:
        _, split = open_captioning(session, ref, request.dataset, request.split, request.limit, request.how)
        if not any(split.captions):
            raise _without_references(request.dataset)
    if needing("images") & set(scoring.metrics):
        dual_encoder(session, scoring.clip or DEFAULT_CLIP)
    return []


def _without_references(dataset: str) -> InputError:
    return InputError(
        f"{visible(dataset)} has no reference captions",
        where=dataset,
        fix="name a captioned set, or write captions with vlmbench caption",
    )


def _system(name: str, captions: Captions, images: Sequence[str]) -> System:
    """A captioner's captions for these images; its decoding does not repeat the run's seed."""
    by_image = captions.by_image()
    candidates = Candidates(name, "", {id: by_image[id] for id in images}, f"the captions of {name}")
    decoding = {key: value for key, value in captions.decoding.items() if value is not None and key != "seed"}
    return System(candidates, captions.model, decoding)


def _training(session: Session, request: CaptionerEvalRequest, captioned: str) -> list[str]:
    """Captions of the training split of the anchors or the set itself, unless it is the one being captioned."""
    anchors = request.how.anchors or request.dataset
    itself = DatasetRef.parse(anchors).id == DatasetRef.parse(request.dataset).id
    opened = session.dataset(anchors)
    if TRAIN not in opened.info.splits or (itself and captioned == TRAIN):
        return []
    return [caption for captions in opened.split(TRAIN).captions for caption in captions]


def _distinct(made: Sequence[Captions]) -> list[str]:
    """A unique name for each: its system's; if two are equal, what the user called it, else with ``(2)``."""
    systems, counts, names = [captions.system for captions in made], Counter[str](), []
    for captions in made:
        name = captions.system if systems.count(captions.system) == 1 else captions.model.id
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return names
