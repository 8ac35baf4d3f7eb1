"""Datasets of one split: a test set is held out, nothing leaks, zero-shot uses the same images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.heads.fewshot import few_shot_sample
from vlmbench.records.store import read_samples
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.held_out import hold_out
from vlmbench.tasks.probe.data import TEST, TRAIN, VAL, with_validation
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.inputs import from_session
from vlmbench.tasks.probe.run import run_linear_probe
from vlmbench.tasks.zeroshot import ZeroShotRequest as ZeroRequest
from vlmbench.tasks.zeroshot import run_zeroshot


def context(tmp_path: Path, **more) -> Context:
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", **{"reporter": Silent(), **more})


@pytest.fixture(scope="module")
def undivided(colours, tmp_path_factory) -> Path:
    """`PATH/<class name>/*`: three classes of 8 images."""
    return shutil.copytree(colours / "train", tmp_path_factory.mktemp("undivided") / "data")


def rows(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in np.asarray(x)}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=6), st.floats(0.01, 0.99), st.integers(0, 5), st.integers(0, 5)
)
def test_every_image_is_on_one_side_and_every_class_on_both(counts, share, seed, order):
    y = np.random.default_rng(order).permutation(np.repeat(np.arange(len(counts)), counts))
    names = [f"class {index}" for index in range(len(counts))]
    train, test = hold_out(y, names, share, seed, "d")
    assert sorted([*train, *test]) == list(range(len(y)))
    for label, count in enumerate(counts):
        held = int((y[test] == label).sum())
        assert 1 <= held <= count - 1
        assert abs(held - share * count) <= 1
    again = hold_out(y, names, share, seed, "d")
    assert np.array_equal(again[1], test)


def test_a_class_of_one_image_is_named():
    with pytest.raises(InputError, match="the class heron has one image;"):
        hold_out(np.array([0, 0, 1, 2, 2]), ["duck", "heron", "swan"], 0.25, 0, "birds")
    with pytest.raises(InputError, match="the class duck has one image, and so have 1 others"):
        hold_out(np.array([0, 1, 2, 2]), ["duck", "heron", "swan"], 0.25, 0, "birds")


def test_several_labels_are_drawn_until_every_class_is_on_both_sides():
    y = np.zeros((40, 3), np.uint8)
    y[:, 0] = 1
    y[::2, 1] = 1
    y[[3, 9], 2] = 1
    train, test = hold_out(y, ["a", "b", "rare"], 0.25, 0, "d")
    assert sorted([*train, *test]) == list(range(40))
    assert len(test) == 10
    assert y[train].any(axis=0).all()
    assert y[test].any(axis=0).all()
    y[9, 2] = 0
    with pytest.raises(InputError, match="the class rare has one image"):
        hold_out(y, ["a", "b", "rare"], 0.25, 0, "d")
    y[[5, 9, 11], 2] = 1
    with pytest.raises(InputError, match=r"the class (b|rare) has \d+ images, too few"):
        hold_out(y[:12], ["a", "b", "rare"], 0.001, 0, "d")


def test_an_undivided_folder_is_probed_and_zero_shot_is_asked_of_the_same_images(checkpoints, undivided, tmp_path):
    model, data = str(checkpoints("clip")), f"folder:{undivided}"
    here = context(tmp_path)
    session = Session(here)
    request = ProbeRequest(models=[model], datasets=[data], shots=(1, None), seeds=2)
    one, full = run_linear_probe(request, here, session)
    assert (one.record.n, full.record.n) == (6, 6)
    assert full.record.protocol.holdout == 0.25
    assert "holdout:0.25" in full.record.signature
    assert (full.record.dataset.split, full.record.protocol.validation) == ("all", "a stratified fifth of train")
    told = [note for note in here.reporter.notes if "single split" in note]
    assert told == [
        f"{data}: single split: 25 % of each class, sampled with seed 0, is held out for testing; "
        "zeroshot holdout=0.25 uses the same images"
    ]
    (zero,) = run_zeroshot(ZeroRequest([model], [data], holdout=0.25), here, session)
    assert sum(tally.decoded for tally in session._features.tallies) == 24
    assert read_samples(zero)["id"].tolist() == read_samples(full)["id"].tolist()
    assert one.record.detail.curve.zero_shot == zero.record.metrics["accuracy"].value
    assert zero.record.dataset == full.record.dataset
    (whole,) = run_zeroshot(ZeroRequest([model], [data]), here, session)
    assert (whole.record.n, whole.record.protocol.holdout is not None) == (24, False)
    assert whole.record.dataset.fingerprint != full.record.dataset.fingerprint
    (half,) = run_linear_probe(ProbeRequest(models=[model], datasets=[data], holdout=0.5, c=1.0), here, session)
    assert (half.record.n, half.record.protocol.holdout) == (12, 0.5)
    assert half.path != full.path


@pytest.mark.parametrize("name", ["train", "test"])
def test_nothing_of_the_test_set_is_trained_or_validated_on(name, checkpoints, undivided, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(undivided, target_is_directory=True)
    session = Session(context(tmp_path))
    data = from_session(session, str(checkpoints("clip")), f"folder:{tmp_path / 'data'}", ProbeRequest())
    split, _ = with_validation(data, 0)
    parts = [rows(split.x[part]) for part in (TRAIN, VAL, TEST)]
    assert [len(part) for part in parts] == [15, 3, 6]
    assert len(set.union(*parts)) == 24
    for seed in range(5):
        sample = few_shot_sample(data.y[TRAIN], 4, seed)
        used = rows(data.x[TRAIN][sample.train]) | rows(data.x[TRAIN][sample.val])
        assert not used & rows(data.x[TEST])
    assert [int((data.y[TEST] == label).sum()) for label in range(3)] == [2, 2, 2]


def test_what_cannot_be_held_out_is_said_before_an_image_is_encoded(checkpoints, colours, undivided, tmp_path):
    model, here = str(checkpoints("clip")), context(tmp_path)
    for wrong in (
        ProbeRequest(models=[model], datasets=[f"folder:{colours}"], holdout=0.25),
        ProbeRequest(models=[model], datasets=[f"folder:{undivided}"], holdout=1.0),
        ProbeRequest(features=tmp_path / "f.npz", holdout=0.25),
    ):
        with pytest.raises(UsageError, match="holdout="):
            run_linear_probe(wrong, here)
    with pytest.raises(UsageError, match="holdout="):
        run_zeroshot(ZeroRequest([model], [f"folder:{colours}"], holdout=0.25), here)
    few = shutil.copytree(undivided, tmp_path / "few")
    for path in sorted((few / "green").iterdir())[1:]:
        path.unlink()
    with pytest.raises(InputError, match="the class green has one image"):
        run_linear_probe(ProbeRequest(models=[model], datasets=[f"folder:{few}"]), here)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert not list((tmp_path / "out").rglob("result.json"))
