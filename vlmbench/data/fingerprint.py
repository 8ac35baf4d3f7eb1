"""Fingerprints: a digest of a split's ids, labels and image bytes, in order.

Reading every image again on each run would cost as much as encoding them on a fast device, so a fingerprint is stored
in the cache directory by the cheap stamp (paths, sizes, times) it was computed for, like git's index. Of several
processes that need one at once, as shards and workers do, one computes it and the others wait.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from vlmbench.data.base import Split
from vlmbench.data.corrupted import clean
from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.data.images import Raw
from vlmbench.foundations.atomic import exclusive
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest, sha256_file
from vlmbench.foundations.notes import read_note, write_note
from vlmbench.foundations.progress import Reporter

_VERSION = 1


def fingerprint(split: Split, cache_dir: Path, reporter: Reporter) -> str:
    """SHA-256 over ids, labels, image bytes and regions, as 64 hexadecimal digits.

    It changes whenever an image, a label, an id, a box or the order does. For images whose files a hub has checksums
    of, these stand for the bytes, so that none is read, and a streamed split has the fingerprint of a fetched one. That
    of corrupted images is made from the clean ones' and the corruption.
    """
    split, corruption = clean(split)
    if corruption is not None:
        return corrupted_fingerprint(fingerprint(split, cache_dir, reporter), corruption)
    regions = split.regions
    boxes = [] if regions is None else [regions.boxes.tolist(), list(regions.images)]
    if split.checksum is not None:
        return digest([_VERSION, split.checksum, list(split.ids), split.labels.tolist(), *boxes])
    stamp = split.images.stamp()
    if stamp is None:
        return _compute(split, reporter)
    key = digest([_VERSION, stamp, split.name, list(split.ids), split.labels.tolist(), *boxes])
    note = cache_dir / "fingerprints" / f"{key}.json"
    return _noted(note, lambda: _compute(split, reporter), lambda: split.images.stamp() == stamp)


def corrupted_fingerprint(sha256: str, corruption: Corruption) -> str:
    """The fingerprint of images whose clean ones have `sha256`."""
    return digest([sha256, *corruption.key])


def _compute(split: Split, reporter: Reporter) -> str:
    total = hashlib.sha256(f"vlmbench-split-{_VERSION}\n{len(split)}\n".encode())
    regions, image = split.regions, ""
    with reporter.task(f"fingerprint of {split.name}", len(split)) as advance:
        for index, name in enumerate(split.ids):
            label = np.atleast_1d(split.labels[index]).tolist()
            if regions is None or index == 0 or regions.images[index] != regions.images[index - 1]:
                image = _digest(split, index)
            box = [regions.boxes[index].tolist()] if regions is not None else []
            total.update(json.dumps([name, label, image, *box]).encode())
            advance()
    return total.hexdigest()


def _digest(split: Split, index: int) -> str:
    try:
        return image_digest(split.images.read(index))
    except InputError as error:  # an unreadable file is reported, or skipped, when it is decoded
        return f"unreadable: {type(error).__name__}"


def image_digest(raw: Raw) -> str:
    """SHA-256 of an image's encoded bytes, or of its shape and pixels."""
    if isinstance(raw, np.ndarray):
        return hashlib.sha256(
            str((raw.shape, raw.dtype.str)).encode() + np.ascontiguousarray(raw).tobytes()
        ).hexdigest()
    return hashlib.sha256(raw).hexdigest()


def kept_sha256(path: Path, cache_dir: Path) -> str:
    """SHA-256 of a file, computed once for its path, size and times."""
    facts = path.stat()
    key = digest([str(path.resolve()), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns])
    return _noted(cache_dir / "hashes" / f"{key}.json", lambda: sha256_file(path))


def _noted(note: Path, compute: Callable[[], str], still: Callable[[], bool] = lambda: True) -> str:
    """What a note says, else what is computed, noted where nothing has changed meanwhile."""
    if isinstance(known := read_note(note), str):
        return known
    lock = note.with_suffix(".lock")
    with exclusive(lock):
        if not isinstance(value := read_note(note), str):
            value = compute()
            if still():
                write_note(note, value)
    with suppress(OSError):  # Windows: somebody waits for it
        lock.unlink()
    return value
