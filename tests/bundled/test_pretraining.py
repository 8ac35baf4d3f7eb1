"""The renderer, the grammar and the loss that made the checkpoints, on a bank of a few items."""

import numpy as np
import pytest
import torch

from benchmarks.pretraining import captions as c


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    from benchmarks.pretraining.render import build_hands, build_shapes
    from benchmarks.pretraining.strokes import FIELD

    folder = tmp_path_factory.mktemp("bank")
    rng = np.random.default_rng(0)
    np.save(folder / "shapes.npy", build_shapes(1, rng))
    for name in ("hands", "hands_val"):
        np.save(folder / f"{name}.npy", build_hands(3, rng))
    chars = np.tile(np.arange(62), 2)
    np.savez(
        folder / "fonts.npz",
        field=np.full((124, FIELD, FIELD), 100, np.uint8),
        char=chars,
        hand=np.zeros(124, int),
        weight=np.ones(124, np.float32),
        held_out=np.arange(124) >= 62,
    )
    return folder


def pairs_of(facts):
    found = set()
    for f in facts:
        for label, colour in ((c.LABEL, c.COLOUR), (c.LABEL2, c.COLOUR2)):
            if f[c.KIND] in (c.SHAPE, c.PAIR) and c.UNNAMED not in (f[label], f[colour]):
                found.add((int(f[label]), int(f[colour])))
    return found


def test_training_never_renders_a_held_out_pair(bank):
    from benchmarks.pretraining.compose import Renderer

    r = Renderer(bank, 3, 24)
    facts = np.concatenate([r.shape_canvases(500, False)[1], r.shape_canvases(300, True)[1], r.pair_canvases(400)[1]])
    seen = pairs_of(facts)
    assert len(seen) == 96 - 24
    assert not seen & c.HELD_OUT


def test_the_held_out_renderer_draws_only_held_out_pairs(bank):
    from benchmarks.pretraining.compose import Renderer

    assert pairs_of(Renderer(bank, 4, 24, pairs="held").shape_canvases(600, False)[1]) == c.HELD_OUT


def test_a_batch_is_reproducible_and_its_captions_are_true(bank):
    from benchmarks.pretraining.compose import Renderer

    first, facts = Renderer(bank, 5, 24).batch(64)
    again, same = Renderer(bank, 5, 24).batch(64)
    other, _ = Renderer(bank, 6, 24).batch(64)
    assert torch.equal(first, again)
    assert np.array_equal(facts, same)
    assert not torch.equal(first, other)
    assert first.shape == (64, 3, 24, 24)
    assert first.dtype == torch.uint8
    assert set(facts[:, c.KIND]) == {0, 1, 2, 3, 4}
    rng = np.random.default_rng(0)
    claims = np.stack([c.caption(f, rng)[1] for f in facts])
    true, unclear = c.truth_table(facts, claims)
    assert true.diagonal().all()
    assert not (true & unclear).any()
    assert true.mean() < 0.2


def test_the_grammar_never_utters_a_held_out_pair():
    from benchmarks.pretraining.model import random_facts
    from benchmarks.pretraining.scenes import taught

    rng = np.random.default_rng(1)
    held = {f"{c.COLOURS[k]} {noun}" for s, k in c.HELD_OUT for noun in (c.SHAPES[s], c.PLURALS[s])}
    shown = {f"{c.COLOURS[k]} {c.SHAPES[s]}" for s in range(12) for k in range(8)} - held
    facts = random_facts(4000, rng)
    texts = [c.caption(f, rng)[0] + " ." for f in facts]
    texts += [taught(f, rng) + " ." for f in facts]
    joined = "\n".join(texts)
    assert not [p for p in held if f"{p} " in joined or f"{p}." in joined]
    assert sum(f"{p} " in joined for p in shown) > 60


def test_truth_is_what_the_words_say():
    fact = np.full(len(c.FIELDS), c.UNNAMED)
    fact[[c.KIND, c.LABEL, c.COUNT, c.COLOUR]] = c.SHAPE, c.SHAPES.index("circle"), 1, c.COLOURS.index("blue")
    claim = np.full((4, len(c.FIELDS)), c.OPEN)
    claim[:, c.KIND] = c.SHAPE
    claim[0, c.COLOUR] = c.COLOURS.index("blue")
    claim[1, c.COLOUR] = c.COLOURS.index("red")
    claim[2, c.COUNT] = 2
    claim[3, c.BACKGROUND] = 0  # the background has no name here
    assert c.truth_table(fact[None], claim)[0][0].tolist() == [True, False, False, False]


def test_the_loss_wants_true_captions_above_false_ones():
    from benchmarks.pretraining.train_clip import contrastive_loss

    true = torch.eye(6, dtype=torch.bool)
    true[0, 1] = True
    none = torch.zeros_like(true)
    good = torch.where(true, 8.0, -8.0)
    assert contrastive_loss(good, true, none) < 1e-4
    assert contrastive_loss(-good, true, none) > 10
    spoiled = good.clone()
    spoiled[2, 3] = 20.0
    unclear = none.clone()
    unclear[2, 3] = True
    assert contrastive_loss(spoiled, true, none) > 1
    assert contrastive_loss(spoiled, true, unclear) < 1e-4


@pytest.mark.parametrize("digit", range(10))
def test_hands_vary_and_stay_in_their_box(digit):
    from benchmarks.pretraining.strokes import POINTS, sample_digit

    rng = np.random.default_rng(digit)
    paths = [sample_digit(digit, rng) for _ in range(20)]
    assert all(p.shape == (POINTS, 2) and p.min() > -0.01 and p.max() < 1.01 for p in paths)
    assert len({p.tobytes() for p in paths}) == 20


def test_muon_orthogonalises():
    from benchmarks.pretraining.muon import orthogonalise

    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 64, 32)))
    assert values.min() > 0.5
    assert values.max() < 1.4
