"""One pass over a split for every model that lacks it: each image is decoded once, however many models there are."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, starmap
from typing import Any

import numpy as np

from vlmbench.data.base import Split
from vlmbench.data.loading import Loaded, load, load_resized
from vlmbench.data.resizing import Resizing
from vlmbench.encoders.base import ImageEncoder
from vlmbench.features.forward import Forward, joined
from vlmbench.features.store import ROWS, FeatureEntry, Manifest
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import SECONDS, Advance, Reporter, tell_slow

PROCESSES = 4
"""From so many workers on, processes decode faster than threads."""

IMAGES = 512
"""From so many images on, they are worth their start."""

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
    """

    batch_size: int
    workers: int
    on_bad_image: str
    reporter: Reporter
    rows: int = ROWS
    seconds: float = SECONDS
    device: str = "cpu"

    @property
    def processes(self) -> bool:
        """Whether images are decoded by processes: beside a GPU, where threads would wait for one another."""
        return self.device == "cuda" and self.workers >= PROCESSES


@dataclass
class EncodeJob:
    """One model's features of the split.

    Attributes:
        name: what messages call the model.
        entry: where its features go.
        encoder: gives the model, loading it when first called.
    """

    name: str
    entry: FeatureEntry
    encoder: Callable[[], ImageEncoder]


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
    Whatever ends the pass early, the batches that are done are stored.

    Raises:
        BadImage: an image cannot be decoded and ``on_bad_image`` is ``error``.
        InputError: none can.
        OutputError: a shard cannot be written.
    """
    tally = Tally(encoded={job.name: 0 for job in jobs})
    open_jobs = [job for job in jobs if job.entry.manifest() is None]
    if not open_jobs:
        return tally
    started, warned, reporter = time.perf_counter(), False, options.reporter
    found = {job.name: _Known() for job in open_jobs}
    lacking: dict[str, list[range]] = {job.name: [] for job in open_jobs}
    for job in open_jobs:
        for covered, tensors in job.entry.shards():
            if tensors is None:
                lacking[job.name].append(covered)
            else:
                found[job.name].note(covered, tensors)
    with reporter.task(f"encoding {split.name} with {', '.join(job.name for job in open_jobs)}", len(split)) as advance:
        ends = {0, len(split)}.union(*({part.start, part.stop} for parts in lacking.values() for part in parts))
        for covered in starmap(range, pairwise(sorted(ends))):
            needing = [job for job in open_jobs if any(covered.start in part for part in lacking[job.name])]
            if not needing:
                advance(len(covered))
                continue
            writer = _Writer(covered.start, needing, found, options)
            try:
                for batch in _batches(split, covered, needing, options, tally, advance):
                    warned = warned or tell_slow(batch.seconds, len(batch.rows), reporter)
                    with tally.measured("store"):
                        writer.add(batch)
                with tally.measured("store"):
                    writer.close(covered.stop)
            except BaseException:  # an interruption too: what is done is not lost
                writer.close(writer.done)
                raise
    for job in open_jobs:
        damaged, widths = found[job.name].damaged, found[job.name].widths
        if len(damaged) == len(split):
            raise InputError(
                f"none of the {len(split)} images can be decoded", where=split.ids[0], fix="look at these files"
            )
        job.entry.finish(tuple(split.ids[row] for row in sorted(damaged)), widths)
    tally.seconds = time.perf_counter() - started
    return tally


def read_layer(entry: FeatureEntry, manifest: Manifest, layer: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A layer of a finished entry, whole.

    Returns:
        Rows [n] int64 into the split and features [n, D] float32; none where a shard is absent or damaged.
    """
    rows, parts = [], []
    for _, tensors in entry.shards():
        if tensors is None:
            return None
        if not len(tensors["row"]):
            continue
        if layer not in tensors:
            return None
        rows.append(tensors["row"])
        parts.append(tensors[layer])
    if not parts:
        return np.zeros(0, np.int64), np.zeros((0, manifest.layers.get(layer, 0)), np.float32)
    found = np.concatenate(rows)
    return (found, np.concatenate(parts)) if len(found) == entry.images - len(manifest.skipped) else None


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
        if batch.stop - self._start >= self._options.rows or seconds >= self._options.seconds:
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

    with closing(_images(split, covered, [encoder.preparation for encoder in encoders], options)) as images:
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
            if item.value is None:
                continue
            rows.append(item.row)
            pending.append(item.value)
            if len(rows) == options.batch_size:
                started.append(start(item.row + 1))
                if len(started) > compact:
                    yield started.popleft()()
    if rows:
        started.append(start(covered.stop))
    while started:
        yield started.popleft()()


def _images(
    split: Split, covered: range, preparations: Sequence[Any], options: EncodeOptions
) -> Generator[Loaded[list[np.ndarray]], None, None]:
    """What each preparation makes of each image; by processes where all of them can do it."""
    ahead = 2 * options.batch_size
    if options.processes and len(covered) >= IMAGES and all(isinstance(item, Resizing) for item in preparations):
        return load_resized(split, covered, preparations, workers=options.workers, ahead=ahead)
    return load(
        split, covered, lambda image: [make(image) for make in preparations], workers=options.workers, ahead=ahead
    )
