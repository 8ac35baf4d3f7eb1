"""Columns as Arrow arrays, without pandas.

``pyarrow.array`` imports pandas, where it is installed, to ask whether it was handed a Series: half a second for
nothing. Plain columns are laid out here instead, from their buffers.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np


def arrow(column: Any) -> Any:
    """`column` as an Arrow array.

    Args:
        column: an Arrow array, a NumPy array of numbers (`[N]`, or `[N, K]` for a list of K a row), a list of texts, a
            list of lists of texts, or anything ``pyarrow.array`` takes.
    """
    import pyarrow as pa

    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf" and column.ndim in (1, 2):
        flat = _numbers(column.ravel())
        if column.ndim == 1:
            return flat
        kind = pa.list_(flat.type, column.shape[1])
        return pa.Array.from_buffers(kind, len(column), [None], children=[flat])
    if isinstance(column, list) and column:
        if set(map(type, column)) == {str}:
            return _texts(column)
        if set(map(type, column)) == {list} and set(map(type, chain.from_iterable(column))) == {str}:
            texts = _texts(list(chain.from_iterable(column)))
            buffers = [None, _offsets([len(row) for row in column])]
            return pa.Array.from_buffers(pa.list_(pa.string()), len(column), buffers, children=[texts])
    return pa.array(column)


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
    """Where each row starts and ends, from their lengths; `OverflowError` where 32 bits do not hold it."""
    import pyarrow as pa

    ends = np.cumsum([0, *lengths], dtype=np.int64)
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError("more than 2 GiB of text in one column")
    return pa.py_buffer(ends.astype(np.int32))
