"""WebDataset tars that are read in place: what lies where, and each way a tar can be damaged."""

import io
import pickle
import struct
import tarfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlmbench.data.hub import ranges
from vlmbench.data.hub import shards as hub_shards
from vlmbench.data.hub.files import Source
from vlmbench.data.hub.rows import Columns
from vlmbench.data.hub.shards import Local
from vlmbench.data.hub.tars import members, samples, value
from vlmbench.data.hub.webdataset import counted, find_shards
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.progress import Silent


def png(value=0):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def packed(path, files, form=tarfile.PAX_FORMAT):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files:
            item = tarfile.TarInfo(name)
            item.size, item.mtime = len(data), 1685000000.25
            tar.addfile(item, io.BytesIO(data))
    return path


def pairs(count=3):
    return [item for n in range(count) for item in ((f"s{n:07d}.cls", str(n % 2).encode()), (f"s{n:07d}.png", png(n)))]


def found(path):
    return list(samples(Local((path,)), 0, path.name))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_each_member_is_where_the_index_says(form, tmp_path):
    files = [*pairs(), ("long/" * 30 + "name.png", png(9)), ("long/" * 30 + "name.txt", b"a cat")]
    path = packed(tmp_path / "0.tar", files, form)
    there = list(members(Local((path,)), 0, "0.tar"))
    data = path.read_bytes()
    assert [(item.name, data[item.offset : item.offset + item.size]) for item in there] == files


def test_members_are_samples_by_their_names_up_to_the_first_dot(tmp_path):
    names = ["a/1.jpg", "a/1.seg.PNG", "a/1.cls", "b.c/2.jpg", "._2.jpg", "__x.jpg", "README", "b.c/2.cls"]
    path = packed(tmp_path / "0.tar", [(name, b"1") for name in names])
    assert [(sample.key, list(sample.parts)) for sample in found(path)] == [
        ("a/1", ["jpg", "seg.png", "cls"]),
        ("b.c/2", ["jpg", "cls"]),
    ]
    assert found(path)[0].images() == ["jpg", "seg.png"]


def test_what_is_read_of_labels(tmp_path):
    arrays = {
        "floats.npy": np.array([1, 0, 1], np.float32),
        "flags.npy": np.array([True, False]),
        "one.npy": np.int64(4),
        "share.npy": np.array([0.5]),
    }
    files = [("a.cls", b"12\n"), ("a.txt", "ein Hündchen\nzwei".encode())]
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        files.append((name, buffer.getvalue()))
    local = Local((packed(tmp_path / "0.tar", files),))
    read = [value(local, 0, "0.tar", member) for member in members(local, 0, "0.tar")]
    assert read == [12, "ein Hündchen\nzwei", [1, 0, 1], [True, False], 4, [0.5]]
    assert {type(item) for item in read[2]} == {int}


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.cls", b"cat", "invalid literal"),
        ("a.cls", b"", "invalid literal"),
        ("a.txt", b"\xff\xfe", "can't decode"),
        ("a.npy", b"rubbish", "not what its ending says"),
        ("a.npy", npy(np.array([print], object)), "not what its ending says"),
        ("a.npy", pickle.dumps([1]), "not what its ending says"),
        ("a.npy", npy(np.zeros((2, 2))), "2 dimensions"),
        ("a.npy", npy(np.array(["x"])), "is not a label"),
        ("a.json", b"{}", "labels cannot be read from .json members"),
    ],
)
def test_labels_that_are_none(name, data, message, tmp_path):
    local = Local((packed(tmp_path / "0.tar", [(name, data)]),))
    with pytest.raises(InputError, match=message):
        value(local, 0, "0.tar", next(members(local, 0, "0.tar")))


def test_a_tar_that_is_cut_off_anywhere_is_an_error(tmp_path):
    whole = packed(tmp_path / "0.tar", pairs()).read_bytes()
    end = max(item.offset + -(-item.size // 512) * 512 for item in members(Local((tmp_path / "0.tar",)), 0, "0"))
    path = tmp_path / "cut.tar"
    for length in (*range(0, end, 256), end - 1, end, end + 511):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="not a valid WebDataset tar"):
            found(path)
    path.write_bytes(whole[: end + 512])
    assert len(found(path)) == 3


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_bytes_are_changed_it_is_read_or_one_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = packed(folder / "fuzz.tar", pairs(2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(InputError):
        found(path)


def with_size(path, size):
    """The first header says another size, and has a sum that is right."""
    content = bytearray(path.read_bytes())
    content[124:136] = (b"\x80" + size.to_bytes(11, "big")) if size >= 8**11 else b"%011o\0" % size
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [60_000, 10**9, 2**62, 2**80])
def test_a_member_beyond_the_end_and_absurd_sizes(size, tmp_path):
    path = with_size(packed(tmp_path / "0.tar", pairs(), tarfile.USTAR_FORMAT), size)
    with pytest.raises(InputError, match="beyond the end of the file"):
        found(path)


@pytest.mark.parametrize("size", [2**21, 2**40, 2**62])
def test_an_absurd_extended_header_is_not_read_into_memory(size, tmp_path):
    path = with_size(packed(tmp_path / "0.tar", pairs(), tarfile.PAX_FORMAT), size)
    with pytest.raises(InputError, match="a header of"):
        found(path)


def test_a_negative_size_is_an_error(tmp_path):
    path = packed(tmp_path / "0.tar", pairs(), tarfile.USTAR_FORMAT)
    content = bytearray(path.read_bytes())
    content[124:136] = b"\xff" * 4 + struct.pack(">q", -1024)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a valid WebDataset tar"):
        found(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("a.cls", b"1"), ("a.cls", b"1")], r"two members that end in \.cls"),
        ([*pairs(1), ("b.png", png())], r"the sample b has no \.cls"),
        ([*pairs(1), ("b.cls", b"1" * 40), ("b.png", png())], "of different kinds"),
        ([*pairs(1), ("b.cls", b"one"), ("b.png", png())], "not what its ending says"),
        ([("a.cls", b"1"), ("a.1.png", png()), ("a.2.png", png())], "several image columns"),
        ([("a.cls", b"1"), ("a.json", b"{}")], "no image columns; its columns are cls, json"),
        ([], "not a valid WebDataset tar: empty file|has no samples"),
    ],
)
def test_samples_that_are_none(files, message, tmp_path):
    packed(tmp_path / "d" / "test" / "0.tar", files)
    (tmp_path / "d" / "test" / "nshards.txt").write_text("1\n")
    with pytest.raises(InputError, match=message):
        data = open_dataset(f"hf:{tmp_path / 'd'}", tmp_path / "cache")
        data.split(data.info.splits[0])


def test_a_compressed_tar_says_so(tmp_path):
    path = tmp_path / "d" / "test" / "0.tar"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in pairs():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    (path.parent / "nshards.txt").write_text("1")
    with pytest.raises(InputError, match="not a valid WebDataset tar") as caught:
        _ = open_dataset(f"hf:{tmp_path / 'd'}", tmp_path / "cache").info
    assert "compressed" in caught.value.fix


def test_an_index_is_made_once_and_anew_when_a_tar_changes(tmp_path):
    path = packed(tmp_path / "d" / "test" / "0.tar", pairs(4))
    (path.parent / "nshards.txt").write_text("1\n")

    def labels():
        return open_dataset(f"hf:{tmp_path / 'd'}", tmp_path / "cache").split("test").labels.tolist()

    assert labels() == [0, 1, 0, 1]
    (part,) = (tmp_path / "cache").rglob("00000.parquet")
    written = part.stat().st_mtime_ns
    assert labels() == [0, 1, 0, 1]
    assert part.stat().st_mtime_ns == written
    packed(path, [(name, b"1" if name.endswith("cls") else data) for name, data in pairs(5)])
    assert labels() == [1] * 5


def test_where_memory_does_not_hold_what_is_streamed_it_says_so_and_is_the_same(tmp_path, monkeypatch):
    path = packed(tmp_path / "test" / "0.tar", pairs(40))
    fetched = []

    def fetch(self, file, start, stop):
        fetched.append((start, stop))
        return path.read_bytes()[start:stop]

    monkeypatch.setattr(hub_shards.Shards, "_fetch", fetch)
    monkeypatch.setattr(hub_shards, "kept_bytes", lambda: 1000)
    monkeypatch.setattr(ranges, "shared_memory", lambda: ranges.Memory(1000))
    monkeypatch.setattr(ranges, "BLOCK", 512)
    size, reporter = path.stat().st_size, Silent()
    source = Source(
        *("hf:me/x", tmp_path / "cache", "me/x", "1" * 40),
        data_files={"test": ("test/0.tar",)},
        sizes={"test/0.tar": size},
    )
    shards = hub_shards.Shards(source, "test", reporter, streamed=True)
    table, places = shards.index(Columns("png", "cls"))
    images = hub_shards.ShardImages(shards, places)
    assert list(table["cls"]) == [0, 1] * 20
    assert [images.read(row) for row in range(40)] == [png(row) for row in range(40)]
    assert size < sum(stop - start for start, stop in fetched) < 2.5 * size
    (note,) = reporter.notes
    assert "reads what does not fit into 1.0 kB of memory twice" in note


def test_which_layout_a_repository_has():
    assert find_shards(["README.md", "train/0.tar", "train/nshards.txt", "test/0.tar", "test/nshards.txt"]) == {
        "test": ("test/0.tar",),
        "train": ("train/0.tar",),
    }
    assert find_shards(["test/10.tar", "test/9.tar", "classnames.txt"]) == {"test": ("test/9.tar", "test/10.tar")}
    assert find_shards(["0.tar", "nshards.txt"]) == {"all": ("0.tar",)}
    for other in (["test/0.tar"], ["data/train-0.tar", "classnames.txt"], ["0.tar"], ["data/x.parquet", "nshards.txt"]):
        assert find_shards(other) is None


def test_as_many_tars_count_as_nshards_says():
    tars = ("test/0.tar", "test/1.tar", "test/2.tar")
    assert counted(tars, "3\n", "x") == counted(tars, None, "x") == tars
    assert counted(tars, "2", "x") == tars[:2]
    assert counted(("test/a-00.tar", "test/a-01.tar"), "1", "x") == ("test/a-00.tar",)
    for text in ("", "three", "-1", "0", "1.5", "9" * 40, "0000001" + "9" * 12, "²"):
        with pytest.raises(InputError, match="contains no number of tars"):
            counted(tars, text, "x")
    with pytest.raises(AbsentError, match=r"2 of the 5 tars that test/nshards.txt of x counts are missing: test/3"):
        counted(tars, "5", "x")
