"""Captions of a data set by a captioner: made once, kept, and gone on with after a kill."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vlmbench.captioners.base import Captioner, Decoding, Item
from vlmbench.captioners.store import CaptionStore
from vlmbench.data.base import Split, choose_split, limited
from vlmbench.data.fingerprint import fingerprint, image_digest
from vlmbench.data.images import BadImage
from vlmbench.data.loading import load
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import tell_slow
from vlmbench.foundations.text import visible
from vlmbench.records.result import DatasetFacts, ModelFacts
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioners import open_captioner

_NAMED = 5


@dataclass(frozen=True)
class Captions:
    """One captioner's captions of one split.

    Attributes:
        system: the name a table shows.
        model: the captioner's part of a record.
        dataset: the data set's part of a record; images without a caption are under `skipped`.
        decoding: everything besides the weights that decides a caption.
        ids: [N] images that have a caption, in the data set's order.
        captions: [N] their captions.
        references: the reference captions of every image of the split (empty lists where the set has none).
        groups: the group of each image that is in one.
        failed: images without a caption, and why.
        made: captions made now; the others were kept from before.
        seconds: how long making them took.
    """

    system: str
    model: ModelFacts
    dataset: DatasetFacts
    decoding: dict[str, Any]
    ids: tuple[str, ...]
    captions: list[str]
    references: dict[str, list[str]]
    failed: dict[str, str] = field(default_factory=dict)
    made: int = 0
    seconds: float = 0.0
    groups: dict[str, str] = field(default_factory=dict)


def caption_dataset(
    session: Session | Context,
    model: str,
    dataset: str,
    split: str | None = None,
    *,
    limit: int | None = None,
    on_failure: str = "skip",
    anchors: str | None = None,
    concurrency: int = 8,
    timeout: float = 60.0,
    **decoding: Any,
) -> Captions:
    """Captions every image of a split.

    Args:
        session: the session, or the common options for one of its own.
        model: the captioner, as the user names it (see `vlmbench.captioners.registry.FORMS`).
        dataset: the captioned set, as the user names it.
        split: one of its splits; none: test, else what there is.
        limit: so many images, drawn with the context's seed; none: all.
        on_failure: ``skip`` leaves out an image that fails and names it; ``error`` ends the run.
        anchors: the set whose training split retrieval, ASIF and worked examples draw on; none: the same set.
        concurrency: calls at a time, of an endpoint.
        timeout: seconds a call may take, of an endpoint.
        **decoding: fields of `vlmbench.captioners.base.Decoding`.

    Raises:
        AbsentError: the captioner or the data set is not there.
        InputError: an image fails and `on_failure` is ``error``, or all of them fail.
        UsageError: options that the captioner does not take.
    """
    session = session if isinstance(session, Session) else Session(session)
    captioner, chosen = open_captioning(
        session, model, dataset, split, limit=limit, anchors=anchors, concurrency=concurrency, timeout=timeout,
        **decoding,
    )  # fmt: skip
    revision = session.dataset(dataset).info.revision
    return caption_images(session.context, captioner, chosen, dataset, revision, on_failure=on_failure)


def open_captioning(
    session: Session,
    model: str,
    dataset: str,
    split: str | None = None,
    *,
    limit: int | None = None,
    anchors: str | None = None,
    concurrency: int = 8,
    timeout: float = 60.0,
    **decoding: Any,
) -> tuple[Captioner, Split]:
    """The captioner and the images it is to caption, before it has loaded or captioned any; see `caption_dataset`."""
    opened = session.dataset(dataset)
    whole = opened.split(choose_split(opened.info, split, where=dataset))
    chosen = limited(whole, limit, session.context.seed, DatasetRef.parse(dataset).id)
    captioner = open_captioner(
        session,
        model,
        Decoding(**{"seed": session.context.seed, **decoding}),
        anchors=anchors or dataset,
        avoid=chosen.name if anchors in (None, dataset) else None,
        concurrency=concurrency,
        timeout=timeout,
    )
    return captioner, chosen


def caption_images(
    context: Context,
    captioner: Captioner,
    split: Split,
    dataset: str,
    revision: str | None = None,
    *,
    on_failure: str = "skip",
) -> Captions:
    """Captions a split that is already open; see `caption_dataset`."""
    found = caption_split(context, captioner, split, on_failure=on_failure)
    references = [list(item) for item in split.captions] if split.captions else [[] for _ in split.ids]
    facts = DatasetFacts(
        id=DatasetRef.parse(dataset).id,
        revision=revision,
        fingerprint=digest([fingerprint(split, context.cache_dir, context.reporter), references]),
        split=split.name,
        skipped=tuple(found.failed),
    )
    kept = [row for row, id in enumerate(split.ids) if id in found.captions]
    return Captions(
        system=captioner.system,
        model=captioner.facts,
        dataset=facts,
        decoding=captioner.decoding,
        ids=tuple(split.ids[row] for row in kept),
        captions=[found.captions[split.ids[row]] for row in kept],
        references=dict(zip(split.ids, references, strict=True)),
        failed=found.failed,
        made=found.made,
        seconds=found.seconds,
        groups={id: group for id, group in zip(split.ids, split.groups, strict=True) if group} if split.groups else {},
    )


@dataclass
class CaptionedSplit:
    """Captions by image id, failures by image id, and what making them took."""

    captions: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    made: int = 0
    seconds: float = 0.0


def caption_split(context: Context, captioner: Captioner, split: Split, *, on_failure: str = "skip") -> CaptionedSplit:
    """Captions a split; what the store has is taken from it, and each caption made is on the disk before the next
    batch.

    Raises:
        InputError: an image fails and `on_failure` is ``error`` (captions made so far are kept), or all of them fail.
        OutputError: captions cannot be stored.
    """
    found = CaptionedSplit()
    reporter = context.reporter
    started = time.perf_counter()
    with CaptionStore(context.cache_dir, captioner.facts, captioner.decoding) as store:
        digests: dict[int, str] = {}
        for row, id in enumerate(split.ids):
            try:
                digests[row] = image_digest(split.images.read(row))
            except BadImage as error:
                _fail(found, id, error.what, on_failure)
                continue
            known = store.get(digests[row])
            if known is not None:
                found.captions[id] = known
        rows: dict[str, list[int]] = {}
        for row, image in digests.items():
            if split.ids[row] not in found.captions:
                rows.setdefault(image, []).append(row)  # the same image twice is captioned once
        with reporter.task(f"captions by {captioner.facts.id}", len(digests)) as advance:
            advance(len(found.captions))
            items = _items(split, rows, context, found, on_failure)
            begun, told = time.monotonic(), False
            for batch in captioner.stream(items):
                took, begun = time.monotonic() - begun, time.monotonic()
                told = told or tell_slow(took, len(batch), reporter)
                store.add({done.item.digest: done.caption for done in batch if done.caption is not None})
                for done in batch:
                    for row in rows[done.item.digest]:
                        advance()
                        if done.caption is None:
                            _fail(found, split.ids[row], done.reason or "no reason given", on_failure)
                        else:
                            found.captions[split.ids[row]] = done.caption
                            found.made += 1
    found.seconds = time.perf_counter() - started
    _tell(context, captioner, split, found)
    return found


def _items(
    split: Split, rows: dict[str, list[int]], context: Context, found: CaptionedSplit, on_failure: str
) -> Iterator[Item]:
    """The images that have no caption yet, decoded one after the other."""
    firsts = {members[0]: image for image, members in rows.items()}
    for loaded in load(split, list(firsts), lambda image: image, workers=context.workers, ahead=2 * context.batch_size):
        image = firsts[loaded.row]
        if loaded.error is not None or loaded.value is None:
            for row in rows[image]:
                _fail(found, split.ids[row], loaded.error.what if loaded.error else "cannot be decoded", on_failure)
            continue
        yield Item(split.ids[loaded.row], image, loaded.value)


def _fail(found: CaptionedSplit, id: str, reason: str, on_failure: str) -> None:
    if on_failure == "error":
        raise InputError(
            f"no caption of {visible(id)}: {reason}",
            where=id,
            fix="leave it out with --on-failure skip; captions made so far are kept",
        )
    found.failed[id] = reason


def _tell(context: Context, captioner: Captioner, split: Split, found: CaptionedSplit) -> None:
    if found.failed and not found.captions:
        id, reason = next(iter(found.failed.items()))
        raise InputError(
            f"none of the {len(split)} images could be captioned; {visible(id)}: {reason}",
            where=id,
            fix="fix what it says and run it again",
        )
    kept = len(found.captions) - found.made
    context.reporter.note(
        f"captions: {found.made:,} made, {kept:,} from the store ({captioner.facts.id}, {split.name})"
    )
    if found.failed:
        named = "; ".join(f"{visible(id)}: {reason}" for id, reason in list(found.failed.items())[:_NAMED])
        more = f"; and {len(found.failed) - _NAMED} more" if len(found.failed) > _NAMED else ""
        context.reporter.warn(f"{len(found.failed)} images have no caption and are left out: {named}{more}")
