from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array

from vlmbench.encoders.base import Scale
from vlmbench.encoders.models import find_model
from vlmbench.encoders.names import parse_model
from vlmbench.features.store import ROWS, FeatureEntry, FeatureKey
from vlmbench.features.texts import EMBEDDINGS, WEIGHTS, TextKey, read_texts, write_texts

TEXTS = TextKey(EMBEDDINGS, "weights", "preprocessing", "tokenizer", "fp32", "content")
KEY = FeatureKey("weights", "preprocessing", "fp32", "fingerprint", "test")


def entry(cache, images=10, versions=None):
    return FeatureEntry(cache, KEY, images, versions or {"torch": "2"})


def fill(one, *ends):
    for start, stop in pairwise(ends):
        rows = np.arange(start, stop)
        one.write_shard(range(start, stop), rows, {"proj": np.outer(rows, [1, 2]).astype(np.float32)})


def covered(one, **how):
    """The images of each shard, and whether they are there."""
    return [(part.start, part.stop, tensors is not None) for part, tensors in one.shards(**how)]


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "other"},
        {"preprocessing_sha256": "other"},
        {"precision": "bf16"},
        {"fingerprint": "other"},
        {"split": "train"},
        {"format": 99},
    ],
)
def test_every_part_of_the_key_makes_another_entry(change):
    assert replace(KEY, **change).name != KEY.name
    assert KEY.name == FeatureKey("weights", "preprocessing", "fp32", "fingerprint", "test").name


def test_what_earlier_versions_stored_is_found_again(tmp_path):
    """Names of entries and of texts, and the hashes they are made of, as they have been since format 2."""
    assert KEY.name == "34e672351e4a937555b918ecfac62c14"
    names = [replace(TEXTS, kind=kind).name[:32] for kind in (EMBEDDINGS, WEIGHTS)]
    assert names == ["a4d3e5ec91ccf7bf21621ae77041c3c1", "1c108602f186ee4d0d47289fb3c945cf"]
    files = {name: find_model(parse_model(name), tmp_path) for name in ("tiny-clip", "pixels")}
    hashes = {
        name: [found.weights_sha256[:16], found.preprocessing_sha256[:16], found.tokenizer_sha256[:16]]
        for name, found in files.items()
    }
    assert hashes == {
        "tiny-clip": ["b55184588cb25509", "3b59fc646fce9c5f", "4835efdf6ccd24a0"],
        "pixels": ["8ca430a8589f80e2", "8ca430a8589f80e2", "74234e98afe7498f"],
    }


def test_shards_come_back_as_they_were(tmp_path):
    one = entry(tmp_path)
    fill(one, 0, 4, 8, 10)
    assert covered(one) == [(0, 4, True), (4, 8, True), (8, 10, True)]
    ((part, found),) = one.shards(8)
    assert part == range(8, 10)
    assert found["row"].tolist() == [8, 9]
    assert found["proj"].tolist() == [[8, 16], [9, 18]]


def test_shards_of_any_size_stand_beside_each_other_and_gaps_are_told(tmp_path):
    one = entry(tmp_path)
    fill(one, 1, 2)
    fill(one, 5, 9)
    assert covered(one) == [(0, 1, False), (1, 2, True), (2, 5, False), (5, 9, True), (9, 10, False)]
    fill(one, 2, 7)  # then nothing needs the one that begins at 5
    assert covered(one) == [(0, 1, False), (1, 2, True), (2, 7, True), (7, 10, False)]


def test_shards_that_earlier_versions_counted_are_read(tmp_path):
    one = entry(tmp_path, images=2 * ROWS + 3)
    fill(one, 0, ROWS, 2 * ROWS, 2 * ROWS + 3)
    for number in range(3):
        (one.directory / f"{number * ROWS:09d}.safetensors").rename(one.directory / f"{number:05d}.safetensors")
    parts = [(0, ROWS, True), (ROWS, 2 * ROWS, True), (2 * ROWS, 2 * ROWS + 3, True)]
    assert covered(one) == parts
    (one.directory / "00001.safetensors").write_bytes(b"rubbish")
    parts[1] = (ROWS, 2 * ROWS, False)
    assert covered(one) == parts
    fill(one, ROWS, ROWS + 5)
    assert covered(one) == [parts[0], (ROWS, ROWS + 5, True), (ROWS + 5, 2 * ROWS, False), parts[2]]


def test_an_entry_is_unfinished_until_its_manifest_is_there(tmp_path):
    one = entry(tmp_path)
    fill(one, 0, 4)
    assert one.manifest() is None
    one.finish(("bad.jpg",), {"proj": 2})
    assert one.manifest().skipped == ("bad.jpg",)
    assert entry(tmp_path, images=11).manifest() is None
    one.reopen()
    assert one.manifest() is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other", "absent"])
def test_a_damaged_shard_is_never_read(tmp_path, damage):
    one = entry(tmp_path)
    fill(one, 0, 4, 8)
    path = one.directory / "000000000.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    elif damage == "other":
        path.write_bytes((one.directory / "000000004.safetensors").read_bytes())
    elif damage == "absent":
        path.unlink()
    else:
        path.write_bytes(bytes(data[: len(data) // 2 if damage == "cut" else 0]))
    assert covered(one) == [(0, 4, False), (4, 8, True), (8, 10, False)]


def test_shards_of_other_versions_are_not_continued(tmp_path):
    fill(entry(tmp_path), 0, 10)
    newer = entry(tmp_path, versions={"torch": "3"})
    assert covered(newer) == [(0, 10, True)]
    assert covered(newer, same_versions=True) == [(0, 10, False)]


def test_no_temporary_files_stay(tmp_path):
    one = entry(tmp_path)
    fill(one, 0, 4)
    one.finish((), {"proj": 2})
    assert not [path for path in one.directory.iterdir() if path.name.startswith(".tmp")]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": WEIGHTS},
        {"weights_sha256": "other"},
        {"preprocessing_sha256": "other"},
        {"tokenizer_sha256": "other"},
        {"precision": "bf16"},
        {"content": "other"},
        {"format": 1},
    ],
)
def test_every_part_of_a_texts_key_makes_another_file(tmp_path, change):
    write_texts(tmp_path, replace(TEXTS, **change), np.ones((1, 2)), Scale(1.0))
    assert read_texts(tmp_path, TEXTS) is None
    assert read_texts(tmp_path, replace(TEXTS, **change)) is not None


def test_texts_come_back_with_the_scale_and_damage_shows(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_texts(tmp_path, TEXTS, values, Scale(14.25, -3.5))
    found, scale = read_texts(tmp_path, TEXTS)
    assert found.tolist() == values.tolist()
    assert scale == Scale(14.25, -3.5)
    (path,) = (tmp_path / "texts").iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert read_texts(tmp_path, TEXTS) is None


def test_sparse_texts_come_back_as_they_were(tmp_path):
    values = csr_array(np.array([[0, 1.5, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]], np.float32))
    write_texts(tmp_path, TEXTS, values, Scale(1.0))
    found, scale = read_texts(tmp_path, TEXTS)
    assert scale == Scale(1.0)
    assert found.shape == (3, 4)
    np.testing.assert_array_equal(found.toarray(), values.toarray())
    (file,) = (tmp_path / "texts").iterdir()
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert read_texts(tmp_path, TEXTS) is None
