"""Relative representations of ASIF (Norelli et al. 2022): coupled data turns any two encoders into one space.

An image is described by how like it is to the images of an anchor set, a text by how like it is to their captions; an
image and a text match when they are like the same anchors.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.rows import normalise

NONZERO = 800
POWER = 8
_ROWS = 1024
_ANCHORS = 16384


def relative(
    values: NDArray[np.floating],
    anchors: NDArray[np.floating] | Iterable[NDArray[np.floating]],
    *,
    k: int = NONZERO,
    p: float = POWER,
) -> Any:
    """Sparse relative representations (equations 1 to 3 of the paper).

    Cosines with every anchor; in each row all but the `k` largest become 0 (of equal ones at the end, those of later
    anchors); the rest is raised to the power `p`; rows get unit norm. A negative cosine counts as 0: among the largest
    of a large anchor set there is none.

    Anchors are gone through once, a block at a time: beside them, memory holds `k` numbers and places a row.

    Args:
        values: [N, D] embeddings of images or of texts.
        anchors: [A, D] embeddings of the anchors by the same encoder, or parts of that, one after the other.
        k: the number of anchors kept, at most A.
        p: the power.

    Returns:
        [N, A] `scipy.sparse.csr_array` of float32, unit norm.

    Raises:
        InputError: a row is like no anchor: none of its cosines is positive.
    """
    from scipy.sparse import csr_array

    unit = normalise(np.asarray(values, np.float32))
    starts = range(0, len(unit), _ROWS)
    best = [np.empty((min(_ROWS, len(unit) - start), 0), np.float32) for start in starts]
    places = [np.empty(found.shape, np.int32) for found in best]
    total = 0
    for block in _blocks(anchors):
        turned = normalise(np.asarray(block, np.float32)).T
        for part, start in enumerate(starts):
            cosines = unit[start : start + _ROWS] @ turned
            best[part], places[part] = _merge(best[part], places[part], cosines, total, k)
        total += len(block)
    width = min(k, total)
    data, columns = np.empty((len(unit), width), np.float32), np.empty((len(unit), width), np.int32)
    for part, start in enumerate(starts):
        powers = np.maximum(best[part], 0).astype(np.float64) ** p
        norms = np.linalg.norm(powers, axis=1, keepdims=True)
        if not norms.all():
            row = start + int(np.argmin(norms[:, 0]))
            raise InputError(
                f"embedding {row} has no positive cosine with any of the {total} anchors", fix="a larger anchor set"
            )
        data[start : start + _ROWS], columns[start : start + _ROWS] = powers / norms, places[part]
    ends = np.arange(0, data.size + 1, max(width, 1)) if width else np.zeros(len(unit) + 1, np.int64)
    return csr_array((data.ravel(), columns.ravel(), ends), shape=(len(unit), total))


def _merge(
    best: NDArray[np.float32], places: NDArray[np.int32], cosines: NDArray[np.float32], start: int, k: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The k largest cosines so far and their places, in the anchors' order.

    Args:
        best: [N, j] of the anchors before this block, j at most k.
        places: [N, j] which anchors.
        cosines: [N, B] of this block.
        start: the block's first anchor.
        k: how many are kept.
    """
    if best.shape[1] < k:
        fresh, where = (
            cosines,
            np.broadcast_to(np.arange(start, start + cosines.shape[1], dtype=np.int32), cosines.shape),
        )
    else:
        rows, columns = np.nonzero(cosines > best.min(axis=1, keepdims=True))
        if not len(rows):
            return best, places
        counts = np.bincount(rows, minlength=len(best))
        slots = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        fresh = np.full((len(best), counts.max()), -np.inf, np.float32)
        where = np.zeros(fresh.shape, np.int32)
        fresh[rows, slots], where[rows, slots] = cosines[rows, columns], columns + start
    both, ids = np.concatenate([best, fresh], axis=1), np.concatenate([places, where], axis=1)
    if both.shape[1] <= k:
        return both, ids
    floor = np.partition(both, -k, axis=1)[:, -k, None]
    above, equal = both > floor, both == floor
    lacking = k - above.sum(axis=1)
    crowded = equal.sum(axis=1) > lacking
    equal[crowded] &= np.cumsum(equal[crowded], axis=1) <= lacking[crowded, None]
    chosen = np.nonzero(above | equal)[1].reshape(len(both), k)
    return np.take_along_axis(both, chosen, 1), np.take_along_axis(ids, chosen, 1)


def _blocks(anchors: NDArray[np.floating] | Iterable[NDArray[np.floating]]) -> Iterator[NDArray[np.floating]]:
    """The anchors in blocks of about `_ANCHORS` rows."""
    if isinstance(anchors, np.ndarray):
        for start in range(0, len(anchors), _ANCHORS):
            yield anchors[start : start + _ANCHORS]
        return
    waiting: list[NDArray[np.floating]] = []
    for part in anchors:
        waiting.append(part)
        if sum(map(len, waiting)) >= _ANCHORS:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
