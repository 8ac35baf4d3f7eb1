import numpy as np
import pytest
from scipy.sparse import csr_array, issparse

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.retrieval import ranks
from vlmbench.metrics.rows import means, normalise, paired_products, products


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(9, 12)) * (generator.random((9, 12)) < 0.4)
    values[:, 0] += 1
    return values


def test_sparse_rows_are_treated_as_dense_ones_are(rows):
    sparse = csr_array(rows)
    unit = normalise(rows)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1)
    for found, expected in (
        (normalise(sparse), unit),
        (means(sparse, [2, 3, 4]), np.stack([rows[:2].mean(0), rows[2:5].mean(0), rows[5:].mean(0)])),
    ):
        assert issparse(found)
        np.testing.assert_allclose(found.toarray(), expected, atol=1e-12)
    np.testing.assert_allclose(means(rows, [2, 3, 4])[1], rows[2:5].mean(0))
    for left in (rows, sparse):
        for right in (rows[:4], sparse[:4]):
            found = products(left, right)
            assert isinstance(found, np.ndarray)
            np.testing.assert_allclose(found, rows @ rows[:4].T, atol=1e-12)
    turned = rows[::-1].copy()
    for found in (paired_products(rows, turned), paired_products(sparse, csr_array(turned))):
        np.testing.assert_allclose(found, (rows * turned).sum(1), atol=1e-12)


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_a_row_without_direction_is_told_of(kind, rows):
    rows[3] = 0
    with pytest.raises(InputError, match="embedding 3 is zero"):
        normalise(kind(rows))


def test_ranks_of_sparse_rows_are_those_of_dense_ones(rows):
    images, texts = normalise(rows[:5]).astype(np.float32), normalise(rows).astype(np.float32)
    owner = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3])
    expected = ranks(images, texts, owner, block=4)
    found = ranks(csr_array(images), csr_array(texts), owner, block=4)
    np.testing.assert_array_equal(found.image_to_text, expected.image_to_text)
    np.testing.assert_array_equal(found.text_to_image, expected.text_to_image)
