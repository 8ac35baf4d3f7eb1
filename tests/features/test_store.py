from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array

from vlmbench.encoders.base import Scale
from vlmbench.encoders.models import find_model
from vlmbench.encoders.names import parse_model
from vlmbench.features.store import FeatureEntry, FeatureKey
from vlmbench.features.texts import EMBEDDINGS, WEIGHTS, TextKey, read_texts, write_texts

TEXTS = TextKey(EMBEDDINGS, "weights", "preprocessing", "tokenizer", "fp32", "content", {"torch": "2"})
KEY = FeatureKey("weights", "preprocessing", "fp32", "fingerprint", "test", {"torch": "2"})


def entry(cache, images=10):
    return FeatureEntry(cache, KEY, images)


def fill(one, *ends):
    for start, stop in pairwise(ends):
        rows = np.arange(start, stop)
        one.write_shard(range(start, stop), rows, {"proj": np.outer(rows, [1, 2]).astype(np.float32)})


def covered(one):
    """The images of each shard, and whether they are there."""
    return [(part.start, part.stop, tensors is not None) for part, tensors in one.shards()]


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "other"},
        {"preprocessing_sha256": "other"},
        {"precision": "bf16"},
        {"fingerprint": "other"},
        {"split": "train"},
        {"versions": {"torch": "3"}},
        {"format": 99},
    ],
)
def test_every_part_of_the_key_makes_another_entry(change):
    assert replace(KEY, **change).name != KEY.name
    assert KEY.name == FeatureKey("weights", "preprocessing", "fp32", "fingerprint", "test", {"torch": "2"}).name


def test_what_earlier_versions_stored_is_found_again(tmp_path):
    """Names of entries and of texts, and the hashes they are made of, as they have been since format 3."""
    assert KEY.name == "8463d7e1cb788d1cabedf7791a2cbc78"
    names = [replace(TEXTS, kind=kind).name[:32] for kind in (EMBEDDINGS, WEIGHTS)]
    assert names == ["1914aee9a2e2e9d428743af924737841", "d003a0c9e9b9cea793f1533ae51eae3b"]
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


def test_a_store_is_listed_once_however_many_gaps_it_has(tmp_path, monkeypatch):
    """At 400,000 shards a listing per gap would take a day."""
    one = entry(tmp_path, images=40)
    for start in range(1, 40, 2):
        fill(one, start, start + 1)
    listed, starts = [], FeatureEntry._starts
    monkeypatch.setattr(FeatureEntry, "_starts", lambda self: listed.append(1) or starts(self))
    assert covered(one) == [(row, row + 1, row % 2 == 1) for row in range(40)]
    assert len(listed) == 1


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
        {"versions": {"torch": "3"}},
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
