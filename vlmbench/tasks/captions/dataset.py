"""Captions of a dataset: generated in this process, or first by the workers of a pool, which send them here."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from vlmbench.captioners.base import Captioner, Captioning
from vlmbench.captioners.names import CaptionerRef, kind_of
from vlmbench.captioners.store import CaptionStore
from vlmbench.data.base import Split
from vlmbench.data.fingerprint import image_digest
from vlmbench.data.images import BadImage
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.session.context import Context
from vlmbench.session.pool import Work
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioning import (
    CaptionedSplit,
    Captions,
    caption_images,
    decoded,
    open_captioning,
)


def caption_dataset(
    session: Session,
    ref: CaptionerRef,
    dataset: str,
    split: str | None = None,
    limit: int | None = None,
    how: Captioning | None = None,
) -> Captions:
    """Generates captions for every image of a split.

    Args:
        session: the session.
        ref: the captioner.
        dataset: the captioned set, as the user names it.
        split: one of its splits; None: test, else the only one.
        limit: N randomly sampled images; None: all.
        how: how it captions; None: the defaults.

    Raises:
        AbsentError: the captioner or the dataset does not exist.
        InputError: an image fails and `Captioning.on_failure` is ``error``, or all of them fail.
        UsageError: options that the captioner does not take.
    """
    how = how or Captioning()
    captioner, chosen = open_captioning(session, ref, dataset, split, limit, how)
    made = 0
    if session.context.pool is not None and not kind_of(captioner.facts.kind).calls:
        job = CaptionJob(ref, dataset, chosen.name, limit, how, _key(captioner, chosen))
        made = _hand_out(session.context, captioner, chosen, job)
    revision = session.dataset(dataset).info.revision
    found = caption_images(session.context, captioner, chosen, dataset, revision, how.on_failure)
    return replace(found, made=found.made + made)


@dataclass(frozen=True)
class CaptionJob:
    """Captions rows of a split; see `vlmbench.session.pool.Job`.

    Attributes:
        ref: the captioner.
        dataset: as the user names it.
        split: one of its splits.
        limit: the size of a random sample of it; none: all.
        how: how it captions.
        key: what decides the captions and their images, which a worker must find too.
    """

    ref: CaptionerRef
    dataset: str
    split: str
    limit: int | None
    how: Captioning
    key: str

    @property
    def name(self) -> str:
        """The dataset, its split and the captioner."""
        return f"{self.dataset}, {self.split}, captioned by {self.ref}"

    def run(self, session: Session, pieces: Sequence[Sequence[int]]) -> dict[str, str]:
        """Captions by the SHA-256 of the image; an image that fails has none.

        Raises:
            InputError: the worker finds another captioner or other images than the process that sent it.
        """
        captioner, split = _opened(session, self)
        if _key(captioner, split) != self.key:
            raise InputError(
                f"a worker finds another {self.ref} or other images in {self.dataset}",
                where=self.dataset,
                fix="the same files and packages on every machine of the cluster",
            )
        rows: dict[str, list[int]] = {}
        for row in (row for piece in pieces for row in piece):
            with suppress(BadImage):
                rows.setdefault(image_digest(split.images.read(row)), []).append(row)
        made: dict[str, str] = {}
        with session.context.reporter.task(self.name, len(rows)) as advance:
            for batch in captioner.stream(decoded(split, rows, session.context, CaptionedSplit(), "skip")):
                advance(len(batch))
                made |= {done.item.digest: done.caption for done in batch if done.caption is not None}
        return made


@lru_cache(maxsize=1)
def _opened(session: Session, job: CaptionJob) -> tuple[Captioner, Split]:
    """Its captioner and images, kept for the next pieces: a model is loaded once."""
    return open_captioning(session, job.ref, job.dataset, job.split, job.limit, job.how)


def _key(captioner: Captioner, split: Split) -> str:
    return digest([captioner.facts.weights_sha256, captioner.decoding, split.name, list(split.ids)])


def _hand_out(context: Context, captioner: Captioner, split: Split, job: CaptionJob) -> int:
    """Has the pool caption what the store lacks, a batch a piece; this process alone writes the store.

    Returns:
        How many captions were generated.
    """
    version = kind_of(captioner.facts.kind).store_version
    with CaptionStore(context.cache_dir, captioner.facts, captioner.decoding, version, context.shared) as store:
        rows: dict[str, int] = {}
        for row in range(len(split)):
            with suppress(BadImage):
                image = image_digest(split.images.read(row))
                if store.get(image) is None:
                    rows.setdefault(image, row)
        todo, size = list(rows.values()), context.batch_size
        pieces = [todo[start : start + size] for start in range(0, len(todo), size)]
        count = 0
        if pieces and context.pool is not None:
            for made in context.pool.run(context, [Work(job, pieces)]):
                store.add(made)
                count += len(made)
    return count
