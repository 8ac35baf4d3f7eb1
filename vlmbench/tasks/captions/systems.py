"""Captioning commands: captions of files or of a data set written down, and captioners scored on a captioned set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlmbench import __version__
from vlmbench.captioners.base import Decoding
from vlmbench.data.base import TRAIN, Split
from vlmbench.data.images import is_image
from vlmbench.data.local.folder import Files
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.atomic import require_writable, write_json
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import named_file, slug
from vlmbench.foundations.text import visible
from vlmbench.metrics.spec import needing
from vlmbench.records.signature import format_fields
from vlmbench.records.store import natural
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.base import Pass
from vlmbench.tasks.captions.captioners import dual_encoder, open_captioner
from vlmbench.tasks.captions.captioning import Captions, caption_dataset, caption_images, open_captioning

if TYPE_CHECKING:
    from vlmbench.records.store import StoredRun
    from vlmbench.tasks.captions.scoring import Protocol

FILES = "files"


def caption_files(
    session: Session,
    model: str,
    paths: Sequence[Path],
    *,
    anchors: str | None = None,
    on_failure: str = "skip",
    concurrency: int = 8,
    timeout: float = 60.0,
    **decoding: Any,
) -> Captions:
    """Captions image files, and every image below the directories among them; see `caption_dataset` for the options.

    Raises:
        AbsentError: a path does not exist.
        InputError: a directory holds no image.
    """
    names = [str(file) for path in paths for file in _images(path)]
    names = list(dict.fromkeys(names))
    split = Split(FILES, tuple(names), np.zeros(len(names), np.int64), Files(Path(), tuple(names)))
    options = Decoding(**{"seed": session.context.seed, **decoding})
    captioner = open_captioner(session, model, options, anchors=anchors, concurrency=concurrency, timeout=timeout)
    return caption_images(session.context, captioner, split, FILES, on_failure=on_failure)


def run_caption(
    context: Context, models: Sequence[str], paths: Sequence[Path], dataset: str | None, **options: Any
) -> list[tuple[Captions, Path]]:
    """``vlmbench caption``: captions by each model of files or of a data set, written as COCO results JSON.

    Raises:
        UsageError: files and a data set, or neither.
        OutputError: the captions cannot be written.
    """
    if bool(paths) == (dataset is not None):
        raise UsageError(
            "give image files, or a data set with -d", where="IMAGES", fix="vlmbench caption -m MODEL cat.jpg"
        )
    require_writable(context.out)
    session = Session(context)
    done = []
    for model in models:
        if dataset is not None:
            captions = caption_dataset(session, model, dataset, **options)
        else:
            captions = caption_files(session, model, paths, **options)
        done.append((captions, write_coco_results(context.out, captions)))
    return done


def score_captioners(
    session: Session | Context,
    models: Sequence[str],
    dataset: str,
    *,
    protocol: "Protocol | None" = None,
    clip: str | None = None,
    training: str | None = None,
    documents: str | None = None,
    **options: Any,
) -> "list[StoredRun]":
    """``vlmbench caption-eval --captioner``: captions by each model of a captioned set, written down and scored.

    An image that one of the models fails on is left out for all, so that all are scored on the same images; its
    references still count in CIDEr's document frequencies, which are thus the same for every call.

    Args:
        session: the session, or the common options for one of its own.
        models: captioners, as the user names them.
        dataset: a captioned set, as the user names it.
        protocol: how to score.
        clip: the dual encoder of CLIPScore, if that is asked for; none: the paper's.
        training: captions that count as not novel, a file or data set; none: those of the anchors' or the set's own
            training split, where there is one.
        documents: references whose document frequencies CIDEr takes, a file or data set; none: the set's own.
        options: as `caption_dataset` takes them.

    Raises:
        InputError: the set has no captions, or no image has a caption by all models.
    """
    from dataclasses import replace

    from vlmbench.data.captions.read import References
    from vlmbench.tasks.captions.clip import DEFAULT_CLIP, ClipImages
    from vlmbench.tasks.captions.evaluate import open_references, training_captions
    from vlmbench.tasks.captions.meteor_ahead import meteor_ahead
    from vlmbench.tasks.captions.scoring import Protocol, score_captions

    session = session if isinstance(session, Session) else Session(session)
    context = session.context
    require_writable(context.out)
    protocol = replace(protocol or Protocol(), allow_empty=True, allow_missing=True)
    if documents is not None:
        protocol = replace(protocol, documents=open_references(documents, context))
    with meteor_ahead(
        context, wanted=protocol.backend == "native" and needing("index") & set(protocol.metrics) != set()
    ):
        made = [caption_dataset(session, model, dataset, **options) for model in models]
    references = made[0].references
    if not any(references.values()):
        raise _without_references(dataset)
    for captions in made:
        write_coco_results(context.out, captions)
    names = _distinct(made)
    common = [id for id in made[0].ids if all(id not in captions.failed for captions in made)]
    if not common:
        raise InputError("no image has a caption by all captioners", where=dataset, fix="score them one by one")
    skipped = tuple(dict.fromkeys(id for captions in made for id in captions.failed))
    return score_captions(
        References(dataset, "", references, dataset, groups=made[0].groups),
        {name: _chosen(captions, common) for name, captions in zip(names, made, strict=True)},
        context,
        protocol=protocol,
        dataset=made[0].dataset.model_copy(update={"skipped": skipped}),
        models={name: captions.model for name, captions in zip(names, made, strict=True)},
        extra={name: _said(captions.decoding) for name, captions in zip(names, made, strict=True)},
        seen=ClipImages(session, clip or DEFAULT_CLIP, dataset, common, options.get("split")),
        training=training_captions(training, context)
        or _training(session, dataset, made[0].dataset.split, options.get("anchors")),
    )


def check_captioners(
    session: Session,
    models: Sequence[str],
    dataset: str,
    *,
    protocol: "Protocol",
    clip: str | None = None,
    training: str | None = None,
    documents: str | None = None,
    on_failure: str = "skip",
    **options: Any,
) -> list[Pass]:
    """Finds what can be wrong with captioners, data set and options before an image is captioned.

    Raises:
        VlmbenchError: as `score_captioners`.
    """
    from vlmbench.tasks.captions.clip import DEFAULT_CLIP
    from vlmbench.tasks.captions.evaluate import open_references, training_captions

    training_captions(training, session.context)
    if documents is not None:
        open_references(documents, session.context)
    for model in models:
        _, split = open_captioning(session, model, dataset, **options)
        if not any(split.captions):
            raise _without_references(dataset)
    if needing("images") & set(protocol.metrics):
        dual_encoder(session, clip or DEFAULT_CLIP)
    return []


def _without_references(dataset: str) -> InputError:
    return InputError(
        f"{visible(dataset)} has no reference captions",
        where=dataset,
        fix="name a captioned set, or write captions with vlmbench caption",
    )


def write_coco_results(out: Path, captions: Captions) -> Path:
    """Writes the captions as COCO results JSON, ``[{"image_id", "caption"}]``, under `out`/captions; ids that are whole
    numbers stay numbers.

    Raises:
        OutputError: it cannot be written.
    """
    name = slug(f"{captions.system}-{captions.dataset.id}-{captions.dataset.split}", longest=100)
    key = digest([captions.model.weights_sha256, captions.decoding, captions.dataset.fingerprint])[:10]
    path = out / "captions" / f"{name}-{key}.json"
    numbers = all(id.isascii() and id.isdigit() and str(int(id)) == id for id in captions.ids)
    write_json(
        path,
        [
            {"image_id": int(id) if numbers else id, "caption": text}
            for id, text in zip(captions.ids, captions.captions, strict=True)
        ],
    )
    return path


def caption_document(made: Sequence[tuple[Captions, Path]], seed: int) -> dict[str, Any]:
    """The JSON document of ``vlmbench caption``: a result a model, `path` the COCO results file."""
    results = []
    for captions, path in made:
        fields = {
            "task": "caption",
            "system": captions.system,
            "model": f"{captions.model.id}@{captions.model.weights_sha256[:8]}",
            "data": f"{captions.dataset.id}/{captions.dataset.split}@{captions.dataset.fingerprint[:8]}",
            "n": str(len(captions.ids)),
            **{key: str(value) for key, value in sorted(captions.decoding.items()) if value is not None},
            "version": __version__,
        }
        results.append(
            {
                "task": "caption",
                "system": captions.system,
                "model": captions.model.id,
                "dataset": captions.dataset.id,
                "n": len(captions.ids),
                "shots": captions.decoding.get("shots") or None,
                "seed": seed,
                "signature": format_fields(fields),
                "path": str(path),
                "metrics": {},
                "failed": captions.failed,
                "made": captions.made,
            }
        )
    return {"results": results, "tables": []}


def _images(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted((file for file in path.rglob("*") if is_image(file.name)), key=lambda f: natural(str(f)))
        if not found:
            raise InputError(f"no image below {visible(str(path))}", where=str(path), fix="name image files")
        return found
    return [named_file(path)]


def _said(decoding: Mapping[str, Any]) -> dict[str, Any]:
    """The decoding as fields of the record's protocol; the run's own seed stands there already."""
    return {key: value for key, value in decoding.items() if value is not None and key != "seed"}


def _training(session: Session, dataset: str, captioned: str, anchors: str | None) -> list[str]:
    """Captions of the training split of the anchors or the set itself, where there is one that is not captioned."""
    opened = session.dataset(anchors or dataset)
    itself = anchors is None or DatasetRef.parse(anchors).id == DatasetRef.parse(dataset).id
    if TRAIN not in opened.info.splits or (itself and captioned == TRAIN):
        return []
    return [caption for captions in opened.split(TRAIN).captions for caption in captions]


def _chosen(captions: Captions, ids: Sequence[str]) -> Mapping[str, str]:
    found = dict(zip(captions.ids, captions.captions, strict=True))
    return {id: found[id] for id in ids}


def _distinct(made: Sequence[Captions]) -> list[str]:
    """A name for each: its system's; what the user called it where two systems have one name, else with ``(2)``."""
    systems = [captions.system for captions in made]
    seen: dict[str, int] = {}
    out = []
    for captions in made:
        name = captions.system if systems.count(captions.system) == 1 else captions.model.id
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
