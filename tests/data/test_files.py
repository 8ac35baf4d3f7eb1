"""``file:``: lists, single files and archives, and what an archive may not do."""

import io
import json
import tarfile
import zipfile

import pytest
from PIL import Image

from vlmbench.data.images import ENDINGS
from vlmbench.data.local import archives
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.tasks.predict import find_images


def png(value=0):
    buffer = io.BytesIO()
    Image.new("RGB", (3, 3), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def opened(path, tmp_path):
    return open_dataset(f"file:{path}", tmp_path / "cache")


LAYOUT = {"a/1.png": png(1), "a/2.png": png(2), "b/1.png": png(3)}


def packed(path, files):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_lists(ending, tmp_path):
    rows = [("x/1.png", "dog", "train"), ("x/2.png", "big_cat", "test"), ("x/3.png", "dog", "test")]
    (tmp_path / "x").mkdir()
    for place, (name, _, _) in enumerate(rows):
        (tmp_path / name).write_bytes(png(place))
    path = tmp_path / f"list.{ending}"
    if ending == "jsonl":
        path.write_text("\n".join(json.dumps({"file_name": f, "label": c, "split": s}) for f, c, s in rows))
    else:
        mark = "\t" if ending == "tsv" else ","
        path.write_text("\n".join(mark.join(row) for row in [("path", "class", "split"), *rows]))
    data = opened(path, tmp_path)
    assert data.info.splits == ("train", "test")
    assert data.info.classnames == ("big cat", "dog")
    split = data.split("test")
    assert split.ids == ("x/2.png", "x/3.png")
    assert split.labels.tolist() == [0, 1]
    assert split.images.read(1) == png(2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n", "no images"),
        ("path,label\na.png,\n", "no line has a label"),
        ("path,label\na.png,x\nb.png,x\n", "only one class"),
        ("name,what\na.png,x\n", "a line without a path"),
        ("path,label\na.png,x\nb.png, x \n", "only one class"),
    ],
)
def test_lists_that_are_none(content, message, tmp_path):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        _ = opened(tmp_path / "list.csv", tmp_path).info


def test_labels_and_groups_of_lists_are_compared_as_they_look(tmp_path):
    """``cat`` and `` cat`` were two classes; a patient of number 0 had no group, and its images were on both sides."""
    rows = [("0.png", "cat", 0), ("1.png", " cat", 0), ("2.png", "caf\u00e9", 1), ("3.png", "cafe\u0301 ", "1 ")]
    rows += [("4.png", "cat", None), ("5.png", "caf\u00e9", "")]
    for name, *_ in rows:
        (tmp_path / name).write_bytes(png())
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(json.dumps({"file_name": f, "label": c, "patient": p}) for f, c, p in rows))
    data = open_dataset(f"file:{path}?group=patient", tmp_path / "cache")
    assert data.info.classnames == ("café", "cat")
    split = data.split(data.info.splits[0])
    assert split.labels.tolist() == [1, 1, 0, 0, 1, 0]
    assert split.groups == ("0", "0", "1", "1", "", "")
    for odd in (1.5, True, [1], {}):
        path.write_text(json.dumps({"file_name": "0.png", "label": "cat", "patient": odd}))
        with pytest.raises(InputError, match="a group that is no name"):
            _ = open_dataset(f"file:{path}?group=patient", tmp_path / "cache").info


@pytest.mark.parametrize("name", ["d.zip", "d.tar", "d.tar.gz", "d.tgz"])
@pytest.mark.parametrize("top", ["", "everything/"])
def test_archives_of_a_folder(name, top, tmp_path):
    path = packed(tmp_path / name, {top + file: data for file, data in LAYOUT.items()})
    data = opened(path, tmp_path)
    assert data.info.classnames == ("a", "b")
    split = data.split("all")
    assert split.ids == ("a/1.png", "a/2.png", "b/1.png")
    assert split.images.read(2) == png(3)
    path.unlink()
    assert split.images.read(0) == png(1)


def test_a_webdataset_shard(tmp_path):
    files = {}
    for number in range(4):
        files |= {f"{number:03d}.png": png(number), f"{number:03d}.cls": str(number % 2).encode()}
    data = opened(packed(tmp_path / "shard.tar", files), tmp_path)
    assert data.split("all").labels.tolist() == [0, 1, 0, 1]


def test_a_shard_of_captions(tmp_path):
    files = {}
    for number in range(3):
        files |= {f"{number:03d}.jpg": png(number), f"{number:03d}.txt": f"a cat {number}\na pet".encode()}
    split = opened(packed(tmp_path / "shard.tar", files), tmp_path).split("all")
    assert split.captions == tuple((f"a cat {number}", "a pet") for number in range(3))


def test_the_same_image_endings_everywhere(tmp_path):
    endings = [form(ending) for ending in ENDINGS for form in (str, str.upper)]
    folder = {f"{name}/{place:02d}.{ending}": png() for name in "ab" for place, ending in enumerate(endings)}
    for name, data in folder.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    samples = {}
    for place, ending in enumerate(endings):
        samples |= {f"{place:02d}.cls": str(place % 2).encode(), f"{place:02d}.{ending}": png()}
    for archive in (packed(tmp_path / "d.zip", folder), packed(tmp_path / "d.tar", folder)):
        assert len(opened(archive, tmp_path).split("all")) == 2 * len(endings)
    assert len(open_dataset(f"folder:{tmp_path / 'd'}", tmp_path).split("all")) == 2 * len(endings)
    assert len(find_images([tmp_path / "d"])) == 2 * len(endings), "predict"
    split = opened(packed(tmp_path / "s.tar", samples), tmp_path).split("all")
    assert [split.images.read(row) for row in range(len(split))] == [png()] * len(endings)


def test_an_archive_with_a_list(tmp_path):
    files = {
        "images/1.png": png(1),
        "images/2.png": png(2),
        "labels.csv": b"path,label\nimages/1.png,x\nimages/2.png,y\n",
    }
    data = opened(packed(tmp_path / "d.zip", files), tmp_path)
    assert data.info.classnames == ("x", "y")
    escape = {**files, "labels.csv": b"path,label\n../../secret.png,x\nimages/2.png,y\n"}
    with pytest.raises(InputError, match="outside the archive"):
        _ = opened(packed(tmp_path / "e.zip", escape), tmp_path).info


def test_a_parquet_file(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [{"bytes": png(i), "path": None} for i in range(3)], "label": [0, 1, 1]}
    datasets.Dataset.from_dict(rows, features=kinds).to_parquet(tmp_path / "one.parquet")
    data = opened(tmp_path / "one.parquet", tmp_path)
    assert data.info.classnames == ("x", "y")
    assert data.split("all").labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "C:/out.png", "..\\out.png"])
@pytest.mark.parametrize("kind", ["d.zip", "d.tar"])
def test_paths_that_lead_outside_are_refused(name, kind, tmp_path):
    path = packed(tmp_path / kind, {**LAYOUT, name: png()})
    with pytest.raises(InputError, match="a path that points outside"):
        opened(path, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.png"))
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind, tmp_path):
    path = tmp_path / "d.tar"
    with tarfile.open(path, "w") as tar:
        item = tarfile.TarInfo("a/link.png")
        item.type, item.linkname = kind, "/etc/passwd"
        tar.addfile(item)
    with pytest.raises(InputError, match="a link or a device"):
        opened(path, tmp_path)


def test_links_in_a_zip_are_refused(tmp_path):
    item = zipfile.ZipInfo("a/link.png")
    item.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr(item, "/etc/passwd")
    with pytest.raises(InputError, match="contains a link"):
        opened(tmp_path / "d.zip", tmp_path)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 1000)
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", b"\0" * 5_000_000)
    with pytest.raises(InputError, match="refused as a decompression bomb"):
        opened(tmp_path / "d.zip", tmp_path)
    assert not list((tmp_path / "cache" / "archives").iterdir())


def test_damaged_unknown_and_absent_files(tmp_path):
    for name in ("d.zip", "d.tar"):
        (tmp_path / name).write_bytes(b"rubbish")
        with pytest.raises(InputError, match="cannot unpack"):
            opened(tmp_path / name, tmp_path)
    (tmp_path / "d.docx").write_bytes(b"")
    with pytest.raises(InputError, match="not a dataset file"):
        opened(tmp_path / "d.docx", tmp_path)
    with pytest.raises(AbsentError):
        opened(tmp_path / "none.csv", tmp_path)
