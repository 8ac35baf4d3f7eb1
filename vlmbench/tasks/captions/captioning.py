"""Captions a dataset or image files: each caption is generated once, stored, and reused after an interruption."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlmbench.captioners.base import Captioner, Captioning, Item
from vlmbench.captioners.names import CaptionerRef, kind_of
from vlmbench.captioners.store import CaptionStore
from vlmbench.data.base import Split, choose_split, limited
from vlmbench.data.fingerprint import fingerprint, image_digest
from vlmbench.data.images import BadImage
from vlmbench.data.loading import load
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.atomic import write_json
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import slug
from vlmbench.foundations.progress import tell_slow
from vlmbench.foundations.text import visible
from vlmbench.records.result import DatasetFacts, ModelFacts
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioners import captioner_in

_NAMED = 5


@dataclass(frozen=True)
class Captions:
    """One captioner's captions of one split.

    Attributes:
        system: the name in tables.
        model: the captioner's part of a record.
        dataset: the dataset's part of a record; images without a caption are in `skipped`.
        decoding: everything besides the weights that decides a caption.
        ids: [N] images with a caption, in the dataset's order.
        captions: [N] their captions.
        references: the reference captions of every image of the split (empty lists where the set has none).
        groups: the group of each image that has one.
        failed: images without a caption, with the reason.
        made: number of newly generated captions; the others came from the store.
        seconds: how long generating them took.
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

    def by_image(self) -> dict[str, str]:
        """The captions by image id."""
        return dict(zip(self.ids, self.captions, strict=True))


def open_captioning(
    session: Session, ref: CaptionerRef, dataset: str, split: str | None, limit: int | None, how: Captioning
) -> tuple[Captioner, Split]:
    """The captioner and the images to caption, before anything is loaded or captioned; see `caption_dataset`."""
    opened = session.dataset(dataset)
    whole = opened.split(choose_split(opened.info, split, where=dataset))
    chosen = limited(whole, limit, session.context.seed, DatasetRef.parse(dataset).id)
    avoid = chosen.name if how.anchors in (None, dataset) else None
    return captioner_in(session, ref, replace(how, anchors=how.anchors or dataset), avoid), chosen


def caption_images(
    context: Context, captioner: Captioner, split: Split, dataset: str, revision: str | None, on_failure: str
) -> Captions:
    """Generates captions for an open split; see `caption_dataset`."""
    found = caption_split(context, captioner, split, on_failure=on_failure)
    references = [list(item) for item in split.captions] if split.captions else [[] for _ in split.ids]
    facts = DatasetFacts(
        id=DatasetRef.parse(dataset).id,
        revision=revision,
        fingerprint=digest([fingerprint(split, context.cache_dir, context.reporter), references]),
        split=split.name,
        skipped=tuple(found.failed),
    )
    rows = [row for row, id in enumerate(split.ids) if id in found.captions]
    return Captions(
        system=captioner.system,
        model=captioner.facts,
        dataset=facts,
        decoding=captioner.decoding,
        ids=tuple(split.ids[row] for row in rows),
        captions=[found.captions[split.ids[row]] for row in rows],
        references=dict(zip(split.ids, references, strict=True)),
        failed=found.failed,
        made=found.made,
        seconds=found.seconds,
        groups={id: group for id, group in zip(split.ids, split.groups, strict=True) if group} if split.groups else {},
    )


@dataclass
class CaptionedSplit:
    """Captions by image id, failures by image id, and the time they took."""

    captions: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    made: int = 0
    seconds: float = 0.0


def caption_split(context: Context, captioner: Captioner, split: Split, *, on_failure: str = "skip") -> CaptionedSplit:
    """Generates captions for a split; stored ones are reused, and each new one is on disk before the next
    batch.

    Raises:
        InputError: an image fails and `on_failure` is ``error`` (captions made so far are stored), or all of them fail.
        OutputError: captions cannot be stored.
    """
    found = CaptionedSplit()
    reporter = context.reporter
    started = time.perf_counter()
    version = kind_of(captioner.facts.kind).store_version
    with CaptionStore(context.cache_dir, captioner.facts, captioner.decoding, version, context.shared) as store:
        digests: dict[int, str] = {}
        for row, id in enumerate(split.ids):
            try:
                digests[row] = image_digest(split.images.read(row))
            except BadImage as error:
                _fail(found, id, error.what, on_failure)
                continue
            stored = store.get(digests[row])
            if stored is not None:
                found.captions[id] = stored
        rows: dict[str, list[int]] = {}
        for row, image in digests.items():
            if split.ids[row] not in found.captions:
                rows.setdefault(image, []).append(row)  # an image that occurs twice is captioned once
        with reporter.task(f"captions by {captioner.facts.id}", len(digests)) as advance:
            advance(len(found.captions))
            items = decoded(split, rows, context, found, on_failure)
            begun, slow = time.monotonic(), False
            for batch in captioner.stream(items):
                took, begun = time.monotonic() - begun, time.monotonic()
                slow = slow or tell_slow(took, len(batch), reporter)
                store.add({done.item.digest: done.caption for done in batch if done.caption is not None})
                for done in batch:
                    for row in rows[done.item.digest]:
                        advance()
                        if done.caption is None:
                            _fail(found, split.ids[row], done.reason or "no reason given", on_failure)
                        else:
                            found.captions[split.ids[row]] = done.caption
                            found.made += 1
    for id in (split.ids[row] for group in rows.values() for row in group):
        if id not in found.captions and id not in found.failed:
            _fail(found, id, "the captioner returned no caption", on_failure)
    found.seconds = time.perf_counter() - started
    _report(context, captioner, split, found)
    return found


def decoded(
    split: Split, rows: dict[str, list[int]], context: Context, found: CaptionedSplit, on_failure: str
) -> Iterator[Item]:
    """The images without a caption yet, decoded one by one."""
    firsts = {members[0]: image for image, members in rows.items()}
    for loaded in load(
        split, list(firsts), lambda image, _: image, workers=context.threads, ahead=2 * context.batch_size
    ):
        image = firsts[loaded.row]
        if loaded.error is not None or loaded.value is None:
            for row in rows[image]:
                _fail(found, split.ids[row], loaded.error.what if loaded.error else "cannot be decoded", on_failure)
            continue
        yield Item(split.ids[loaded.row], image, loaded.value)


def _fail(found: CaptionedSplit, id: str, reason: str, on_failure: str) -> None:
    if on_failure == "error":
        raise InputError(
            f"no caption for {visible(id)}: {reason}",
            where=id,
            fix="leave it out with --on-failure skip; the captions made so far are stored",
        )
    found.failed[id] = reason


def _report(context: Context, captioner: Captioner, split: Split, found: CaptionedSplit) -> None:
    if found.failed and not found.captions:
        id, reason = next(iter(found.failed.items()))
        raise InputError(
            f"none of the {len(split)} images could be captioned; {visible(id)}: {reason}",
            where=id,
            fix="fix the reported problem and run the command again",
        )
    stored = len(found.captions) - found.made
    context.reporter.note(
        f"captions: {found.made:,} generated, {stored:,} from the store ({captioner.facts.id}, {split.name})"
    )
    if found.failed:
        named = "; ".join(f"{visible(id)}: {reason}" for id, reason in list(found.failed.items())[:_NAMED])
        more = f"; and {len(found.failed) - _NAMED} more" if len(found.failed) > _NAMED else ""
        context.reporter.warn(f"{len(found.failed)} images have no caption and are left out: {named}{more}")


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
    entries = captions.by_image().items()
    write_json(path, [{"image_id": int(id) if numbers else id, "caption": text} for id, text in entries])
    return path
