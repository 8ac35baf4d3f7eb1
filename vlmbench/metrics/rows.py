"""Rows of features, dense or sparse: unit norm, means, inner products.

Sparse rows (`scipy.sparse.csr_array`) are the relative representations of ASIF over many anchors.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError


def is_sparse(values: Any) -> bool:
    """Whether rows are sparse, found out without scipy, which takes its time to import, where nobody made any."""
    library = sys.modules.get("scipy.sparse")
    return library is not None and bool(library.issparse(values))


def normalise(values: Any) -> Any:
    """Rows [..., D], or [N, D] sparse, of unit L2 norm; `InputError` where one is zero or not finite, so has no
    direction."""
    sparse = is_sparse(values)
    norms = np.sqrt(values.power(2).sum(axis=1))[:, None] if sparse else np.linalg.norm(values, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norms)) or np.any(norms == 0):
        row = int(np.argmax(~np.isfinite(norms[..., 0]) | (norms[..., 0] == 0)))
        raise InputError(f"embedding {row} is zero or not finite", fix="--precision fp32, or another model")
    if not sparse:
        return values / norms
    from scipy.sparse import csr_array

    return csr_array(values.multiply(1 / norms))


def means(values: Any, counts: Sequence[int]) -> Any:
    """Means [C, D] of groups of consecutive rows [sum of counts, D], dense or sparse; `counts` [C] has the rows of each
    group, at least 1."""
    sizes = np.asarray(counts, np.float64)
    if is_sparse(values):
        from scipy.sparse import csr_array

        ends = np.concatenate([[0], np.cumsum(counts)])
        return csr_array(csr_array((np.repeat(1 / sizes, counts), np.arange(ends[-1]), ends)) @ values)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return np.add.reduceat(values, starts, axis=0) / sizes[:, None]


def products(rows: Any, columns: Any) -> NDArray[np.floating]:
    """Inner products [N, M], dense, of every row [N, D] with every row of another matrix [M, D]; either or both may be
    sparse."""
    found = rows @ columns.T
    dense: NDArray[np.floating] = found.toarray() if is_sparse(found) else found
    return dense


def paired_products(rows: Any, others: Any) -> NDArray[np.float64]:
    """Inner products [N] float64 of each row [N, D] with the same row of another matrix, both dense or both sparse."""
    if is_sparse(rows):
        return np.asarray(rows.astype(np.float64).multiply(others).sum(axis=1))
    found: NDArray[np.float64] = np.einsum("nd,nd->n", rows, others, dtype=np.float64)
    return found
