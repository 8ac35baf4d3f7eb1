"""Columns as Arrow arrays and back, without pandas.

``pyarrow.array`` and ``to_numpy`` import pandas, if it is installed: half a second for nothing. Plain columns are built
here instead, from their buffers.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np


def arrow(column: Any) -> Any:
    """An Arrow array of a column: of an Arrow array, a NumPy array of numbers (`[N]`, or `[N, K]` for a list of K per
    row) or texts, a list of texts, of lists of texts or of arrays of numbers, or anything ``pyarrow.array`` takes."""
    import pyarrow as pa

    if isinstance(column, np.ndarray) and column.dtype == object:
        column = column.tolist()
    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf" and column.ndim in (1, 2):
        flat = _numbers(column.ravel())
        if column.ndim == 1:
            return flat
        kind = pa.list_(flat.type, column.shape[1])
        return pa.Array.from_buffers(kind, len(column), [None], children=[flat])
    if isinstance(column, list) and column:
        if set(map(type, column)) == {str}:
            return _texts(column)
        kinds = {(row.dtype, row.ndim) if isinstance(row, np.ndarray) else (None, 0) for row in column}
        if (
            isinstance(column[0], np.ndarray)
            and len(kinds) == 1
            and column[0].ndim == 1
            and column[0].dtype.kind in "iuf"
        ):
            return _lists(_numbers(np.concatenate(column)), column)
        if set(map(type, column)) == {list} and set(map(type, chain.from_iterable(column))) == {str}:
            return _lists(_texts(list(chain.from_iterable(column))), column)
    return pa.array(column)


def numpy_values(cells: Any) -> np.ndarray:
    """An Arrow array without gaps as a NumPy array `[N]`, of objects for text and lists."""
    import pyarrow as pa

    if len(cells) and (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)):
        name = str(cells.type)
        kind = np.dtype({"halffloat": "float16", "float": "float32", "double": "float64"}.get(name, name))
        return np.frombuffer(cells.buffers()[1], kind, len(cells), cells.offset * kind.itemsize).copy()
    if pa.types.is_string(cells.type):
        return np.array([*cells.to_pylist(), None], dtype=object)[:-1]
    return np.asarray(cells.to_numpy(zero_copy_only=False))


def _lists(values: Any, rows: Sequence[Any]) -> Any:
    """The values of all `rows`, one after the other, as a list for each row."""
    import pyarrow as pa

    buffers = [None, _offsets([len(row) for row in rows])]
    return pa.Array.from_buffers(pa.list_(values.type), len(rows), buffers, children=[values])


def _numbers(values: Any) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(
        pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )


def _texts(texts: Sequence[str]) -> Any:
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    buffers = [None, _offsets([len(text) for text in encoded]), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def _offsets(lengths: Sequence[int]) -> Any:
    """The offset of each row, from the lengths; `OverflowError` if 32 bits cannot hold them."""
    import pyarrow as pa

    ends = np.cumsum([0, *lengths], dtype=np.int64)
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError("more than 2 GiB of text in one column")
    return pa.py_buffer(ends.astype(np.int32))
