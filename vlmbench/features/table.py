"""Tables of features that stay in their files and are read a block of rows at a time."""

import mmap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.rows import normalise

BLOCK = 2**20
"""Numbers that are read at once where nothing else says how many."""


class Table:
    """Features `[N, D]` of which only the rows that are in use are in memory.

    `table[start:stop]` and `table[rows]` (int64 indices or a mask) are tables too and read nothing; `np.asarray`
    reads. Memory of a mapped file is given back after each read, so that memory does not grow with what was read.

    Args:
        parts: `[n, D]` each, one after the other: arrays, arrays mapped from files, tables.
        rows: the rows of all parts together that the table has, in its order; None: all.
        dtype: of what is read.
        unit: whether rows are scaled to unit length when they are read.

    Attributes:
        shape: (N, D).
        dtype: of what is read.
    """

    ndim = 2

    def __init__(
        self,
        parts: Sequence[Any],
        rows: range | NDArray[np.int64] | None = None,
        *,
        dtype: Any = np.float32,
        unit: bool = False,
    ) -> None:
        self._parts, self._unit, self.dtype = parts, unit, np.dtype(dtype)
        self._ends = np.cumsum([0, *(part.shape[0] for part in parts)])
        self._rows = range(int(self._ends[-1])) if rows is None else rows
        self.shape: tuple[int, int] = (len(self._rows), int(parts[0].shape[1]))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole."""
        return int(self.shape[0] * self.shape[1] * self.dtype.itemsize)

    def __getitem__(self, key: slice | NDArray[Any]) -> Self:
        if isinstance(key, slice):
            chosen: Any = self._rows[key]
        else:
            chosen = np.arange(len(self))[key] if isinstance(self._rows, range) else self._rows[key]
            if isinstance(self._rows, range):
                chosen = self._rows.start + self._rows.step * chosen
        return type(self)(self._parts, chosen, dtype=self.dtype, unit=self._unit)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = np.empty(self.shape, self.dtype)
        rows = np.asarray(self._rows)
        numbers = np.searchsorted(self._ends, [rows.min(), rows.max()], side="right") - 1 if len(rows) else (0, -1)
        for number in range(int(numbers[0]), int(numbers[1]) + 1):
            first, end = self._ends[number : number + 2]
            inside = (rows >= first) & (rows < end)
            if inside.any():
                found[inside] = _chosen(self._parts[number], rows[inside] - first)
                release(self._parts[number])
        if self._unit:
            found = normalise(found)
        return found if dtype is None else found.astype(dtype, copy=False)

    def astype(self, dtype: Any) -> NDArray[Any]:
        """All rows, in memory."""
        return self.__array__(dtype)

    def blocks(self, rows: int | None = None) -> Iterator[NDArray[Any]]:
        """The rows, so many at a time."""
        step = rows or max(1, BLOCK // max(1, self.shape[1]))
        for start in range(0, len(self), step):
            yield np.asarray(self[start : start + step])

    def normalised(self) -> Self:
        """The table with rows of unit length.

        Raises:
            InputError: a row is zero or not finite.
        """
        at = 0
        for block in self.blocks():
            norms = np.linalg.norm(block, axis=1)
            if not (np.isfinite(norms) & (norms > 0)).all():
                row = at + int(np.argmin(np.isfinite(norms) & (norms > 0)))
                raise InputError(f"embedding {row} is zero or not finite", fix="--precision fp32, or another model")
            at += len(block)
        return type(self)(self._parts, self._rows, dtype=self.dtype, unit=True)


def release(values: Any) -> None:
    """Gives the memory back that reading a mapped array took; its file is read again where it is used again."""
    mapping = getattr(values, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        with suppress(OSError, ValueError):
            mapping.madvise(mmap.MADV_DONTNEED)


def _chosen(part: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a part; evenly spaced ones without a copy."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    step = int(rows[1]) - first if len(rows) > 1 else 1
    even = step > 0 and last - first == (len(rows) - 1) * step + 1 and bool((np.diff(rows) == step).all())
    return part[first:last:step] if even else part[rows]
