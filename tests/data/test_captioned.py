"""Captioned sets from folders and from COCO's files."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.captions.read import read_references
from vlmbench.data.captions.sets import captions_of
from vlmbench.data.images import decode
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import AbsentError, InputError

PHOTOGRAPHS = Path(__file__).parents[2] / "../shared/data/captioned-images"


def write(root: Path, *lines: object, name: str = "metadata.jsonl") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for line in lines:
        if isinstance(line, dict) and "file_name" in line:
            (root / str(line["file_name"])).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(root / str(line["file_name"]))
    (root / name).write_text("\n".join(json.dumps(line) if not isinstance(line, str) else line for line in lines))
    return root


def test_one_folder(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {"file_name": "a.png", "captions": ["one", "two"]},
        {"file_name": "sub/b.png", "caption": "three", "image_id": 7},
        {"file_name": "a.png", "caption": "four"},
    )
    opened = open_dataset(f"folder:{root}", tmp_path / "cache")
    assert opened.info.splits == ("all",)
    split = opened.split("all")
    assert split.ids == ("a.png", "7")
    assert split.captions == (("one", "two", "four"), ("three",))
    assert decode(split.images.read(1), "b").size == (4, 4)
    assert split.labels.tolist() == [0, 0]


def test_splits_by_directory_and_by_field(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        write(tmp_path / "a" / name, {"file_name": f"{name}.png", "text": f"of {name}"})
    opened = open_dataset(f"folder:{tmp_path}/a", tmp_path)
    assert opened.info.splits == ("train", "val", "test")
    assert opened.split("val").captions == (("of validation",),)
    assert decode(opened.split("val").images.read(0), "v").size == (4, 4)
    write(tmp_path / "b", *({"file_name": f"{n}.png", "caption": n, "split": n} for n in ("test", "train", "extra")))
    assert open_dataset(f"folder:{tmp_path}/b", tmp_path).info.splits == ("train", "test", "extra")


def test_csv(tmp_path: Path) -> None:
    write(tmp_path, {"file_name": "a.png"})
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / "metadata.csv").write_text('file_name,caption\na.png,"a dog, running"\na.png,a dog\n')
    assert open_dataset(f"folder:{tmp_path}", tmp_path).split("all").captions == (("a dog, running", "a dog"),)


def test_a_folder_of_classes_is_not_a_captioned_one(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write(tmp_path / name, {"file_name": "a.png"}, name="notes.txt")
    assert open_dataset(f"folder:{tmp_path}", tmp_path).info.classnames == ("cat", "dog")
    write(tmp_path, {"file_name": "cat/a.png", "label": 1})
    assert open_dataset(f"folder:{tmp_path}", tmp_path).info.classnames == ("cat", "dog")


@pytest.mark.parametrize(
    ("lines", "said", "place"),
    [
        (({"file_name": "a.png", "caption": "x"}, "{not json"), "not valid JSON", "line 2"),
        (({"file_name": "a.png", "caption": "x"}, "[1]"), "not a JSON object", "line 2"),
        (({"file_name": "a.png", "caption": "x"}, {"caption": "y"}), "no file_name", "line 2"),
        (({"file_name": "a.png", "caption": "x"}, {"file_name": "b.png"}), "b.png has no caption", "line 2"),
        (({"file_name": "a.png", "captions": [1]},), "has no caption", "line 1"),
        ((*({"file_name": f"{n}.png", "caption": "x", "id": 1} for n in "ab"),), "occurs twice", "metadata"),
        (('{"file_name": "../a.png", "caption": "x"}',), "points outside the folder", "metadata"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, lines: tuple[object, ...], said: str, place: str
) -> None:
    root = write(tmp_path, *lines)
    with pytest.raises(InputError, match=said) as caught:
        open_dataset(f"folder:{root}", tmp_path)
    assert place in str(caught.value.where)


def test_coco_and_karpathy(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    coco = {
        "images": [{"id": 5, "file_name": "a.png"}, {"id": 6, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 6, "caption": "six"},
            {"image_id": 5, "caption": "five"},
            {"image_id": 6, "caption": "VI"},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    opened = open_dataset(f"coco:{tmp_path}/coco.json#{tmp_path}/images", tmp_path)
    assert opened.split("all").ids == ("5", "6")
    assert opened.split("all").captions == (("five",), ("six", "VI"))
    karpathy = {
        "images": [
            {
                "filename": "a.png",
                "filepath": "images",
                "cocoid": 9,
                "split": "restval",
                "sentences": [{"raw": "nine"}],
            },
            {"filename": "b.png", "filepath": "images", "imgid": 1, "split": "val", "sentences": [{"raw": "one"}]},
        ]
    }
    (tmp_path / "karpathy.json").write_text(json.dumps(karpathy))
    opened = open_dataset(f"coco:{tmp_path}/karpathy.json", tmp_path)
    assert opened.info.splits == ("val", "restval")
    assert opened.split("restval").ids == ("9",)
    assert opened.split("val").ids == ("b.png",), "Flickr's files have no cocoid: the file's name is the id"
    assert decode(opened.split("val").images.read(0), "b").size == (4, 4)
    asked = open_dataset(f"coco:{tmp_path}/karpathy.json?restval=yes#{tmp_path}", tmp_path)
    assert asked.info.splits == ("train", "val")
    assert asked.split("train").ids == ("9",)


def test_coco_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="annotations file"):
        open_dataset(f"coco:{tmp_path}/nowhere.json", tmp_path)
    (tmp_path / "c.json").write_text('{"images": [{"id": 1}], "annotations": []}')
    with pytest.raises(InputError, match="COCO"):
        open_dataset(f"coco:{tmp_path}/c.json", tmp_path)
    (tmp_path / "c.json").write_text('{"images": [{"id": 1, "file_name": "a"}], "annotations": []}')
    with pytest.raises(InputError, match="no caption"):
        open_dataset(f"coco:{tmp_path}/c.json", tmp_path)


def test_a_hub_set_keeps_its_own_ids(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pixels = [{"bytes": _png(shade), "path": None} for shade in (0, 100, 200)]
    columns = {
        "image": pixels,
        "captions": [["one"], ["two", "zwei"], ["three"]],
        "imgid": [12, 7, 30],
        "id": [1, 1, 2],
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "captions": datasets.Sequence(datasets.Value("string")),
            "imgid": datasets.Value("int64"),
            "id": datasets.Value("int64"),
        }
    )
    (tmp_path / "set/data").mkdir(parents=True)
    table = datasets.Dataset.from_dict(columns, features=features)
    table.to_parquet(str(tmp_path / "set/data/test-00000-of-00001.parquet"))
    split = open_dataset(f"hf:{tmp_path}/set", tmp_path / "cache").split("test")
    assert split.ids == ("12", "7", "30")
    assert split.captions == (("one",), ("two", "zwei"), ("three",))
    table.remove_columns("imgid").to_parquet(str(tmp_path / "set/data/test-00000-of-00001.parquet"))
    split = open_dataset(f"hf:{tmp_path}/set", tmp_path / "other").split("test")
    assert len(set(split.ids)) == 3, "an id that occurs twice is none"


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"image_id": [4, 9], "annotations_captions": [["x", "y"], ["z"]]}, ("4", "9")),
        ({"image_id": ["a", "b"], "caption_str": [["x", "y"], ["z"]], "question_id": ["q", "r"]}, ("a", "b")),
        ({"question_id": ["q", "r"], "answer": [["x", "y"], ["z"]], "id": [7, 8]}, ("7", "8")),
        ({"imgid": [0, 1], "cocoid": [50, 60], "sentences": [["x", "y"], ["z"]]}, ("50", "60")),
        ({"img_id": ["7", "8"], "caption_0": ["x", "z"], "caption_1": ["y", ""]}, ("7", "8")),
    ],
    ids=["nocaps", "TextCaps", "COCO", "Karpathy", "Flickr8k"],
)
def test_the_columns_of_published_sets_are_known_everywhere(
    tmp_path: Path, columns: dict[str, list[object]], ids: tuple[str, ...]
) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "hub/data").mkdir(parents=True)
    pixels = [{"bytes": _png(shade), "path": None} for shade in (0, 100)]
    table = datasets.Dataset.from_dict({"image": pixels, **columns}).cast_column("image", datasets.Image())
    table.to_parquet(str(tmp_path / "hub/data/test-00000-of-00001.parquet"))
    rows = [{name: values[row] for name, values in columns.items()} for row in range(2)]
    write(tmp_path / "folder", *({"file_name": f"{row}.png", **own} for row, own in enumerate(rows)))
    for spec, split in ((f"hf:{tmp_path}/hub", "test"), (f"folder:{tmp_path}/folder", "all")):
        found = open_dataset(spec, tmp_path / "cache").split(split)
        assert (found.ids, found.captions) == (ids, (("x", "y"), ("z",)))
    references = read_references(tmp_path / "hub/data/test-00000-of-00001.parquet")
    assert references.captions == dict(zip(ids, (["x", "y"], ["z"]), strict=True))


def test_the_domains_of_nocaps(tmp_path: Path) -> None:
    nocaps = {
        "images": [{"id": n, "file_name": f"{n}.png", "domain": f"{d}-domain"} for n, d in enumerate(("in", "out"))],
        "annotations": [{"image_id": n, "caption": "a"} for n in (0, 1)],
    }
    (tmp_path / "nocaps.json").write_text(json.dumps(nocaps))
    assert open_dataset(f"coco:{tmp_path}/nocaps.json", tmp_path).split("all").groups == ("in-domain", "out-domain")
    write(tmp_path / "f", {"file_name": "a.png", "caption": "a", "domain": "x"}, {"file_name": "b.png", "caption": "b"})
    assert open_dataset(f"folder:{tmp_path}/f", tmp_path).split("all").groups == ("x", "")


def _png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_forms_of_captions() -> None:
    assert captions_of("a") == ("a",)
    assert captions_of(["a", "b"]) == captions_of(np.array(["a", "b"])) == captions_of([{"raw": "a"}, {"raw": "b"}])
    assert captions_of(3) is None
    assert captions_of(["a", None]) is None


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the shared folder with 26 captioned photographs is not here")
def test_the_photographs(tmp_path: Path) -> None:
    split = open_dataset(f"folder:{PHOTOGRAPHS}", tmp_path).split("all")
    assert len(split) == 26
    assert {len(captions) for captions in split.captions} == {5}
    assert all(decode(split.images.read(row), id).mode == "RGB" for row, id in enumerate(split.ids))
