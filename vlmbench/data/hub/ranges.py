"""Ranges of files that are far away: read in blocks, several at a time, each block once as long as memory allows.

Sequential readers get the next blocks prefetched; random readers get the requested bytes and no
more. What a first pass over the files brought is kept for the pass that follows, as far as there is room.
"""

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, cached_property
from itertools import count
from typing import Protocol

BLOCK = 4 * 1024**2
"""Bytes of one request."""
AHEAD = 3
"""Blocks that are prefetched."""
CONNECTIONS = 8
"""Concurrent requests."""
_MOST = 1024**3
_WORKING = 16
"""Blocks that several readers are in the middle of."""
_OWNERS = count()

Key = tuple[int, int, int]
"""Of a block: whose it is, which file, and its number in it."""


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

    def read(self, file: int, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`, all of which are in the file."""

    def passed(self, file: int, position: int) -> None:
        """Says that a first pass has come to `position`: what lies before is kept only where there is room."""


class Memory:
    """The blocks of all that is streamed, on their way or there: up to `room` bytes, or a few that are in use.

    Its methods are called with the lock held.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.lock = threading.Lock()
        self.blocks: OrderedDict[Key, Future[bytes]] = OrderedDict()  # the one that was read longest ago comes first
        self.kept: set[Key] = set()
        self.gone: deque[int] = deque()  # owners whose blocks nobody can ask for any more

    def trim(self) -> None:
        """Drops what was read longest ago and is not kept for later, but none of the `_WORKING` newest."""
        while self.gone:
            owner = self.gone.popleft()
            for key in [key for key in self.blocks if key[0] == owner]:
                del self.blocks[key]
                self.kept.discard(key)
        for key in [key for key in self.blocks if key not in self.kept][:-_WORKING]:
            if len(self.blocks) * BLOCK <= self.room:
                return
            del self.blocks[key]

    def keep(self, keys: list[Key]) -> None:
        """Keeps blocks until they are read again, or drops them where there is no room."""
        for key in keys:
            if (len(self.kept) + _WORKING) * BLOCK < self.room:
                self.kept.add(key)
            else:
                del self.blocks[key]


@cache
def shared_memory() -> Memory:
    """The one of this process."""
    return Memory(kept_bytes())


class Blocks:
    """Ranges of files behind slow requests.

    Args:
        fetch: gives the bytes of a file from one place up to another; called from several threads.
        sizes: bytes of each file.
        memory: where blocks are kept; None: in the one that all share.
    """

    def __init__(
        self, fetch: Callable[[int, int, int], bytes], sizes: tuple[int, ...], memory: Memory | None = None
    ) -> None:
        self._fetch = fetch
        self._sizes = sizes
        self._memory = memory or shared_memory()
        self._owner = next(_OWNERS)
        self._last: dict[int, int] = {}
        weakref.finalize(self, self._memory.gone.append, self._owner)  # no lock: it runs wherever memory is collected

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
            with self._memory.lock:
                for place in range(first, last + 1):
                    self._memory.blocks.pop((self._owner, file, place), None)
                    self._memory.kept.discard((self._owner, file, place))
            raise
        return data[start - first * BLOCK : stop - first * BLOCK]

    def passed(self, file: int, position: int) -> None:
        """Keeps the blocks of a file before `position` for the pass to come, or drops them where there is no room."""
        memory = self._memory
        with memory.lock:
            mine = [key for key in memory.blocks if key[:2] == (self._owner, file) and key not in memory.kept]
            memory.keep([key for key in mine if min((key[2] + 1) * BLOCK, self._sizes[file]) <= position])

    def _wanted(self, file: int, first: int, last: int) -> list[Future[bytes]] | None:
        """The blocks, each on its way or there; None where the range is better asked for by itself."""
        keys = [(self._owner, file, place) for place in range(first, last + 1)]
        memory = self._memory
        with memory.lock:
            before = self._last.get(file, -1)
            near = before - AHEAD <= first <= before + 1
            self._last[file] = max(before, last) if near else last
            if not near and not all(key in memory.blocks for key in keys):
                return None
            ahead = AHEAD if 0 <= before < last else 0
            end = -(-self._sizes[file] // BLOCK)
            for place in range(first, min(last + ahead + 1, end)):
                if (self._owner, file, place) not in memory.blocks:
                    start = place * BLOCK
                    stop = min(start + BLOCK, self._sizes[file])
                    memory.blocks[self._owner, file, place] = self._pool.submit(self._fetch, file, start, stop)
            for key in keys:
                memory.blocks.move_to_end(key)
                memory.kept.discard(key)
            found = [memory.blocks[key] for key in keys]
            memory.trim()
            return found
