"""One pass over a split for every model that lacks it: each image is decoded once, however many models there are.

Several processes may work at the same pass: images are handed out in units, and a unit belongs to the process that
holds its lock. A batch never spans two units, so features are the same bytes whoever encodes which unit.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from PIL.Image import Image

from vlmbench.data.base import Split
from vlmbench.data.corrupted import versions
from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.data.loading import Loaded, load, load_resized
from vlmbench.data.resizing import Resizing
from vlmbench.encoders.base import ImageEncoder
from vlmbench.features.forward import Forward, joined
from vlmbench.features.store import ROWS, FeatureEntry
from vlmbench.features.table import Table
from vlmbench.features.units import ALL, Share, in_units, merged
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import SECONDS, Advance, Reporter, tell_slow

PROCESSES = 4
"""From so many workers on, processes decode faster than threads."""

IMAGES = 512
"""From so many images on, they are worth their start."""

HELD = 2**25
"""Bytes of a layer that are read into memory at once."""

SPAN = 64
"""Units that are claimed at once at most."""

FEW = 6
"""From so many on, what is encoded is counted, not named."""

STAGES = ("load", "decode", "preprocess", "wait", "forward", "store")


@dataclass(frozen=True)
class EncodeOptions:
    """How a pass goes.

    Attributes:
        batch_size: images at once.
        workers: threads that decode, or processes (`processes`).
        on_bad_image: ``error``, or ``skip`` for those that cannot be decoded.
        reporter: hears of progress.
        rows: images after which a shard is closed.
        seconds: time after which it is.
        device: where the models run.
        unit: images that are handed out at once, see `features.units`.
        share: which of them this process begins with.
        only: encodes these images and no others, and leaves the entry unfinished; none: all.
    """

    batch_size: int
    workers: int
    on_bad_image: str
    reporter: Reporter
    rows: int = ROWS
    seconds: float = SECONDS
    device: str = "cpu"
    unit: int = ROWS
    share: Share = ALL
    only: range | None = None

    @property
    def processes(self) -> bool:
        """Whether images are decoded by processes: beside a GPU, where threads would wait for one another."""
        return self.device.startswith("cuda") and self.workers >= PROCESSES


@dataclass
class EncodeJob:
    """One model's features of the split.

    Attributes:
        name: what messages call the model and its images; no other job's.
        entry: where its features go.
        encoder: gives the model, loading it when first called.
        corruption: what is done to the images for it; None: nothing.
    """

    name: str
    entry: FeatureEntry
    encoder: Callable[[], ImageEncoder]
    corruption: Corruption | None = None


@dataclass
class Tally:
    """What a pass did.

    Attributes:
        encoded: images a model encoded, per model.
        decoded: images that were decoded.
        seconds: wall time of the pass.
        stages: seconds of each of `STAGES`: loading models; decode (with reading) and preprocess, summed over the
            workers; beside these, waiting for images, stacking, copying and encoding them (forward), storing features.
    """

    encoded: dict[str, int] = field(default_factory=dict)
    decoded: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Adds the time that is spent within it to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.stages[stage] += time.perf_counter() - begun


def encode_split(split: Split, jobs: Sequence[EncodeJob], options: EncodeOptions) -> Tally:
    """Fills the entries of `jobs` with the features of `split`; shards that are there are kept.

    A shard is closed at the end of a batch, so that batches, and with them features, are the same wherever shards end.
    Whatever ends the pass early, the batches that are done are stored. What other processes are at is waited for; the
    entries are finished at the end, unless only a part was to be encoded.

    Raises:
        BadImage: an image cannot be decoded and ``on_bad_image`` is ``error``.
        InputError: none can.
        OutputError: a shard cannot be written.
    """
    tally = Tally(encoded={job.name: 0 for job in jobs})
    open_jobs = [job for job in jobs if job.entry.manifest() is None]
    if not open_jobs:
        return tally
    started, reporter = time.perf_counter(), options.reporter
    names = [job.name for job in open_jobs]
    what = ", ".join(names) if len(names) < FEW else f"{names[0]} and {len(names) - 1} others"
    with reporter.task(f"encoding {split.name} with {what}", len(split)) as advance:
        work = _Pass(split, open_jobs, options, tally, advance)
        work.run()
    found = work.known
    for job in open_jobs if options.only is None else ():
        damaged, widths = found[job.name].damaged, found[job.name].widths
        if len(damaged) == len(split):
            raise InputError(
                f"none of the {len(split)} images can be decoded", where=split.ids[0], fix="look at these files"
            )
        job.entry.finish(tuple(split.ids[row] for row in sorted(damaged)), widths)
    tally.seconds = time.perf_counter() - started
    return tally


def read_layer(entry: FeatureEntry, layer: str, covered: range | None = None) -> tuple[np.ndarray, Table] | None:
    """A layer of the images that are `covered`; none: of a finished entry, whole.

    Returns:
        Rows [n] int64 into the split and features [n, D] float32, which stay on disk if they are more than `HELD`
        bytes; none where a shard is absent or damaged.
    """
    manifest = entry.manifest()
    if covered is None and manifest is None:
        return None
    rows, parts = [], []
    for _, tensors in entry.shards(within=covered):
        if tensors is None:
            return None
        if not len(tensors["row"]):
            continue
        if layer not in tensors:
            return None
        rows.append(np.array(tensors["row"]))
        parts.append(tensors[layer])
    if not parts:
        width = manifest.layers.get(layer, 0) if manifest is not None else 0
        return np.zeros(0, np.int64), Table([np.zeros((0, width), np.float32)])
    if sum(part.nbytes for part in parts) <= HELD:
        parts = [np.concatenate(parts)]
    found, x = np.concatenate(rows), Table(parts)
    if covered is not None:
        inside = (found >= covered.start) & (found < covered.stop)
        return found[inside], x[inside]
    return (found, x) if manifest is not None and len(found) == entry.images - len(manifest.skipped) else None


@dataclass
class _Known:
    """What is known of an entry: images that could not be decoded, and the width of each layer."""

    damaged: set[int] = field(default_factory=set)
    widths: dict[str, int] = field(default_factory=dict)

    def note(self, covered: range, tensors: Mapping[str, np.ndarray]) -> None:
        """Takes a shard into account."""
        self.damaged.update(set(covered) - set(tensors["row"].tolist()))
        self.widths.update({name: value.shape[1] for name, value in tensors.items() if name != "row" and len(value)})


@dataclass(frozen=True)
class _Batch:
    """Images that went through every encoder at once.

    Attributes:
        rows: [B] their places in the split.
        layers: for each job, layer to [B, D] float32.
        stop: the place behind the last image that was looked at.
        seconds: what encoding them took.
    """

    rows: list[int]
    layers: list[Mapping[str, np.ndarray]]
    stop: int
    seconds: float


class _Writer:
    """Gathers batches and stores them, a shard at a time, in every job's entry."""

    def __init__(
        self, start: int, jobs: Sequence[EncodeJob], found: Mapping[str, _Known], options: EncodeOptions
    ) -> None:
        self._start, self._jobs, self._found, self._options = start, jobs, found, options
        self._batches: list[_Batch] = []
        self._opened = time.monotonic()

    @property
    def done(self) -> int:
        """The place behind the last image whose batch is done."""
        return self._batches[-1].stop if self._batches else self._start

    def add(self, batch: _Batch) -> None:
        """Takes a batch; stores the shard if it is large or old enough."""
        self._batches.append(batch)
        seconds = time.monotonic() - self._opened
        if (
            batch.stop - self._start >= self._options.rows
            or batch.stop % self._options.unit == 0
            or seconds >= self._options.seconds
        ):
            self.close(batch.stop)

    def close(self, stop: int) -> None:
        """Stores what there is as the shard of all images up to `stop`."""
        covered = range(self._start, stop)
        if not covered:
            return
        rows = np.array([row for batch in self._batches for row in batch.rows], np.int64)
        for place, job in enumerate(self._jobs):
            parts = [batch.layers[place] for batch in self._batches]
            layers = joined(parts) if parts else {}
            job.entry.write_shard(covered, rows, layers)
            self._found[job.name].note(covered, {"row": rows, **layers})
        self._start, self._batches, self._opened = stop, [], time.monotonic()


class _Pass:
    """A pass: claims units, encodes what is lacking of them, stores it."""

    def __init__(
        self, split: Split, jobs: Sequence[EncodeJob], options: EncodeOptions, tally: Tally, advance: Advance
    ) -> None:
        self.split, self.options, self.tally, self.advance = split, options, tally, advance
        self.jobs = sorted(jobs, key=lambda job: job.entry.key.name)  # one order for all runs: none waits in a ring
        self.known = {job.name: _Known() for job in jobs}
        self._warned = False
        self._left = self._units()

    def run(self) -> None:
        """Ends when everything is stored, by this process or others."""
        while self._left:
            before = len(self._left)
            for part in self._left.copy():
                if part in self._left:
                    with ExitStack() as claim:
                        self._fill(self._claim(part, claim))
            for job in self.jobs if len(self._left) == before else ():
                with job.entry.claim(self._lock(self._left[0]), wait=True):
                    pass

    def _units(self) -> list[range]:
        """What no sound shard covers, in units, the process's own first."""
        total, only = len(self.split), self.options.only
        if only is not None:
            lacking = [only]
        else:
            lacking = merged([gap for job in self.jobs for gap in self._look(job, range(total))])
            self.advance(total - sum(map(len, lacking)))
        return in_units(lacking, total, self.options.unit, self.options.share)

    def _claim(self, first: range, claim: ExitStack) -> range:
        """A unit, with those behind it as one stream; empty where another process has it.

        Where others share the work a quarter of this process's share of what is left (guided self-scheduling,
        Polychronopoulos and Kuck 1987): streams are long at first, and at the end nobody waits long for another.
        """
        count = self.options.share.count
        stop, most = first.start, SPAN if count == 1 else max(1, min(SPAN, len(self._left) // (4 * count)))
        while most and (part := next((part for part in self._left if part.start == stop), None)):
            if not all(claim.enter_context(job.entry.claim(self._lock(part))) for job in self.jobs):
                break
            self._left.remove(part)
            stop, most = part.stop, most - 1
        return range(first.start, stop)

    def _look(self, job: EncodeJob, part: range) -> list[range]:
        """Takes the sound shards of a part into account; gives what none covers of it."""
        gaps = []
        for covered, tensors in job.entry.shards(within=part):
            if tensors is None:
                gaps.append(covered)
            else:
                self.known[job.name].note(covered, tensors)
        return gaps

    def _lock(self, part: range) -> int:
        return part.start // self.options.unit * self.options.unit

    def _fill(self, part: range) -> None:
        """Encodes what is lacking of a part that is claimed."""
        lacking = {job.name: self._look(job, part) for job in self.jobs}
        ends = {part.start, part.stop}.union(*({gap.start, gap.stop} for gaps in lacking.values() for gap in gaps))
        for start, stop in pairwise(sorted(ends)):
            needing = [job for job in self.jobs if any(start in gap for gap in lacking[job.name])]
            if needing:
                self._encode(range(start, stop), needing)
            else:
                self.advance(stop - start)

    def _encode(self, covered: range, jobs: Sequence[EncodeJob]) -> None:
        tally = self.tally
        writer = _Writer(covered.start, jobs, self.known, self.options)
        try:
            for batch in _batches(self.split, covered, jobs, self.options, tally, self.advance):
                self._warned = self._warned or tell_slow(batch.seconds, len(batch.rows), self.options.reporter)
                with tally.measured("store"):
                    writer.add(batch)
            with tally.measured("store"):
                writer.close(covered.stop)
        except BaseException:  # an interruption too: what is done is not lost
            writer.close(writer.done)
            raise


def _batches(
    split: Split,
    covered: range,
    jobs: Sequence[EncodeJob],
    options: EncodeOptions,
    tally: Tally,
    advance: Advance,
) -> Iterator[_Batch]:
    """The images of a part of the split through the encoders of `jobs`, those left out that cannot be decoded.

    Beside a GPU one batch is on its way while the next is gathered.
    """
    with tally.measured("load"):
        loaded = [(job.encoder(), job.name) for job in jobs]
    compact = options.device != "cpu"
    encoders = [Forward(*item, options.batch_size, options.reporter, compact=compact) for item in loaded]
    rows: list[int] = []
    pending: list[list[np.ndarray]] = []
    started: deque[Callable[[], _Batch]] = deque()

    def start(stop: int) -> Callable[[], _Batch]:
        with tally.measured("forward"):
            begun = time.monotonic()
            batches = [encoder.stack([item[place] for item in pending]) for place, encoder in enumerate(encoders)]
            waits = [encoder.start(batch) for encoder, batch in zip(encoders, batches, strict=True)]
            took, own = time.monotonic() - begun, rows.copy()
        rows.clear()
        pending.clear()

        def finish() -> _Batch:
            with tally.measured("forward"):
                begun = time.monotonic()
                layers = [wait() for wait in waits]
            for job in jobs:
                tally.encoded[job.name] += len(own)
            return _Batch(own, layers, stop, took + time.monotonic() - begun)

        return finish

    steps = [(job.corruption, encoder.preparation) for job, encoder in zip(jobs, encoders, strict=True)]
    with closing(_images(split, covered, steps, options)) as images:
        while True:
            with tally.measured("wait"):
                item = next(images, None)
            if item is None:
                break
            tally.decoded += 1
            tally.stages["decode"] += item.decode
            tally.stages["preprocess"] += item.preprocess
            advance()
            if item.error is not None and options.on_bad_image != "skip":
                while started:
                    yield started.popleft()()
                raise item.error
            if item.value is not None:
                rows.append(item.row)
                pending.append(item.value)
            if rows and (len(rows) == options.batch_size or (item.row + 1) % options.unit == 0):
                started.append(start(item.row + 1))
                if len(started) > compact:
                    yield started.popleft()()
    if rows:
        started.append(start(covered.stop))
    while started:
        yield started.popleft()()


def _images(
    split: Split, covered: range, steps: Sequence[tuple[Corruption | None, Any]], options: EncodeOptions
) -> Generator[Loaded[list[np.ndarray]], None, None]:
    """What each preparation makes of each image, corrupted first; by processes where all of them can do it."""
    ahead = 2 * options.batch_size
    if options.processes and len(covered) >= IMAGES and all(isinstance(item, Resizing) for _, item in steps):
        return load_resized(split, covered, steps, workers=options.workers, ahead=ahead)
    corruptions = [corruption for corruption, _ in steps]

    def make(image: Image, id: str) -> list[np.ndarray]:
        return [make(one) for one, (_, make) in zip(versions(image, corruptions, id), steps, strict=True)]

    return load(split, covered, make, workers=options.workers, ahead=ahead)
