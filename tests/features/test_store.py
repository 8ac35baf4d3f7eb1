from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from vlmbench.encoders.base import Scale
from vlmbench.features.store import FeatureEntry, FeatureKey
from vlmbench.features.texts import EMBEDDINGS, WEIGHTS, TextKey, read_texts, write_texts

TEXTS = TextKey(EMBEDDINGS, "weights", "preprocessing", "tokenizer", "fp32", "content")
KEY = FeatureKey("weights", "preprocessing", "fp32", "fingerprint", "test")


def entry(cache, images=10, rows=4, versions=None):
    return FeatureEntry(cache, KEY, images, versions or {"torch": "2"}, rows=rows)


def fill(one, shard):
    rows = np.array(one.shard_range(shard))
    one.write_shard(shard, rows, {"proj": np.outer(rows, [1, 2]).astype(np.float32)})


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


def test_shards_come_back_as_they_were(tmp_path):
    one = entry(tmp_path)
    assert one.shards == 3
    assert one.shard_range(2) == range(8, 10)
    for shard in range(3):
        fill(one, shard)
    found = one.read_shard(2)
    assert found["row"].tolist() == [8, 9]
    assert found["proj"].tolist() == [[8, 16], [9, 18]]


def test_an_entry_is_unfinished_until_its_manifest_is_there(tmp_path):
    one = entry(tmp_path)
    fill(one, 0)
    assert one.manifest() is None
    one.finish(("bad.jpg",), {"proj": 2})
    assert one.manifest().skipped == ("bad.jpg",)
    assert entry(tmp_path, images=11).manifest() is None
    one.reopen()
    assert one.manifest() is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other", "absent"])
def test_a_damaged_shard_is_never_read(tmp_path, damage):
    one = entry(tmp_path)
    fill(one, 0)
    fill(one, 1)
    path = one.directory / "00000.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    elif damage == "other":
        path.write_bytes((one.directory / "00001.safetensors").read_bytes())
    elif damage == "absent":
        path.unlink()
    else:
        path.write_bytes(bytes(data[: len(data) // 2 if damage == "cut" else 0]))
    assert one.read_shard(0) is None
    assert one.read_shard(1) is not None


def test_shards_of_other_versions_are_not_continued(tmp_path):
    fill(entry(tmp_path), 0)
    newer = entry(tmp_path, versions={"torch": "3"})
    assert newer.read_shard(0) is not None
    assert newer.read_shard(0, same_versions=True) is None


def test_no_temporary_files_stay(tmp_path):
    one = entry(tmp_path)
    fill(one, 0)
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
