"""Two machines, each with a cache directory of its own, that share features through one address."""

from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from feature_fakes import Encoder, run, split_of
from fsspec.implementations.memory import MemoryFileSystem

import vlmbench
from vlmbench.encoders.base import Scale
from vlmbench.encoders.models import find_model
from vlmbench.encoders.names import parse_model
from vlmbench.features.store import FeatureEntry, FeatureKey
from vlmbench.features.texts import EMBEDDINGS, TextStore
from vlmbench.foundations.shared import SharedCache

KEY = FeatureKey("a", "", "fp32", "", "test", {"torch": "2"})
SPLIT = split_of(50, damaged=(7,))
SHARDS = {"rows": 8, "unit": 16}


@pytest.fixture(params=["memory", "file"])
def address(request, tmp_path):
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    return "memory://bucket/prefix" if request.param == "memory" else (tmp_path / "shared").as_uri()


def entry(address, cache):
    return FeatureEntry(cache, KEY, len(SPLIT), SharedCache(address, cache))


def encode(one, encoder=None, **more):
    """The batches that a machine encodes, once its entry is finished or interrupted."""
    encoder = encoder or Encoder()
    with suppress(KeyboardInterrupt):
        run(SPLIT, [(one, encoder)], **(SHARDS | more))
    return encoder.batches


def files(directory: Path):
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.startswith(".")}


def test_what_one_machine_has_encoded_another_does_not(address, tmp_path):
    one, other = entry(address, tmp_path / "1"), entry(address, tmp_path / "2")
    assert len(encode(one)) == 7
    assert encode(other) == []
    assert other.complete
    assert files(other.directory) == files(one.directory)
    assert other.manifest().skipped == ("i7",)


def test_a_machine_goes_on_where_another_was_stopped(address, tmp_path):
    whole, one, other = entry(address, tmp_path / "0"), entry(address, tmp_path / "1"), entry(address, tmp_path / "2")
    whole.shared = None
    encode(whole)
    first = encode(one, Encoder(stop_after=3))
    assert one.manifest() is None
    second = encode(other)
    assert sorted(chain(*first, *second)) == [n for n in range(50) if n != 7]
    assert files(other.directory) == files(whole.directory)
    assert encode(one) == []  # takes the rest from the other, once it is read
    assert one.complete
    assert files(one.directory) == files(whole.directory)


def test_parts_encoded_on_several_machines_come_together(address, tmp_path):
    machines = [entry(address, tmp_path / str(number)) for number in range(3)]
    parts = [
        encode(one, only=part) for one, part in zip(machines, [range(16), range(16, 48), range(48, 50)], strict=True)
    ]
    assert [len(part) for part in parts] == [2, 4, 1]
    assert encode(machines[0]) == []
    assert machines[1].manifest() is not None


def test_the_manifest_is_put_last_and_only_beside_all_shards(address, tmp_path):
    """Shards that were made before there was a shared cache are put there too."""
    one, other = entry(address, tmp_path / "1"), entry(address, tmp_path / "2")
    alone = FeatureEntry(tmp_path / "1", KEY, len(SPLIT))
    encode(alone, Encoder(stop_after=3))
    puts, put = [], one.shared.put
    one.shared.put = lambda path: puts.append(path.name) or put(path)
    encode(one)
    assert puts[-1] == "manifest.json"
    assert len(puts) == len(set(puts)) == 8
    assert encode(other) == []
    third = entry(address, tmp_path / "3")
    lacking = FeatureEntry(tmp_path / "4", KEY, len(SPLIT), SharedCache(address + "-2", tmp_path / "4"))
    lacking.shared.put = lambda path: puts.append(path.name) is not None and path.name != "000000000.safetensors"
    puts.clear()
    encode(lacking)
    assert "manifest.json" not in puts
    assert third.manifest() is not None


@pytest.mark.parametrize("damage", ["flip", "other", "absent", "manifest"])
def test_what_is_damaged_there_is_encoded_again_and_put_there(address, tmp_path, damage, caplog):
    one, other, third = (entry(address, tmp_path / name) for name in "123")
    encode(one)
    system, place = one.shared._system
    first = f"{place}/features/{KEY.name}/000000000.safetensors"
    if damage == "flip":
        data = system.cat_file(first)
        system.pipe_file(first, data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "other":
        system.pipe_file(first, system.cat_file(first.replace("00.saf", "16.saf")))
    elif damage == "absent":
        system.rm(first)
    else:
        system.pipe_file(first.replace("000000000.safetensors", "manifest.json"), b'{"value": {}}')
    if other.manifest() is not None:
        other.reopen()  # as `session.features` does, once the features cannot be read
    assert len(encode(other)) == (0 if damage == "manifest" else 1)
    assert files(other.directory) == files(one.directory)
    assert ("is damaged there, and not used" in caplog.text) == (damage != "absent")
    third.manifest()
    assert third.complete
    assert encode(third) == []


def test_the_second_machine_loads_no_model_and_writes_the_same_record(tmp_path, monkeypatch):
    address = (tmp_path / "shared").as_uri()

    def zeroshot(name):
        options = {"out": tmp_path / name / "out", "cache_dir": tmp_path / name / "cache", "shared_cache": address}
        vlmbench.zeroshot("tiny-clip", "digits", limit=40, device="cpu", **options)
        (record,) = (tmp_path / name / "out").rglob("result.json")
        return record.read_bytes()

    first = zeroshot("1")
    monkeypatch.setattr("vlmbench.session.models.load_model", pytest.fail)
    assert zeroshot("2") == first


def test_texts_are_shared(address, tmp_path):
    files = find_model(parse_model("tiny-clip"), tmp_path)
    stores = [
        TextStore(tmp_path / name, files, "fp32", shared=SharedCache(address, tmp_path / name)) for name in ("1", "2")
    ]
    made = np.ones((2, 3), np.float32)
    stores[0].get(EMBEDDINGS, "content", lambda: (made, Scale(14.5)))
    found, scale = stores[1].get(EMBEDDINGS, "content", pytest.fail)
    assert found.tolist() == made.tolist()
    assert scale == Scale(14.5)
