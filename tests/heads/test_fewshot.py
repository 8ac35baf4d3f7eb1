from itertools import pairwise

import numpy as np
import pytest

from vlmbench.heads.fewshot import few_shot_sample, holdout

Y = np.random.default_rng(0).permutation(np.repeat(np.arange(6), 50))


def test_samples_are_balanced_nested_and_disjoint():
    before = None
    for k in (1, 2, 4, 8, 16, 32):
        sample = few_shot_sample(Y, k, seed=3)
        assert np.bincount(Y[sample.train]).tolist() == [k] * 6
        assert np.bincount(Y[sample.val]).tolist() == [min(k, 4)] * 6
        assert not set(sample.train) & set(sample.val)
        assert sample.short == ()
        if before is not None:
            assert set(before.train) <= set(sample.train)
            assert set(before.val) <= set(sample.val)
        before = sample


def test_the_seed_decides_the_sample():
    first, again, other = (few_shot_sample(Y, 8, seed=seed) for seed in (1, 1, 2))
    assert (first.train == again.train).all()
    assert set(first.train) != set(other.train)


def test_a_class_smaller_than_k_gives_what_it_has():
    y = np.array([0] * 20 + [1] * 3 + [2])
    sample = few_shot_sample(y, 8, seed=0)
    assert np.bincount(y[sample.train]).tolist() == [8, 2, 1]
    assert np.bincount(y[sample.val], minlength=3).tolist() == [4, 1, 0]
    assert sample.short == (1, 2)


def test_other_classes_do_not_move_a_class():
    y = np.array([0] * 20 + [1] * 20)
    with_third = np.concatenate([y, [2] * 20])
    assert set(few_shot_sample(y, 4, 0).train) <= set(few_shot_sample(with_third, 4, 0).train)


def test_the_hold_out_is_stratified_and_complete():
    train, val = holdout(Y, seed=1)
    assert sorted([*train, *val]) == list(range(300))
    assert np.bincount(Y[val]).tolist() == [10] * 6
    assert (holdout(Y, seed=2)[1] != val).any()
    train, val = holdout(np.array([0, 1, 1]), seed=0)
    assert 0 in train
    assert len(val) == 1


def test_several_labels_an_image_are_held_out_at_random():
    train, val = holdout(np.zeros((50, 3), dtype=np.uint8), seed=0)
    assert (len(train), len(val)) == (40, 10)


@pytest.mark.parametrize("seed", range(4))
def test_no_group_is_on_two_sides(seed):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, 240)
    groups = [f"patient {number}" if number else "" for number in generator.integers(0, 30, 240)]

    def on_both(one, two):
        return {groups[row] for row in one} & {groups[row] for row in two} - {""}

    train, val = holdout(y, seed, groups=groups)
    assert sorted([*train, *val]) == list(range(240))
    assert not on_both(train, val)
    assert 0.1 < len(val) / 240 < 0.3
    assert {*y[val]} == {*y[train]} == {0, 1, 2}
    samples = [few_shot_sample(y, k, seed, groups) for k in (1, 2, 8)]
    for k, sample in zip((1, 2, 8), samples, strict=True):
        assert not on_both(sample.train, sample.val)
        assert np.bincount(y[sample.train]).tolist() == [k] * 3
        assert np.bincount(y[sample.val]).tolist() == [min(k, 4)] * 3
    for less, more in pairwise(samples):
        assert {*less.train} <= {*more.train}
        assert {*less.val} <= {*more.val}


def test_a_class_of_one_group_trains_and_does_not_validate():
    y, groups = np.repeat([0, 1], 12), [*"aaabbbcccddd", *"e" * 12]
    train, val = holdout(y, 0, groups=groups)
    assert {*y[val]} == {0}
    assert {*y[train]} == {0, 1}
    sample = few_shot_sample(y, 4, 0, groups)
    assert np.bincount(y[sample.train]).tolist() == [4, 4]
    assert {*y[sample.val]} == {0}
