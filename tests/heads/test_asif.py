import numpy as np
import pytest

from vlmbench.heads.asif import relative


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
def test_it_is_the_papers_formula(k, p):
    generator = np.random.default_rng(0)
    x, anchors = generator.normal(size=(7, 12)), generator.normal(size=(30, 12))
    found = relative(x, anchors, k=k, p=p)
    np.testing.assert_allclose(found, ten_lines(x, anchors, min(k, 30), p), atol=1e-5)
    assert (np.count_nonzero(found, axis=1) <= k).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_rows_beyond_a_block_are_all_there():
    generator = np.random.default_rng(0)
    x, anchors = generator.normal(size=(1500, 4)), generator.normal(size=(9, 4))
    np.testing.assert_allclose(relative(x, anchors, k=3)[-1:], relative(x[-1:], anchors, k=3), atol=1e-6)
