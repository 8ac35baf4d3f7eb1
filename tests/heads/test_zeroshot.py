import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.heads.zeroshot import ZeroShotWeights, class_weights, logits


def unit(values):
    return values / np.linalg.norm(values)


def test_class_weights_are_the_normalised_mean_of_normalised_prompts():
    embeddings = np.random.default_rng(0).normal(size=(7, 16)).astype(np.float32) * [[1], [9], [3], [1], [2], [5], [4]]
    counts = [3, 1, 3]
    expected, start = [], 0
    for count in counts:
        prompts = [unit(embeddings[i].astype(np.float64)) for i in range(start, start + count)]
        expected.append(unit(np.mean(prompts, axis=0)))
        start += count
    found = class_weights(embeddings, counts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_logits_are_scaled_cosines_with_the_bias():
    head = ZeroShotWeights(np.eye(2, dtype=np.float32), 10.0, -3.0, ("{}",), ("a", "b"), "")
    np.testing.assert_allclose(logits(np.array([[3.0, 4.0]]), head), [[6 - 3, 8 - 3]], rtol=1e-6)


def test_rows_beyond_one_block_are_all_there():
    head = ZeroShotWeights(np.eye(2, dtype=np.float32), 1.0, 0.0, ("{}",), ("a", "b"), "")
    values = np.tile([[1.0, 0.0], [0.0, 1.0]], (5000, 1))
    assert (logits(values, head).argmax(1) == np.tile([0, 1], 5000)).all()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_an_embedding_without_direction_is_an_error(bad):
    values = np.ones((3, 4), np.float32)
    values[1] = bad
    with pytest.raises(InputError, match="embedding 1"):
        class_weights(values, [3])
