from pathlib import Path

import pytest
from PIL import Image

from vlmbench.data.base import choose_split, subset
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import AbsentError, InputError, UsageError


def folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg", ".JPG")):
            Image.new("RGB", (2, 2)).save(path)
        elif not name.endswith("/"):
            path.write_text("text")
        else:
            path.mkdir(exist_ok=True)
    return root


def opened(root: Path, cache: Path = Path("unused")):
    return open_dataset(f"folder:{root}", cache)


def test_classes_and_images_come_in_natural_order(tmp_path):
    root = folder(tmp_path, "10/a.png", "2/10.png", "2/9.png", "2/.hidden.png", ".git/x.png", "2/deep/1.JPG")
    data = opened(root)
    assert data.info.classnames == ("2", "10")
    assert data.info.splits == ("all",)
    split = data.split("all")
    assert split.ids == ("2/9.png", "2/10.png", "2/deep/1.JPG", "10/a.png")
    assert split.labels.tolist() == [0, 0, 0, 1]
    assert split.images.read(0) == (root / "2" / "9.png").read_bytes()


def test_splits_and_their_other_names(tmp_path):
    root = folder(
        tmp_path, "train/a/1.png", "train/b/1.png", "validation/a/1.png", "validation/b/2.png", "Test/a/1.png"
    )
    data = opened(root)
    assert data.info.splits == ("train", "val", "test")
    assert data.split("val").ids == ("a/1.png", "b/2.png")
    assert choose_split(data.info, None) == "test"
    assert choose_split(data.info, "dev") == "val"
    assert any("has no images in the test split" in note for note in data.info.notes)


def test_a_class_may_be_called_train(tmp_path):
    data = opened(folder(tmp_path, "airplane/1.png", "train/1.png"))
    assert data.info.classnames == ("airplane", "train")


def test_names_are_made_readable_and_the_source_kept(tmp_path):
    info = opened(folder(tmp_path, "traffic_light/1.png", "stop_sign/1.png")).info
    assert info.classnames == ("stop sign", "traffic light")
    assert info.raw_classnames == ("stop_sign", "traffic_light")


def test_an_unknown_split_names_those_there_are(tmp_path):
    info = opened(folder(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")).info
    with pytest.raises(InputError, match="it has train, test"):
        choose_split(info, "holdout")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no class directories"),
        (("loose.png",), "no class directories"),
        (("cat/1.png",), "only one class"),
        (("cat/1.png", "dog/"), "the class dog has no images"),
        (("cat/1.png", "dog/readme.txt"), r"the class dog has no images \(1 other files\)"),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"),
            "the class c is in the test split and not",
        ),
        (("val/a/1.png", "dev/a/1.png"), "two directories contain the split val"),
    ],
)
def test_what_is_no_dataset_is_bad_input(tmp_path, names, message):
    with pytest.raises(InputError, match=message) as caught:
        _ = opened(folder(tmp_path, *names)).info
    assert caught.value.exit_code == 3
    assert caught.value.fix


def test_other_files_are_ignored_and_counted(tmp_path):
    info = opened(folder(tmp_path, "a/1.png", "a/Thumbs.db", "b/1.png")).info
    assert any("a file that is no image was ignored" in note for note in info.notes)


def test_links_in_a_ring_end(tmp_path):
    root = folder(tmp_path, "a/1.png", "b/1.png")
    (root / "a" / "again").symlink_to(root / "a")
    assert len(opened(root).split("all")) == 2


def test_absent_and_mistaken_names(tmp_path):
    with pytest.raises(AbsentError, match="no such directory"):
        opened(tmp_path / "nowhere")
    with pytest.raises(AbsentError, match="no such dataset: digit"):
        open_dataset("digit", tmp_path)
    with pytest.raises(UsageError, match="unknown kind of dataset: torrent:"):
        open_dataset("torrent:x", tmp_path)
    with pytest.raises(UsageError, match="nothing after folder:"):
        open_dataset("folder:", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        opened(tmp_path / "file")
    with pytest.raises(AbsentError) as caught:
        open_dataset(str(tmp_path), tmp_path)
    assert caught.value.fix == f"folder:{tmp_path}"


def test_a_subset_keeps_order_and_reads_its_own_images(tmp_path):
    split = opened(folder(tmp_path, "a/1.png", "a/2.png", "b/1.png")).split("all")
    part = subset(split, [2, 0])
    assert part.ids == ("b/1.png", "a/1.png")
    assert part.labels.tolist() == [1, 0]
    assert part.images.read(0) == split.images.read(2)
