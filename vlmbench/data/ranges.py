"""Ranges of files that are far away: read in blocks, several at a time, each block once as long as memory allows.

Whoever reads on from block to block gets the next ones ahead; whoever jumps gets the bytes that were asked for and no
more. What a first pass over the files brought is kept, up to `KEPT` bytes, for the pass that follows.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Protocol

BLOCK = 4 * 1024**2
"""Bytes of one request."""
AHEAD = 3
"""Blocks that are fetched before they are asked for."""
CONNECTIONS = 8
"""Requests at a time."""
_MOST = 1024**3
_WORKING = 16
"""Blocks that several readers are in the middle of."""

Key = tuple[int, int]


def kept_bytes() -> int:
    """Bytes that are kept in memory: an eighth of it, 1 GiB at most."""
    try:
        return min(_MOST, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)
    except (AttributeError, ValueError, OSError):  # no such thing on this platform
        return _MOST // 4


class Ranges(Protocol):
    """Files whose bytes can be had from anywhere; safe to read from several threads."""

    def size(self, file: int) -> int:
        """Bytes of a file."""
        ...

    def read(self, file: int, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`, all of which are in the file."""
        ...

    def passed(self, file: int, position: int) -> None:
        """Says that a first pass has come to `position`: what lies before is kept only where there is room."""
        ...


class Blocks:
    """Ranges of files behind slow requests.

    Args:
        fetch: gives the bytes of a file from one place up to another; called from several threads.
        sizes: bytes of each file.
        kept: bytes of blocks that are kept.
    """

    def __init__(
        self, fetch: Callable[[int, int, int], bytes], sizes: tuple[int, ...], kept: int | None = None
    ) -> None:
        self._fetch = fetch
        self._sizes = sizes
        self._room = kept_bytes() if kept is None else kept
        self._lock = threading.Lock()
        self._blocks: OrderedDict[Key, Future[bytes]] = OrderedDict()  # the one that was read longest ago comes first
        self._kept: set[Key] = set()
        self._last: dict[int, int] = {}

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch")

    def size(self, file: int) -> int:
        """Bytes of a file."""
        return self._sizes[file]

    def read(self, file: int, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`; what `fetch` raises comes through, and the next call asks again."""
        if start >= stop:
            return b""
        first, last = start // BLOCK, (stop - 1) // BLOCK
        wanted = self._wanted(file, first, last)
        if wanted is None:
            return self._fetch(file, start, stop)
        try:
            data = b"".join(future.result() for future in wanted)
        except Exception:
            with self._lock:
                for place in range(first, last + 1):
                    self._blocks.pop((file, place), None)
            raise
        return data[start - first * BLOCK : stop - first * BLOCK]

    def passed(self, file: int, position: int) -> None:
        """Keeps the blocks of a file before `position` for the pass to come, or drops them where there is no room."""
        with self._lock:
            for key in [key for key in self._blocks if key[0] == file and key not in self._kept]:
                if min((key[1] + 1) * BLOCK, self._sizes[file]) <= position:
                    if (len(self._kept) + _WORKING) * BLOCK < self._room:
                        self._kept.add(key)
                    else:
                        del self._blocks[key]

    def _wanted(self, file: int, first: int, last: int) -> list[Future[bytes]] | None:
        """The blocks, each on its way or there; none where the range is better asked for by itself."""
        keys = [(file, place) for place in range(first, last + 1)]
        with self._lock:
            before = self._last.get(file, -1)
            near = before - AHEAD <= first <= before + 1
            self._last[file] = max(before, last) if near else last
            if not near and not all(key in self._blocks for key in keys):
                return None
            ahead = AHEAD if 0 <= before < last else 0
            end = -(-self._sizes[file] // BLOCK)
            for place in range(first, min(last + ahead + 1, end)):
                if (file, place) not in self._blocks:
                    start = place * BLOCK
                    stop = min(start + BLOCK, self._sizes[file])
                    self._blocks[file, place] = self._pool.submit(self._fetch, file, start, stop)
            for key in keys:
                self._blocks.move_to_end(key)
                self._kept.discard(key)
            self._trim()
            return [self._blocks[key] for key in keys]

    def _trim(self) -> None:
        """Drops what was read longest ago and is not kept for later, but none of the `_WORKING` newest."""
        free = [key for key in self._blocks if key not in self._kept][:-_WORKING]
        for key in free:
            if len(self._blocks) * BLOCK <= self._room:
                return
            del self._blocks[key]
