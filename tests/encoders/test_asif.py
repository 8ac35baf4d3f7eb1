import numpy as np
import pytest
from scipy.sparse import issparse

from vlmbench.encoders import asif as module
from vlmbench.encoders.asif import relative
from vlmbench.foundations.errors import InputError


def ten_lines(x, anchors, k, p):
    """Norelli et al. 2022, equations 1 to 3, a row at a time."""
    rows = []
    for row in x:
        cosines = np.array([row @ a / np.linalg.norm(row) / np.linalg.norm(a) for a in anchors])
        kept = np.sort(cosines)[-k:][0]
        sparse = np.where(cosines >= kept, cosines, 0.0).clip(0)
        powered = sparse**p
        rows.append(powered / np.linalg.norm(powered))
    return np.array(rows)


@pytest.mark.parametrize(("k", "p"), [(1, 1), (5, 8), (20, 3.5), (99, 2)])
@pytest.mark.parametrize("block", [4, 7, 16384])
def test_it_is_the_papers_formula_whatever_the_blocks(k, p, block, monkeypatch):
    monkeypatch.setattr(module, "_ANCHORS", block)
    monkeypatch.setattr(module, "_ROWS", 3)
    generator = np.random.default_rng(0)
    x, anchors = generator.normal(size=(7, 12)), generator.normal(size=(30, 12))
    found = relative(x, anchors, k=k, p=p)
    assert issparse(found)
    assert (found.shape, found.dtype) == ((7, 30), np.float32)
    np.testing.assert_allclose(found.toarray(), ten_lines(x, anchors, min(k, 30), p), atol=1e-5)
    assert (np.count_nonzero(found.toarray(), axis=1) <= k).all()
    np.testing.assert_allclose(np.linalg.norm(found.toarray(), axis=1), 1, atol=1e-5)


def test_anchors_come_whole_or_in_parts(monkeypatch):
    monkeypatch.setattr(module, "_ANCHORS", 8)
    generator = np.random.default_rng(1)
    x, anchors = generator.normal(size=(5, 6)), generator.normal(size=(40, 6))
    parts = iter([anchors[:1], anchors[1:20], anchors[20:20], anchors[20:]])
    np.testing.assert_array_equal(relative(x, parts, k=9).toarray(), relative(x, anchors, k=9).toarray())


@pytest.mark.parametrize("block", [1, 3, 5, 100])
def test_of_equal_anchors_the_first_are_kept(block, monkeypatch):
    monkeypatch.setattr(module, "_ANCHORS", block)
    anchors = np.repeat(np.eye(3)[[0, 1, 0]], 3, axis=0)  # 0 1 2 and 6 7 8 are the same
    found = relative(np.array([[1.0, 0, 0], [0.6, 0.8, 0]]), anchors, k=4, p=1).toarray()
    assert np.flatnonzero(found[0]).tolist() == [0, 1, 2, 6]
    assert np.flatnonzero(found[1]).tolist() == [0, 3, 4, 5]


def test_a_row_that_is_like_no_anchor_is_told_of():
    with pytest.raises(InputError, match="embedding 1 has no positive cosine with any of the 2 anchors"):
        relative(np.array([[1.0, 0], [-1, -1]]), np.eye(2))
