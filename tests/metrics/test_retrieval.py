import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.retrieval import Ranks, metric_names, metrics_from_samples, ranks, sample_columns, top_k


def unit(rows, width, seed):
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def corpus(images=23, width=6):
    generator = np.random.default_rng(5)
    owner = np.repeat(np.arange(images), generator.integers(1, 6, images))
    return unit(images, width, 1), unit(len(owner), width, 2), owner


def plainly(images, texts, owner):
    """The definition, one query at a time."""
    scores = images.astype(np.float64) @ texts.astype(np.float64).T
    forth = [(scores[i][owner != i] > scores[i][owner == i].max()).sum() for i in range(len(images))]
    back = [(scores[:, t] > scores[owner[t], t]).sum() for t in range(len(texts))]
    return np.array(forth), np.array(back)


@pytest.mark.parametrize("block", [1, 4, 7, 4096])
def test_ranks_are_those_of_the_definition_in_blocks_of_any_size(block):
    images, texts, owner = corpus()
    found = ranks(images, texts, owner, block=block)
    forth, back = plainly(images, texts, owner)
    assert found.image_to_text.tolist() == forth.tolist()
    assert found.text_to_image.tolist() == back.tolist()


def test_an_encoder_that_tells_nothing_apart_is_not_rewarded():
    images, texts = np.ones((20, 1), np.float32), np.ones((20, 1), np.float32)
    found = ranks(images, texts, np.arange(20))
    assert (found.image_to_text == 9.5).all()
    columns = sample_columns([str(i) for i in range(20)], found, np.arange(20))
    assert metrics_from_samples(columns, metric_names(), 0)["image_to_text_recall_1"].value == 0


@pytest.mark.parametrize("block", [3, 4096])
def test_the_nearest_are_those_of_a_full_sort(block):
    queries, items = unit(9, 4, 1), unit(17, 4, 2)
    places, scores = top_k(queries, items, 5, block=block)
    expected = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :5]
    assert places.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ items.T, expected, 1), atol=1e-6)
    assert top_k(queries, items, 99)[0].shape == (9, 17)


def test_recalls_and_their_intervals():
    owner = np.array([0, 0, 1, 2])
    found = Ranks(np.array([0.0, 4.0, 30.0]), np.array([0.0, 1.0, 7.0, 20.0]))
    figures = metrics_from_samples(sample_columns(["a", "b", "c"], found, owner), metric_names(), 0)
    values = {name: metric.value for name, metric in figures.items()}
    assert values == pytest.approx(
        {
            "image_to_text_recall_1": 1 / 3,
            "image_to_text_recall_5": 2 / 3,
            "image_to_text_recall_10": 2 / 3,
            "text_to_image_recall_1": 1 / 4,
            "text_to_image_recall_5": 2 / 4,
            "text_to_image_recall_10": 3 / 4,
        }
    )
    assert all(0 <= metric.low <= metric.value <= metric.high <= 1 for metric in figures.values())


def test_images_without_texts_are_refused():
    images, texts, _ = corpus(3)
    with pytest.raises(InputError, match="every image needs a text"):
        ranks(images, texts[:2], np.array([0, 1]))
