"""``--decode reduced``: large photographs at reduced scale; features of their own, and records that say so."""

import json

import numpy as np
import pytest
from PIL import Image

import vlmbench
from vlmbench.foundations.errors import UsageError

TEXT = "reduced:672"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Six photographs of 1,600 x 1,400 pixels in two classes, and a small picture in each."""
    root, generator = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for place, name in enumerate(("day", "night")):
        (root / name).mkdir()
        for number in range(4):
            size = (1600, 1400) if number else (64, 48)
            coarse = generator.integers(0, 120, (12, 12, 3), dtype=np.uint8) + np.uint8(130 * (1 - place))
            Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(root / name / f"{number}.jpg")
    return f"folder:{root}"


def embedded(data, tmp_path, **more):
    found = vlmbench.embed("tiny-clip", data, out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", **more)
    return found, found.load()[0].copy(), json.loads(found.facts.read_text())["protocol"].get("decode")


def test_features_are_near_those_of_whole_images_and_kept_apart_from_them(photographs, tmp_path):
    full, x, said = embedded(photographs, tmp_path)
    small, y, says = embedded(photographs, tmp_path, decode="reduced")
    assert (full.encoded, small.encoded, said, says) == (8, 8, None, TEXT)
    same = (x == y).all(axis=1)
    assert same.sum() == 2  # the two small pictures
    cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert cosines.min() > 0.999
    again, z, _ = embedded(photographs, tmp_path, decode="reduced")
    assert again.encoded == 0
    assert (y == z).all()
    assert embedded(photographs, tmp_path)[0].encoded == 0


@pytest.mark.parametrize("workers", [0, 3])
def test_threads_and_shards_move_no_feature(photographs, tmp_path, workers):
    _, whole, _ = embedded(photographs, tmp_path / "whole", decode="reduced", workers=1)
    for part in ("1/2", "2/2"):
        _, x, _ = embedded(photographs, tmp_path / part[0], decode="reduced", workers=workers, shard=part, batch_size=4)
        rows = slice(0, 4) if part == "1/2" else slice(4, 8)
        np.testing.assert_allclose(x, whole[rows], atol=1e-5)


def test_every_record_says_so(photographs, tmp_path):
    options = {"out": tmp_path, "cache_dir": tmp_path, "device": "cpu"}
    full = vlmbench.zeroshot("tiny-clip", photographs, **options)
    zero = vlmbench.zeroshot("tiny-clip", photographs, decode="reduced", **options)
    probe = vlmbench.linear_probe("tiny-clip", photographs, decode="reduced", **options)
    found = [json.loads((run.path / "result.json").read_text()) for run in (*full, *zero, *probe)]
    assert [record["protocol"].get("decode") for record in found] == [None, TEXT, TEXT]
    assert len({record["signature"] for record in found}) == 3


@pytest.mark.parametrize(
    "asked",
    [
        lambda data, **more: vlmbench.zeroshot("tiny-clip", data, tiles=4, **more),
        lambda data, **more: vlmbench.score_captioners("tiny-captioner", "scenes", **more),
        lambda data, **more: vlmbench.zeroshot("tiny-clip", data, **{**more, "decode": "half"}),
    ],
    ids=["tiles", "captions", "no such way"],
)
def test_what_needs_whole_images_refuses_it(asked, photographs, tmp_path):
    with pytest.raises(UsageError, match=r"decode|whole images"):
        asked(photographs, decode="reduced", out=tmp_path, cache_dir=tmp_path, device="cpu")
