"""``hf:./directory``: what `datasets` reads, read as it is laid out."""

import errno
import io
import tarfile

import pytest
from PIL import Image

from vlmbench.data.hub.files import reading
from vlmbench.data.images import decode
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.hub.client import hub_errors


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def png(value):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(root, split="test", names=("cat", "dog"), labels=(0, 1, 1), **columns):
    import datasets

    (root / "data").mkdir(parents=True, exist_ok=True)
    label = datasets.ClassLabel(names=list(names)) if names else datasets.Value("int64")
    data = {"image": [{"bytes": png(i), "path": None} for i in range(len(labels))], "label": list(labels), **columns}
    kinds = {"image": datasets.Image(), "label": label}
    for name, values in columns.items():
        kinds[name] = datasets.Value("string") if isinstance(values[0], str) else datasets.List(datasets.Value("int64"))
    table = datasets.Dataset.from_dict(data, features=datasets.Features(kinds))
    table.to_parquet(root / "data" / f"{split}-00000-of-00001.parquet")
    return root


def opened(root, tmp_path):
    return open_dataset(f"hf:{root}", tmp_path)


def red(split, row):
    return decode(split.images.read(row), "x").getpixel((0, 0))[0]


def test_parquet_with_a_class_label(tmp_path):
    root = parquet(parquet(tmp_path / "d"), "train", labels=(1, 0))
    data = opened(root, tmp_path)
    assert data.info.splits == ("train", "test")
    assert data.info.classnames == ("cat", "dog")
    split = data.split("test")
    assert split.labels.tolist() == [0, 1, 1]
    assert [red(split, row) for row in range(3)] == [0, 1, 2]
    assert len(set(split.ids)) == 3
    assert split.images.stamp() is not None


def test_a_directory_of_images(tmp_path):
    for split in ("train", "test"):
        for number, name in enumerate(("cat", "big_dog")):
            path = tmp_path / "d" / split / name / "1.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(png(number))
    data = opened(tmp_path / "d", tmp_path)
    assert data.info.classnames == ("big dog", "cat")
    split = data.split("test")
    assert {(int(split.labels[row]), red(split, row)) for row in range(2)} == {(0, 1), (1, 0)}
    first = split.images.stamp()
    changed = tmp_path / "d" / "test" / "cat" / "1.png"
    changed.write_bytes(png(7))
    assert opened(tmp_path / "d", tmp_path).split("test").images.stamp() != first


def test_text_labels_become_classes_in_natural_order(tmp_path):
    root = parquet(tmp_path / "d", names=None, labels=(5, 6, 7), category=["class 10", "class 2", "class 2"])
    import pyarrow.parquet as pq

    path = root / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["label"]).replace_schema_metadata(None), path)
    data = opened(root, tmp_path)
    with pytest.raises(InputError, match="no image columns; its columns are image, category"):
        _ = data.info


def test_webdataset_shards_with_names_and_templates_beside_them(tmp_path):
    root = tmp_path / "d"
    (root / "test").mkdir(parents=True)
    with tarfile.open(root / "test" / "0.tar", "w") as tar:
        for number in range(4):
            for ending, data in (("png", png(number)), ("cls", str(number % 2).encode())):
                item = tarfile.TarInfo(f"s{number:03d}.{ending}")
                item.size = len(data)
                tar.addfile(item, io.BytesIO(data))
    (root / "classnames.txt").write_text("tabby cat\ngreat dane\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of {c}.\nthe {c}\n")
    (root / "test" / "nshards.txt").write_text("1\n")
    data = opened(root, tmp_path)
    assert data.info.classnames == ("tabby cat", "great dane")
    assert data.info.templates == ("a photo of {c}.", "the {c}")
    split = data.split("test")
    assert split.labels.tolist() == [0, 1, 0, 1]
    assert [red(split, row) for row in range(4)] == [0, 1, 2, 3]


def test_several_configs_are_named(tmp_path):
    parquet(tmp_path / "d" / "a")
    parquet(tmp_path / "d" / "b", names=("x", "y", "z"))
    (tmp_path / "d" / "README.md").write_text(
        "---\nconfigs:\n" + "".join(f"- config_name: {n}\n  data_files: {n}/data/*.parquet\n" for n in "ab") + "---\n"
    )
    with pytest.raises(InputError, match=r"'a', 'b'"):
        opened(tmp_path / "d", tmp_path)
    assert opened(f"{tmp_path / 'd'}:b", tmp_path).info.classnames == ("x", "y", "z")


def test_numbers_for_classes_are_told_of(tmp_path):
    data = opened(parquet(tmp_path / "d", names=None, labels=(0, 2, 1)), tmp_path)
    assert data.info.classnames == ("0", "1", "2")
    assert any("--classnames" in note for note in data.info.notes)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: root.mkdir(), "cannot read|no data files"),
        (lambda root: parquet(root, names=("cat",), labels=(0, 0)), "one class, cat"),
        (lambda root: parquet(root, labels=(0, -1)), "is not one of the 2 classes"),
    ],
)
def test_what_is_no_dataset(tmp_path, write, message):
    write(tmp_path / "d")
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "d", tmp_path).split("test")


def test_a_damaged_parquet_file_is_bad_input(tmp_path):
    root = parquet(tmp_path / "d")
    (root / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 rubbish")
    with pytest.raises(InputError) as caught:
        _ = opened(root, tmp_path).info
    assert caught.value.exit_code == 3


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    root = parquet(tmp_path / "d", labels=(0, 1, 1))
    first = opened(root, tmp_path).split("test")
    second = opened(parquet(root, labels=(1, 0, 0)), tmp_path).split("test")
    assert (first.labels.tolist(), second.labels.tolist()) == ([0, 1, 1], [1, 0, 0])


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_a_full_disk_is_told_of(kind):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(AbsentError, match="no space left on the disk") as caught, hub_errors("me/large", kind):
        raise full
    assert ("?stream=yes" in caught.value.fix) == (kind == "dataset")
    with pytest.raises(AbsentError, match="no space left on the disk"), reading("hf:me/large"):
        raise RuntimeError("An error occurred while generating the dataset") from full
