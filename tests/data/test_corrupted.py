"""A corrupted dataset: the same images under the same ids, the same bytes however they are read, kept apart."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import limited, subset
from vlmbench.data.corrupted import versions
from vlmbench.data.corruptions.apply import corrupt
from vlmbench.data.corruptions.kinds import KINDS, Corruption
from vlmbench.data.fingerprint import fingerprint
from vlmbench.data.images import decode
from vlmbench.data.loading import load, load_resized
from vlmbench.data.open import open_dataset
from vlmbench.data.resizing import Resizing
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.images import Images, Selection
from vlmbench.session.session import Session

NOISE, FOG = Corruption("gaussian_noise", 3), Corruption("fog", 5)
EVERY = [Corruption(kind, 1 + place % 5) for place, kind in enumerate(KINDS)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Nine photographs' worth of noise and gradients, of several sizes, in a folder."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(9):
        (root / "ab"[number % 2]).mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (5 + number % 3, 4 + number % 2, 3), np.uint8)
        image = Image.fromarray(pixels).resize((30 + 7 * number, 41), Image.Resampling.BICUBIC)
        image.save(root / "ab"[number % 2] / f"{number}.png")
    return root


def test_the_bytes_are_the_same_by_any_number_of_workers(pictures, tmp_path):
    whole, square = open_dataset(f"folder:{pictures}", tmp_path).split("all"), Resizing((32, 32), 2, None)
    expected = {}
    for corruption in EVERY:
        split = open_dataset(f"folder:{pictures}?corrupt={corruption}", tmp_path).split("all")
        expected[corruption] = [square(Image.fromarray(split.images.read(row))).tobytes() for row in range(9)]
        few = subset(split, [7, 2])  # another batch: the same images
        assert [square(Image.fromarray(few.images.read(i))).tobytes() for i in (0, 1)] == [
            expected[corruption][7],
            expected[corruption][2],
        ]
    steps = [(corruption, square) for corruption in EVERY]

    def make(image, id):
        return [square(one) for one in versions(image, EVERY, id)]

    for workers, chosen in ((1, [8, 3, 3, 0]), (2, range(9)), (4, range(9))):
        threads = load(whole, chosen, make, workers=workers, ahead=workers)
        processes = load_resized(whole, chosen, steps, workers=1, ahead=8) if workers == 2 else ()
        for stream in (threads, processes):
            for place, item in zip(chosen, stream, strict=stream is threads):
                assert [made.tobytes() for made in item.value] == [expected[one][place] for one in EVERY]
    assert len(set(map(tuple, expected.values()))) == len(EVERY)


def test_every_image_has_noise_of_its_own_and_every_severity_the_same():
    grey = Image.new("RGB", (20, 20), (128, 128, 128))
    mild, strong = Corruption("gaussian_noise", 1), Corruption("gaussian_noise", 2)
    one, other = (np.asarray(corrupt(grey, mild, id)).astype(float) for id in ("a", "b"))
    assert (one != other).mean() > 0.9
    more = np.asarray(corrupt(grey, strong, "a")).astype(float)
    assert np.corrcoef((one - 128).ravel(), (more - 128).ravel())[0, 1] > 0.99


def test_fingerprints_and_stored_features_are_those_of_no_other_images(pictures, tmp_path):
    name = f"folder:{pictures}"
    context = Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", seed=3)
    images = Images(context)
    opened = [images.open(Selection(name + end, "all", 5)) for end in ("", f"?corrupt={NOISE}", f"?corrupt={FOG}")]
    assert len({one.fingerprint for one in opened}) == len({one.content for one in opened}) == 3
    assert len({one.split.ids for one in opened}) == 1  # --limit draws the same images
    split = open_dataset(f"{name}?corrupt={NOISE}", tmp_path).split("all")
    split = limited(split, 5, 3, f"{name}?corrupt={NOISE}")
    assert fingerprint(split, tmp_path, Silent()) == opened[1].fingerprint
    assert [one.name for one in opened] == [name, f"{name}?corrupt={NOISE}", f"{name}?corrupt={FOG}"]
    reduced = Images(replace(context, decode="reduced")).open(Selection(f"{name}?corrupt={NOISE}", "all", 5))
    assert reduced.content not in {one.content for one in opened}


def test_corruptions_of_the_same_images_are_encoded_in_one_pass(tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr("vlmbench.data.loading.decode", lambda raw, name: decoded.append(name) or decode(raw, name))
    session = Session(Context(cache_dir=tmp_path, device="cpu", precision="fp32", batch_size=7))
    selections = [Selection("digits" + end, "test", 9) for end in ("", f"?corrupt={NOISE}", f"?corrupt={FOG}")]
    for selection in selections:
        session.expect(["tiny-clip"], selection)
    found = [session.features("tiny-clip", selection) for selection in selections]
    assert len(decoded) == 9
    assert [one.encoded for one in found] == [9, 9, 9]
    alone = Session(Context(cache_dir=tmp_path / "other", device="cpu", precision="fp32", batch_size=7))
    for selection, one in zip(selections[1:], found[1:], strict=True):
        assert np.asarray(alone.features("tiny-clip", selection).x).tobytes() == np.asarray(one.x).tobytes()
    assert np.abs(np.asarray(found[0].x) - np.asarray(found[1].x)).max() > 0.01


def test_boxes_are_not_cut_from_corrupted_images(tmp_path):
    with pytest.raises(UsageError, match="not from corrupted ones"):
        open_dataset("boxes:instances.json#digits?corrupt=fog:3", tmp_path)
