"""How the images of a split are handed out to the processes that encode them: in units of whole batches.

Units depend on the split's size and the batch size alone. A batch never spans two, so features are the same bytes
whichever process encodes which unit, in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, lcm

import numpy as np

from vlmbench.features.store import ROWS

PARTS = 16
"""Units that a small split has at least, where its batches allow it."""


@dataclass(frozen=True)
class Share:
    """The part of a process in a pass that others work at too.

    It begins with a part of its own, and goes on with what is left of the others', so that none waits long for one that
    is slow, or at all for one that was killed.

    Attributes:
        number: of the process, counted from 0.
        count: of processes.
    """

    number: int = 0
    count: int = 1


ALL = Share()


def unit_of(images: int, batch_size: int, views: int = 1) -> int:
    """How many rows of a split are handed out at once: `ROWS`, or a `PARTS`-th of a small split; whole batches, and all
    views of an image."""
    step = lcm(batch_size, views)
    return step * max(1, ceil(min(ROWS, images / PARTS) / step))


def part_of(images: int, unit: int, number: int, count: int) -> range:
    """The `number`-th (from 0) of `count` parts of a split, each of whole units; empty where there are too few."""
    parts = np.array_split(np.arange(0, images, unit), count)[number]
    return range(int(parts[0]), min(int(parts[-1]) + unit, images)) if len(parts) else range(0)


def in_units(lacking: Sequence[range], images: int, unit: int, share: Share = ALL) -> list[range]:
    """Ranges of images cut where units end, those of the share's own part first, then on and round."""
    parts = [
        range(start, min(stop, gap.stop))
        for gap in lacking
        for start, stop in pairwise([gap.start, *range((gap.start // unit + 1) * unit, gap.stop, unit), gap.stop])
        if len(gap)
    ]
    own = part_of(images, unit, share.number, share.count)
    return sorted(parts, key=lambda part: (part.start - own.start) % images)


def merged(parts: Sequence[range]) -> list[range]:
    """Ranges that together cover what `parts` do, ascending, none touching another."""
    found: list[range] = []
    for part in sorted(parts, key=lambda part: part.start):
        if found and part.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, part.stop))
        else:
            found.append(part)
    return found
