"""COCO instances files: what is read, where images are found, and what is said of what is wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import DatasetInfo, Split
from vlmbench.data.bundled import Arrays
from vlmbench.data.fingerprint import fingerprint
from vlmbench.data.images import decode
from vlmbench.data.open import open_dataset
from vlmbench.data.views.boxes import Boxed
from vlmbench.data.views.crops import shown
from vlmbench.data.views.instances import read_instances
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.progress import Silent

FILES = ("one.png", "two.png", "three.png")


def document():
    """Three images of 8 x 6, four boxes and a crowd, three categories out of order."""
    return {
        "images": [{"id": 10 + n, "file_name": name, "width": 8, "height": 6} for n, name in enumerate(FILES)],
        "annotations": [
            {"id": 7, "image_id": 12, "category_id": 18, "bbox": [1, 1, 3, 3], "iscrowd": 0, "segmentation": [[0]]},
            {"id": 3, "image_id": 10, "category_id": 1, "bbox": [0, 0, 8, 6], "iscrowd": 0},
            {"id": 9, "image_id": 10, "category_id": 3, "bbox": [0, 0, 8, 6], "iscrowd": 1},
            {"id": 5, "image_id": 12, "category_id": 1, "bbox": [2.5, 0.5, 1.25, 2], "iscrowd": 0},
            {"id": 4, "image_id": 10, "category_id": 3, "bbox": [4, 2, 2, 2]},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 3, "name": "traffic_light"}],
    }


def write(path, data):
    path.write_text(json.dumps(data) if not isinstance(data, str) else data)
    return path


def images(root, names=FILES, size=(8, 6)):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (40 * number, 0, 0)).save(root / name)
    return root


def opened(tmp_path, data=None, root=None):
    file = write(tmp_path / "instances.json", document() if data is None else data)
    return open_dataset(f"boxes:{file}#folder:{root or images(tmp_path / 'flat')}", tmp_path / "cache")


def test_classes_are_categories_by_id_and_items_are_annotations(tmp_path):
    dataset = opened(tmp_path)
    assert dataset.info.classnames == ("person", "traffic light", "dog")
    assert dataset.info.raw_classnames == ("person", "traffic_light", "dog")
    assert dataset.info.splits == ("all",)
    assert dataset.info.notes == ("boxes of crowds (iscrowd) that were left out: 1",)
    split = dataset.split("all")
    assert split.ids == ("3", "4", "7", "5")  # image by image as the directory has them, in the file's order within
    assert split.labels.tolist() == [0, 1, 2, 0]
    assert split.regions.images == ("one.png", "one.png", "three.png", "three.png")
    assert split.regions.boxes[3].tolist() == [2.5, 0.5, 1.25, 2]
    assert decode(split.images.read(2), "x").getpixel((0, 0)) == (80, 0, 0)
    assert shown(dataset, "all").images.read(3).shape == (3, 2, 3)


@pytest.mark.parametrize("folder", ["cat/{}", "a/b/{}"])
def test_images_are_found_in_directories_below(folder, tmp_path):
    root = images(tmp_path / "deep", [folder.format(name) for name in FILES])
    assert opened(tmp_path, root=root).split("all").regions.images[0] == folder.format("one.png")


def test_file_names_may_begin_with_a_directory_that_is_not_there(tmp_path):
    data = document()
    for image in data["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
    assert opened(tmp_path, data).split("all").regions.images[0] == "one.png"


def test_splits_are_directories(tmp_path):
    root = images(tmp_path / "parted", ["train/one.png", "val/three.png", "val/other.png"])
    dataset = opened(tmp_path, root=root)
    assert dataset.info.splits == ("train", "val")
    assert dataset.split("train").ids == ("3", "4")
    assert dataset.split("val").ids == ("7", "5")


def test_a_class_may_be_called_train(tmp_path):
    root = images(tmp_path / "classes", ["train/one.png", "boat/two.png", "boat/three.png"])
    assert opened(tmp_path, root=root).info.splits == ("all",)


class Other:
    """A dataset whose ids are numbers of the hub's rows, or file names without their ending."""

    def __init__(self, *ids):
        self.info = DatasetInfo(id="other", revision="abc", splits=("test",), classnames=())
        self.ids = ids

    def split(self, name):
        raws = tuple(np.full((6, 8, 3), n, np.uint8) for n in range(len(self.ids)))
        return Split(name, self.ids, np.zeros(len(self.ids), np.int64), Arrays(raws))


@pytest.mark.parametrize("ids", [("three", "one"), ("12", "10"), ("x/three.png", "x/one.png")])
def test_images_of_another_dataset(ids, tmp_path):
    instances = read_instances(write(tmp_path / "instances.json", document()))
    split = Boxed("spec", instances, Other(*ids)).split("test")
    assert split.ids == ("7", "5", "3", "4")
    assert split.images.read(2)[0, 0, 0] == 1


def test_a_moved_box_is_another_fingerprint(tmp_path):
    root = images(tmp_path / "flat")
    data = document()
    prints = []
    for x in (1, 2):
        data["annotations"][0]["bbox"][0] = x
        for _ in range(2):
            prints.append(fingerprint(opened(tmp_path, data, root).split("all"), tmp_path / "cache", Silent()))
    assert prints[0] == prints[1]
    assert prints[2] == prints[3]
    assert prints[0] != prints[2]


def change(path, value):
    def apply(data):
        *way, last = path
        for step in way:
            data = data[step]
        data[last] = value

    return apply


ANNOTATION = ("annotations", 0)


@pytest.mark.parametrize(
    ("changed", "message", "place"),
    [
        (change((*ANNOTATION, "bbox"), [1, 1, 3, -3]), "a side below 0", "annotation 7"),
        (change((*ANNOTATION, "bbox"), [1, 1, 3]), "its bbox is", "annotation 7"),
        (change((*ANNOTATION, "bbox"), [1, 1, 3, "3"]), "its bbox is", "annotation 7"),
        (change((*ANNOTATION, "bbox"), [1, 1, 3, float("nan")]), "its bbox is", "annotation 7"),
        (change((*ANNOTATION, "bbox"), None), "its bbox is", "annotation 7"),
        (change((*ANNOTATION, "bbox"), [9, 1, 3, 3]), "is outside the image three.png of 8 x 6", "annotation 7"),
        (change((*ANNOTATION, "category_id"), 2), "no category has its category_id 2", "annotation 7"),
        (change((*ANNOTATION, "image_id"), 99), "no image has its image_id 99", "annotation 7"),
        (change((*ANNOTATION, "image_id"), [12]), "no image has its image_id", "annotation 7"),
        (change((*ANNOTATION, "id"), None), "no id", "annotations[0]"),
        (change((*ANNOTATION, "id"), 3), "two annotations have this id", "annotation 3"),
        (change(("images", 0, "id"), 12), "two images have this id", "image 12"),
        (change(("images", 0, "file_name"), ""), "no file_name", "image 10"),
        (change(("images", 0, "file_name"), "gone.png"), "1 of 2 images are not in", "image 10"),
        (change(("images", 0, "file_name"), "three.png"), "would both be three.png", "image 1"),
        (change(("images", 0, "width"), -1), "width and height are", "image 10"),
        (change(("categories", 0, "name"), ""), "no name", "category 18"),
        (change(("categories", 0, "name"), "person"), "two categories", "category 1"),
        (change(("categories",), [{"id": 1, "name": "a"}]), "nothing to classify", "categories"),
        (change(("categories",), None), "it has no categories", ""),
        (change(("annotations",), {"a": 1}), "not a list of objects", "annotations"),
        (change(("annotations",), []), "no boxes", ""),
        (change(("annotations",), [{"id": 1, "image_id": 10, "caption": "a dog"}]), "a captions file", ""),
    ],
)
def test_what_is_wrong_is_named(changed, message, place, tmp_path):
    data = document()
    changed(data)
    with pytest.raises(InputError) as caught:
        opened(tmp_path, data).split("all")
    assert message in caught.value.what
    assert str(tmp_path / "instances.json") in caught.value.where
    assert place in caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [', "not valid JSON"),
        ("", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]', "a JSON list"),
        ('{"licenses": []}', "it has no annotations"),
    ],
)
def test_other_files_are_told_from_instances(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        opened(tmp_path, text)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "instances.json").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_instances(tmp_path / "instances.json")


def test_boxes_without_area_are_left_out_and_counted(tmp_path):
    data = document()
    data["annotations"].append({"id": 99, "image_id": 10, "category_id": 1, "bbox": [2, 2, 0, 3]})
    dataset = opened(tmp_path, data)
    assert "boxes without area that were left out: 1" in dataset.info.notes
    assert dataset.split("all").ids == ("3", "4", "7", "5")


def test_only_crowds(tmp_path):
    data = document()
    for annotation in data["annotations"]:
        annotation["iscrowd"] = 1
    with pytest.raises(InputError, match="no boxes but 5 crowds"):
        opened(tmp_path, data)


def test_a_name_that_may_be_two_images(tmp_path):
    root = images(tmp_path / "deep", ["a/one.png", "b/one.png", "two.png", "three.png"])
    with pytest.raises(InputError, match=r"one\.png may be a/one\.png or b/one\.png"):
        opened(tmp_path, root=root).split("all")


def test_a_box_that_reaches_beyond_is_cut_and_counted(tmp_path):
    data = document()
    data["annotations"][0]["bbox"] = [5, 3, 30, 2]
    data["annotations"][1]["bbox"] = [0, 0, 8.4, 6]  # rounding is not worth a word
    assert opened(tmp_path, data).info.notes[1:] == ("boxes that reach beyond their image and are cut off there: 1",)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("boxes:nowhere.json#folder:x", AbsentError, "no such instances file: nowhere.json"),
        ("boxes:{file}#folder:nowhere", AbsentError, "no such directory: nowhere"),
        ("boxes:{file}", AbsentError, "images of the boxes is missing"),
        ("boxes:{file}#boxes:{file}#digits", AbsentError, "images of the boxes is missing"),
        ("boxes:{file}#digitz", AbsentError, "no such dataset: digitz"),
        ("boxes:{file}#folder:{empty}", InputError, "no images in"),
        ("boxes:{file}#digits", InputError, "2 of 2 images are not in digits"),
    ],
)
def test_names_that_lead_nowhere(spec, error, message, tmp_path):
    file = write(tmp_path / "instances.json", document())
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=message):
        dataset = open_dataset(spec.format(file=file, empty=tmp_path / "empty"), tmp_path / "cache")
        dataset.split(dataset.info.splits[-1])


def test_a_hash_in_a_path_is_part_of_it(tmp_path):
    (tmp_path / "a#b").mkdir()
    file = write(tmp_path / "a#b" / "instances.json", document())
    root = images(tmp_path / "a#b" / "c#d")
    assert len(open_dataset(f"boxes:{file}#folder:{root}", tmp_path / "cache").split("all")) == 4
