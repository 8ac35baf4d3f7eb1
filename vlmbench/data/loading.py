"""Images of a split, decoded and prepared in order, on several threads if wanted.

Threads, not processes: Pillow and NumPy leave the interpreter lock while they decode, resize and convert, nothing is
copied between processes, nothing forks under torch's own threads, and an error arrives with its image's name.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL.Image import Image

from vlmbench.data.base import Split
from vlmbench.data.images import BadImage, decode

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """One image: its row in the split, and either what was made of it or why that failed."""

    row: int
    value: T | None
    error: BadImage | None = None


def load(
    split: Split, rows: Sequence[int], make: Callable[[Image], T], *, workers: int, ahead: int
) -> Iterator[Loaded[T]]:
    """Reads, decodes and prepares the images at `rows`, in order.

    Args:
        split: where they are.
        rows: [M] indices.
        make: what to make of a decoded image; called from the worker threads.
        workers: threads; 0: in this one.
        ahead: how many images may be prepared beyond the one asked for.
    """

    def one(row: int) -> Loaded[T]:
        try:
            return Loaded(row, make(decode(split.images.read(row), split.ids[row])))
        except BadImage as error:
            return Loaded(row, None, error)

    if workers == 0:
        yield from map(one, rows)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Future[Loaded[T]]] = deque()
    try:
        for row in rows:
            waiting.append(pool.submit(one, row))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
