"""Class names in a dataset's order: its own, a file's, an entry's of a file by dataset, those of its copy."""

import hashlib
import json

import pytest

from vlmbench.data.base import DatasetInfo, readable_names
from vlmbench.data.hub.sibling import Lines
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.heads import classnames
from vlmbench.heads.classnames import class_names


def dataset(*raw, id="eurosat"):
    return DatasetInfo(id, None, ("test",), readable_names(raw), raw_classnames=raw)


def test_they_are_the_datasets_own_where_nothing_is_asked(tmp_path):
    found = class_names(None, dataset("traffic_light", "dog"), tmp_path)
    assert found.names == (("traffic light",), ("dog",))
    assert found.protocol() == {}


def test_class_names_from_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n big dog \n\n")
    assert class_names(str(tmp_path / "names.txt"), dataset("a", "b"), tmp_path).names == (("cat",), ("big dog",))
    (tmp_path / "names.json").write_text('[["cat", "kitty"], "dog"]')
    found = class_names(str(tmp_path / "names.json"), dataset("a", "b"), tmp_path)
    assert found.names == (("cat", "kitty"), ("dog",))
    assert found.protocol() == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cat\n", "1 class names, the dataset has 2 classes"),
        ("cat\n\ndog\n", "an empty class name"),
        ("cat\ncat\n", "two classes are called cat"),
    ],
)
def test_class_names_that_do_not_fit(tmp_path, content, message):
    path = tmp_path / "names.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        class_names(str(path), dataset("a", "b"), tmp_path)


def by_dataset(tmp_path, value):
    """A file in the form of CLIP_benchmark's ``en_classnames.json``."""
    path = tmp_path / "en_classnames.json"
    path.write_text(json.dumps(value))
    return str(path)


@pytest.mark.parametrize(
    ("raw", "given", "expected"),
    [
        (("AnnualCrop", "Sea-Lake"), ["sea lake", "annual crop"], ["annual crop", "sea lake"]),  # by name
        (("AnnualCrop", "River"), ["annual crop land", "river"], ["annual crop land", "river"]),  # as they stand
        (("0", "1"), ["zero", "one"], ["zero", "one"]),
        (("missile", "missile"), ["missile", "missile"], ["missile", "missile"]),  # as ImageNet has two of that name
    ],
)
def test_of_a_file_by_dataset_the_entry_of_the_dataset_is_chosen(tmp_path, raw, given, expected):
    path = by_dataset(tmp_path, {"mnist": ["0", "1"], "eurosat": given})
    found = class_names(path, dataset(*raw, id="wds/eurosat"), tmp_path)
    assert [names[0] for names in found.names] == expected
    sha256 = hashlib.sha256((tmp_path / "en_classnames.json").read_bytes()).hexdigest()
    source = {"file": "en_classnames.json", "entry": "eurosat", "sha256": sha256}
    assert found.protocol() == {"classnames_source": source}


def test_vtabs_class_names_of_caltech_are_those_of_its_copy(tmp_path):
    path = by_dataset(tmp_path, {"caltech101": ["background", "accordion"], "caltech101_vtab": ["accordion", "other"]})
    assert class_names(path, dataset("x", "y", id="caltech101"), tmp_path).names == (("accordion",), ("other",))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"mnist": ["0", "1"]}, "no entry for the dataset eurosat; the file has mnist"),
        ({"eurosat": ["0"]}, "1 class names, the dataset has 2 classes"),
        ({"eurosat": "0 1"}, "class names are a list"),
        ({"eurosat": ["river water", "annual crop"]}, "annual crop is entry 2, and class 1 of eurosat"),
    ],
)
def test_an_entry_that_does_not_fit(tmp_path, value, message):
    with pytest.raises(InputError, match=message) as caught:
        class_names(by_dataset(tmp_path, value), dataset("AnnualCrop", "River"), tmp_path)
    assert "en_classnames.json" in caught.value.where


@pytest.fixture
def copy(monkeypatch):
    """Gives a copy's class names."""

    def give(*lines):
        found = Lines(lines, "clip-benchmark/wds_vtab-eurosat", "c" * 40, "classnames.txt", "d" * 64) if lines else None
        monkeypatch.setattr(classnames, "sibling_lines", lambda id, name, cache_dir: found)

    return give


def test_those_of_the_copy_are_put_in_the_datasets_order(copy, tmp_path):
    copy("Sea / Lake", "traffic-light", "annual crop")
    found = class_names("wds", dataset("annual_crop", "SeaLake", "Traffic_Light"), tmp_path)
    assert found.names == (("annual crop",), ("Sea / Lake",), ("traffic-light",))
    assert found.source["repository"] == "clip-benchmark/wds_vtab-eurosat"
    assert (found.source["revision"], found.source["sha256"]) == ("c" * 40, "d" * 64)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("annual crop",), "1 class names, the dataset has 2 classes"),
        (("annual crop", "lake"), "classes without a name: River; names without a class: lake"),
        (("river", "River"), "classes without a name: Annual Crop; names without a class: none"),
        (("annual crop", "annual-crop"), "classes without a name: River"),
    ],
)
def test_those_of_the_copy_that_are_not_the_datasets(copy, tmp_path, lines, message):
    copy(*lines)
    with pytest.raises(InputError, match=message) as caught:
        class_names("wds", dataset("AnnualCrop", "River"), tmp_path)
    assert "wds_vtab-eurosat@cccccccc, classnames.txt" in caught.value.where


def test_names_that_are_the_same_but_for_punctuation_are_no_mapping(copy, tmp_path):
    copy("a-b", "c", "A_B")
    with pytest.raises(InputError, match="several differ only in case and punctuation"):
        class_names("wds", dataset("c", "a b", "ab"), tmp_path)


def test_a_dataset_without_a_copy(tmp_path):
    with pytest.raises(AbsentError, match="no copy of it"):
        class_names("wds", dataset("a", "b", id="folder:eurosat"), tmp_path)
    with pytest.raises(AbsentError, match="no copy of it"):
        class_names("wds", dataset("a", "b", id="digits"), tmp_path)
