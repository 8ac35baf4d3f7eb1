import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import Split, subset
from vlmbench.data.bundled import Arrays
from vlmbench.data.fingerprint import fingerprint
from vlmbench.data.open import open_dataset
from vlmbench.data.regions import Regions
from vlmbench.foundations.progress import Silent


def split(raws=(b"one", b"two", b"three"), labels=(0, 1, 0), ids=("a", "b", "c"), name="test"):
    return Split(name, tuple(ids), np.array(labels), Arrays(tuple(raws)))


@pytest.mark.parametrize(
    "changed",
    [
        split(raws=(b"one", b"two", b"thre3")),
        split(labels=(0, 1, 1)),
        split(ids=("a", "b", "d")),
        split(raws=(b"two", b"one", b"three"), labels=(1, 0, 0), ids=("b", "a", "c")),
        split(raws=(b"one", b"two"), labels=(0, 1), ids=("a", "b")),
        subset(split(), [0, 1]),
    ],
)
def test_any_change_shows(tmp_path, changed):
    assert fingerprint(changed, tmp_path, Silent()) != fingerprint(split(), tmp_path, Silent())


class Unread:
    """Images that nobody may look at."""

    def __len__(self):
        return 3

    def __getattr__(self, name):
        raise AssertionError(name)


def known(checksum="sum", **more):
    return replace(split(**more), images=Unread(), checksum=checksum)


def test_checksums_of_the_files_stand_for_the_images(tmp_path):
    first = fingerprint(known(), tmp_path, Silent())
    assert first == fingerprint(known(), tmp_path / "other", Silent())
    changed = [known("other sum"), known(labels=(0, 1, 1)), known(ids=("a", "b", "d")), subset(known(), [0, 1])]
    assert len({first, *(fingerprint(item, tmp_path, Silent()) for item in changed)}) == 5
    box = Regions(("one", "one", "two"), np.ones((3, 4)), np.ones((3, 2), np.int64), "boxes.json")
    parts = [
        replace(known(), regions=box),
        replace(known(), regions=replace(box, images=("one", "two", "two"))),
        replace(known(), regions=replace(box, boxes=np.ones((3, 4)) * 2)),
    ]
    assert len({first, *(fingerprint(item, tmp_path, Silent()) for item in parts)}) == 4


def test_it_depends_on_nothing_else(tmp_path):
    first = fingerprint(split(), tmp_path / "a", Silent())
    assert first == fingerprint(split(name="val"), tmp_path / "b", Silent())
    assert len(first) == 64


def test_pixels_are_told_apart_from_their_shape(tmp_path):
    flat = split(raws=(np.zeros((2, 8), np.uint8),), labels=(0,), ids=("a",))
    tall = split(raws=(np.zeros((8, 2), np.uint8),), labels=(0,), ids=("a",))
    assert fingerprint(flat, tmp_path, Silent()) != fingerprint(tall, tmp_path, Silent())


def test_files_are_read_once_and_again_when_one_changes(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 3)).save(tmp_path / "data" / name)
    data = open_dataset(f"folder:{tmp_path / 'data'}", tmp_path).split("all")
    cache = tmp_path / "cache"
    first = fingerprint(data, cache, Silent())
    from vlmbench.data.local.folder import Files

    with monkeypatch.context() as patch:
        patch.setattr(Files, "read", lambda self, index: pytest.fail("read again"))
        assert fingerprint(data, cache, Silent()) == first
    changed = tmp_path / "data" / "a" / "1.png"
    times = changed.stat()
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(bytes(content))
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(data, cache, Silent()) != first


def test_processes_that_need_it_at_once_read_the_images_once(tmp_path, monkeypatch):
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 3)).save(tmp_path / "data" / name)
    data = open_dataset(f"folder:{tmp_path / 'data'}", tmp_path).split("all")
    whole, rows, together = data.images.read, [], Barrier(3)

    def read(self, row):
        rows.append(row)
        time.sleep(0.05)
        return whole(row)

    def one(_):
        together.wait()
        return fingerprint(data, tmp_path / "cache", Silent())

    monkeypatch.setattr(type(data.images), "read", read)
    with ThreadPoolExecutor(3) as pool:  # the lock is one between threads too
        assert len(set(pool.map(one, range(3)))) == 1
    assert sorted(rows) == [0, 1]
    assert [path.suffix for path in (tmp_path / "cache/fingerprints").iterdir()] == [".json"]


def test_a_damaged_note_is_computed_anew(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "1.png")
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (3, 3)).save(tmp_path / "data" / name / "1.png")
    data = open_dataset(f"folder:{tmp_path / 'data'}", tmp_path).split("all")
    first = fingerprint(data, tmp_path / "cache", Silent())
    (note,) = (tmp_path / "cache" / "fingerprints").iterdir()
    note.write_text("{")
    assert fingerprint(data, tmp_path / "cache", Silent()) == first
