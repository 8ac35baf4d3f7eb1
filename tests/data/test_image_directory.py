"""Images found by name in a directory."""

import pytest

from vlmbench.data.local.image_directory import open_images
from vlmbench.foundations.errors import AbsentError, InputError


@pytest.fixture
def root(tmp_path):
    for name in ("val/12.jpg", "val/a.b.JPG", "train/a.b.png", "notes.txt", "x.png", "y/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_by_path_name_and_stem(root):
    found = open_images(root, ["12", "a.b.png", "12.jpg", "y/x.png"])
    assert found.split("all").images.names == ("val/12.jpg", "train/a.b.png", "val/12.jpg", "y/x.png")
    split = found.split("all")
    assert split.ids == ("12", "a.b.png", "12.jpg", "y/x.png")
    assert [split.images.read(k) for k in (1, 3)] == [b"train/a.b.png", b"y/x.png"]
    assert open_images(root, ["x.png"]).split("all").images.names == ("x.png",), "the path itself comes first"


def test_absent_and_ambiguous(root):
    with pytest.raises(InputError, match=r"4 of 5 images are missing: p, q, r …"):
        open_images(root, ["p", "q", "12", "r", "notes.txt"])
    with pytest.raises(InputError, match=r"two files have the name of image a\.b"):
        open_images(root, ["a.b"])
    with pytest.raises(AbsentError, match="no such directory"):
        open_images(root / "none", ["12"])
