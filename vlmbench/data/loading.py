"""Images of a split, decoded and prepared in order: on several threads, or by a process for each of them.

Threads are enough beside a model on the CPU: Pillow and NumPy leave the interpreter lock while they decode, resize and
convert, and nothing is copied. Beside a GPU, which waits for images on every core, they get in one another's way; there
each thread only reads files, and has a process that decodes them (`decoders`).
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import numpy as np
from PIL.Image import Image

from vlmbench.data.base import Split
from vlmbench.data.decoders import Decoder, Source, Step
from vlmbench.data.images import BadImage, decode

S = TypeVar("S")
T = TypeVar("T")

CHUNK = 8
"""Images that a process is given at once."""


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """One image: its row in the split, what was made of it or why that failed, and how many seconds that took."""

    row: int
    value: T | None
    error: BadImage | None = None
    decode: float = 0.0
    preprocess: float = 0.0


def load(
    split: Split, rows: Sequence[int], make: Callable[[Image, str], T], *, workers: int, ahead: int
) -> Generator[Loaded[T], None, None]:
    """Reads, decodes and prepares the images at `rows`, in order. `make` gets a decoded image and its id, on one of so
    many threads (`workers`; 0: in this one); at most `ahead` images are prepared beyond the one asked for."""

    def one(row: int) -> Loaded[T]:
        begun = time.perf_counter()
        try:
            image = decode(split.images.read(row), split.ids[row])
            decoded = time.perf_counter()
            value = make(image, split.ids[row])
        except BadImage as error:
            return Loaded(row, None, error, time.perf_counter() - begun)
        return Loaded(row, value, None, decoded - begun, time.perf_counter() - decoded)

    if workers == 0:
        yield from map(one, rows)
        return
    with _threads(workers) as pool:
        yield from _in_order(pool, one, rows, ahead, lending=True)


def load_resized(
    split: Split, rows: Sequence[int], steps: Sequence[Step], *, workers: int, ahead: int
) -> Generator[Loaded[list[np.ndarray]], None, None]:
    """The same by `workers` processes: of each image what each of `steps` makes, [3, H, W] uint8. Raises `InputError`
    where a process was ended, as it is where memory runs out."""
    file: Callable[[int], Path] | None = getattr(split.images, "file", None)
    decoders: list[Decoder] = []
    idle: SimpleQueue[Decoder] = SimpleQueue()

    def chunk(rows: Sequence[int]) -> list[Loaded[list[np.ndarray]]]:
        begun = time.perf_counter()
        raws: dict[int, Source] = {}
        damaged: dict[int, BadImage] = {}
        for row in rows:
            try:
                raws[row] = file(row) if file is not None else split.images.read(row)
            except BadImage as error:
                damaged[row] = error
        read = time.perf_counter() - begun
        try:
            decoder = idle.get_nowait()
        except Empty:
            decoders.append(decoder := Decoder(steps, CHUNK))
        found, decoding, preparing = decoder.decode([(raw, split.ids[row]) for row, raw in raws.items()])
        idle.put(decoder)
        values = damaged | dict(zip(raws, found, strict=True))
        each = ((read + decoding) / len(rows), preparing / len(rows))
        return [
            Loaded(row, None, value, *each) if isinstance(value, BadImage) else Loaded(row, value, None, *each)
            for row, value in ((row, values[row]) for row in rows)
        ]

    def end() -> None:
        while decoders:
            decoders.pop().close()

    try:
        with _threads(workers, end) as pool:
            chunks = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
            for items in _in_order(pool, chunk, chunks, ahead // CHUNK + workers):
                yield from items
    finally:
        end()  # one that was started when the others were ended


@contextmanager
def _threads(workers: int, end: Callable[[], None] = lambda: None) -> Iterator[ThreadPoolExecutor]:
    """Threads, ended with what they do; `end` makes them end it."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        end()
        pool.shutdown(wait=True)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[S], T], items: Iterable[S], ahead: int, *, lending: bool = False
) -> Iterator[T]:
    """What `work` makes of each item, on the pool's threads, at most `ahead` beyond the one asked for.

    With `lending` the thread that asks works on items too, while it would only wait for the next one: where decoding
    takes longer than a model on the CPU, no core is idle.
    """
    waiting: deque[tuple[S, Future[T]]] = deque()

    def first() -> T:
        while lending and not waiting[0][1].done():
            place = next((place for place, (_, future) in enumerate(waiting) if future.cancel()), None)
            if place is None:
                break
            item, future = waiting[place][0], Future[T]()
            try:
                future.set_result(work(item))
            except Exception as error:
                future.set_exception(error)
            waiting[place] = item, future
        return waiting.popleft()[1].result()

    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > ahead:
            yield first()
    while waiting:
        yield first()
