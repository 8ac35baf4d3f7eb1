"""The images of a streamed split: a position in the stream that advances as images are requested.

Decoding threads request images nearly in order, so recent images are kept for a while. For an image far ahead or
behind, the stream is reopened where that image's piece begins.
"""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from vlmbench.data.hub.stream import Piece, Stream
from vlmbench.data.images import FIX, BadImage, Raw
from vlmbench.foundations.errors import InputError, VlmbenchError
from vlmbench.foundations.text import visible

WINDOW = 512
"""Rows that are kept at most, and that may be passed over on the way to the one that is asked for."""
HELD = 128 * 1024**2
"""Maximum bytes of images that are kept."""


class StreamedImages:
    """The image column of a streamed split, undecoded."""

    def __init__(self, stream: Stream, pieces: tuple[Piece, ...], column: str) -> None:
        self._stream = stream
        self._pieces = pieces
        self._starts = np.array([piece.start for piece in pieces], np.int64)
        self._count = pieces[-1].start + pieces[-1].rows if pieces else 0
        self._column = column
        self._lock = threading.Lock()
        self._rows: Iterator[Any] = iter(())
        self._next = -1
        self._kept: dict[int, Any] = {}
        self._held = 0
        self._failed: VlmbenchError | None = None

    def __len__(self) -> int:
        return self._count

    def stamp(self) -> str | None:
        """None: what is known of its content without reading it is the split's checksum."""
        return None

    def read(self, index: int) -> Raw:
        """The image's encoded bytes; `BadImage` where the row has none, `AbsentError` for every row once the stream
        broke off."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        with self._lock:
            if self._failed is not None:
                raise self._failed
            try:
                cell = self._cell(index)
            except VlmbenchError as error:
                self._failed = error
                raise
        data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        if data is None and path is not None:
            return self._stream.read_file(path)
        if data is None:
            raise BadImage(f"row {index} has no image", where=f"row {index}", fix=FIX)
        return bytes(data)

    def _cell(self, index: int) -> Any:
        if index in self._kept:
            return self._kept[index]
        if not self._ahead(index):
            self._next = int(self._starts[self._piece(index)])
            self._rows = self._from(self._next)
        while True:
            row, cell = self._next, next(self._rows)
            self._next += 1
            self._keep(row, cell)
            if row == index:
                return cell

    def _piece(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1

    def _ahead(self, index: int) -> bool:
        """Whether the stream, read on, comes to a row soon."""
        if not 0 <= self._next <= index or self._next >= self._count:
            return False
        return index - self._next <= WINDOW or self._piece(index) == self._piece(self._next)

    def _from(self, start: int) -> Iterator[Any]:
        """The rows from the first one of a piece to the end of the split."""
        place = self._piece(start)
        while place < len(self._pieces):
            piece = self._pieces[place]
            following = next(
                (at for at in range(place, len(self._pieces)) if self._pieces[at].unit != piece.unit), len(self._pieces)
            )
            expected = sum(item.rows for item in self._pieces[place:following])
            found = 0
            for cell in self._stream.rows(piece, self._column):
                found += 1
                if found <= expected:
                    yield cell
            if found != expected:
                raise InputError(
                    f"a file of {visible(self._stream.source.id)} has {found} rows, but {expected} in its index",
                    where=self._stream.source.id,
                    fix="run it with another --cache-dir",
                )
            place = following

    def _keep(self, row: int, cell: Any) -> None:
        if row in self._kept:
            return
        self._kept[row] = cell
        self._held += _bytes(cell)
        while len(self._kept) > WINDOW or (self._held > HELD and len(self._kept) > 1):
            self._held -= _bytes(self._kept.pop(next(iter(self._kept))))


def _bytes(cell: Any) -> int:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return len(data) if data is not None else 0
