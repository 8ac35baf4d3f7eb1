"""One pass over a split for every model that lacks it: each image is decoded once, however many models there are."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL.Image import Image

from vlmbench.data.base import Split
from vlmbench.data.loading import load
from vlmbench.encoders.base import ImageEncoder
from vlmbench.features.store import FeatureEntry, Manifest
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Advance, Reporter


@dataclass
class Job:
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
        skipped: damaged images that were left out.
    """

    encoded: dict[str, int] = field(default_factory=dict)
    decoded: int = 0
    seconds: float = 0.0
    skipped: int = 0


def encode_split(
    split: Split, jobs: Sequence[Job], *, batch_size: int, workers: int, on_bad_image: str, reporter: Reporter
) -> Tally:
    """Fills the entries of `jobs` with the features of `split`, shard by shard; shards that are there are kept.

    Raises:
        BadImage: an image cannot be decoded and `on_bad_image` is ``error``.
        OutputError: a shard cannot be written.
    """
    tally = Tally(encoded={job.name: 0 for job in jobs})
    open_jobs = [job for job in jobs if job.entry.manifest() is None]
    if not open_jobs:
        return tally
    started = time.perf_counter()
    widths: dict[str, dict[str, int]] = {job.name: {} for job in open_jobs}
    gone: dict[str, set[int]] = {job.name: set() for job in open_jobs}
    with reporter.task(f"encoding {split.name} with {', '.join(job.name for job in open_jobs)}", len(split)) as advance:
        for shard in range(open_jobs[0].entry.shards):
            covered = open_jobs[0].entry.shard_range(shard)
            needing = []
            for job in open_jobs:
                kept = job.entry.read_shard(shard, same_versions=True)
                if kept is None:
                    needing.append(job)
                else:
                    _note(kept, covered, widths[job.name], gone[job.name])
            if not needing:
                advance(len(covered))
                continue
            for job, rows, layers in _encode_shard(
                split, covered, needing, batch_size, workers, on_bad_image, tally, advance
            ):
                job.entry.write_shard(shard, rows, layers)
                _note({"row": rows, **layers}, covered, widths[job.name], gone[job.name])
    for job in open_jobs:
        if len(gone[job.name]) == len(split):
            raise InputError(
                f"none of the {len(split)} images can be decoded", where=split.ids[0], mend="look at these files"
            )
        job.entry.finish(tuple(split.ids[row] for row in sorted(gone[job.name])), widths[job.name])
    tally.seconds = time.perf_counter() - started
    return tally


def read_layer(entry: FeatureEntry, manifest: Manifest, layer: str) -> tuple[np.ndarray, np.ndarray] | None:
    """A layer of a finished entry, whole.

    Returns:
        Rows [n] int64 into the split and features [n, D] float32; none where a shard is absent or damaged.
    """
    rows, parts = [], []
    for shard in range(entry.shards):
        tensors = entry.read_shard(shard)
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


def _note(tensors: dict[str, np.ndarray], covered: range, widths: dict[str, int], gone: set[int]) -> None:
    gone.update(set(covered) - set(tensors["row"].tolist()))
    widths.update({name: value.shape[1] for name, value in tensors.items() if name != "row" and value.shape[0]})


def _encode_shard(
    split: Split,
    covered: range,
    jobs: Sequence[Job],
    batch_size: int,
    workers: int,
    on_bad_image: str,
    tally: Tally,
    advance: Advance,
) -> Iterator[tuple[Job, np.ndarray, dict[str, np.ndarray]]]:
    """The rows [n] of a shard that could be decoded, and each job's layers of them."""
    encoders = [job.encoder() for job in jobs]

    def make(image: Image) -> list[np.ndarray]:
        return [encoder.preprocess(image) for encoder in encoders]

    rows: list[int] = []
    pending: list[list[np.ndarray]] = []
    found: list[list[Mapping[str, np.ndarray]]] = [[] for _ in jobs]

    def flush() -> None:
        for place, encoder in enumerate(encoders):
            found[place].append(encoder.encode_images(np.stack([item[place] for item in pending])))
            tally.encoded[jobs[place].name] += len(pending)
        pending.clear()

    for item in load(split, covered, make, workers=workers, ahead=2 * batch_size):
        tally.decoded += 1
        advance()
        if item.error is not None and on_bad_image != "skip":
            raise item.error
        if item.value is None:
            tally.skipped += 1
            continue
        rows.append(item.row)
        pending.append(item.value)
        if len(pending) == batch_size:
            flush()
    if pending:
        flush()
    for place, job in enumerate(jobs):
        parts = found[place]
        layers = {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}
        yield job, np.asarray(rows, np.int64), layers
