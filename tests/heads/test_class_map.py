"""Classes of a test set among those of the training set: by name, by synonym, by order, by a map."""

import json

import numpy as np
import pytest

from vlmbench.data.base import DatasetInfo, OpenDataset
from vlmbench.data.merged import merged_dataset, read_class_map
from vlmbench.foundations.errors import InputError
from vlmbench.heads.class_map import match_classes, require_known


def info(id: str, *names: str, raw: tuple[str, ...] = ()) -> DatasetInfo:
    return DatasetInfo(id=id, revision=None, splits=("test",), classnames=names, raw_classnames=raw)


def matched(ours: DatasetInfo, theirs: DatasetInfo, given=()) -> list[str | None]:
    """The name of ours that each class of theirs is."""
    found = match_classes(ours, theirs, dict(given))
    assert np.array_equal(found.columns, np.unique(found.columns))
    return [None if place < 0 else ours.classnames[found.columns[place]] for place in found.places]


def test_names_are_compared_without_case_underscores_and_punctuation():
    ours = info("a", "great white shark", "hen", "tench, Tinca tinca", "T-shirt")
    theirs = info("b", "HEN", "Great_White-shark", "t shirt")
    assert matched(ours, theirs) == ["hen", "great white shark", "T-shirt"]
    assert match_classes(ours, theirs, {}).left_out(ours.classnames) == ["tench, Tinca tinca"]
    spelled = info("b", "annual crop", "sea or lake", raw=("AnnualCrop", "SeaLake"))
    assert matched(info("a", "sealake", "annual crop", "river"), spelled) == ["annual crop", "sealake"]


def test_synonyms_count_where_no_name_is_the_same_and_digits_are_words():
    """ImageNet's names on the hub are lists of synonyms; MNIST's classes are 0 to 9, SVHN's zero to nine."""
    ours = info("a", "tench, Tinca tinca", "goldfish, Carassius auratus", "hen")
    assert matched(ours, info("b", "Carassius auratus", "tench")) == [ours.classnames[1], ours.classnames[0]]
    digits = info("mnist", *map(str, range(10)))
    assert matched(digits, info("svhn", "seven", "zero", "nine")) == ["7", "0", "9"]


def test_a_name_that_several_classes_share_is_settled_by_the_order_or_refused():
    """Published lists of ImageNet's classes have two called missile (657, 744) and two called sunglasses (836, 837)."""
    ours = info("a", "hen", "missile", "mitten", "projector", "missile", "puck", "sunglasses", "sunglasses")
    assert matched(ours, ours) == list(ours.classnames)
    found = match_classes(ours, info("r", "hen", "missile", "mitten", "puck"), {})
    assert found.columns.tolist() == [0, 1, 2, 5]
    assert match_classes(ours, info("r", "mitten", "missile", "puck"), {}).columns.tolist() == [2, 4, 5]
    both = match_classes(ours, info("r", "puck", "sunglasses", "sunglasses"), {})
    assert both.columns.tolist() == [5, 6, 7]
    with pytest.raises(InputError, match="sunglasses is the name of several classes of a, number 6 and 7") as error:
        match_classes(ours, info("r", "puck", "sunglasses"), {})
    assert "sunglasses,6 or another number" in str(error.value)
    assert match_classes(ours, info("r", "puck", "sunglasses"), {"sunglasses": 7}).columns.tolist() == [5, 7]


def test_a_map_says_what_names_cannot(tmp_path):
    ours = info("a", "car", "dog", "bird")
    theirs = info("b", "truck", "van", "poodle", "bird", "tree")
    given = {"truck": "car", "Van": "CAR", "poodle": 1, "tree": None}
    assert matched(ours, theirs, given) == ["car", "car", "dog", "bird", None]
    assert match_classes(ours, theirs, given).mapped == given
    table, document = tmp_path / "map.csv", tmp_path / "map.json"
    table.write_text("theirs,ours\ntruck,car\nVan,CAR\npoodle,1\ntree,\n")
    document.write_text(json.dumps(given))
    assert read_class_map(document) == given
    assert match_classes(ours, theirs, read_class_map(table)).places.tolist() == [0, 0, 1, 2, -1]


@pytest.mark.parametrize(
    ("theirs", "given", "message"),
    [
        (("cat", "cow"), {}, "no class in common: b has cat, cow; a has car, dog, bird"),
        (("car", "dog", "cow", "ox"), {}, "2 of 4 classes of b are not among those of a: cow, ox"),
        (("car", "dog", "Dog"), {}, "two classes have one name: dog and Dog"),
        (("car", "cow"), {"cow": None}, "one class in common, car"),
        (("car", "cow"), {"cow": "ox"}, "the class map names ox, no class of a"),
        (("car", "cow"), {"cow": 3}, "the class map names 3, no class of a"),
    ],
)
def test_classes_that_do_not_match_are_named(theirs, given, message):
    with pytest.raises(InputError) as error:
        match_classes(info("a", "car", "dog", "bird"), info("b", *theirs), given)
    assert message in error.value.what
    assert error.value.fix


def test_a_map_that_is_none_or_names_classes_of_no_test_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="classes that no test set has: cow"):
        require_known({"car": "dog", "cow": "dog"}, [info("b", "car"), info("c", "Dog")], "map.csv")
    for name, text, message in (
        ("map.json", '["a"]', "not a class map"),
        ("map.json", '{"a": true}', "not a class map"),
        ("map.json", '{"a": "x", "a": "y"}', "occurs twice"),
        ("map.json", '{"a": "x", " a ": "y"}', "the class a occurs twice"),
        ("map.json", '{"": "x"}', "not a line of a class map"),
        ("map.csv", "a,x\nb\n", "not a line of a class map"),
        ("map.csv", "a,x\na,y\n", "the class a occurs twice"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            read_class_map(tmp_path / name)


def test_a_map_is_the_same_in_both_forms_and_without_what_cannot_be_seen(tmp_path):
    """JSON's empty text was a class without a name; ``é`` of two characters, or two spaces, a class of its own."""
    table, document = tmp_path / "map.csv", tmp_path / "map.json"
    table.write_text("caf\u00e9, drink \ntea,\njam,a\tb\n", "utf-8")
    document.write_text(json.dumps({"cafe\u0301": "drink", "tea": " ", "jam": "a  b"}))
    given = {"caf\u00e9": "drink", "tea": None, "jam": "a b"}
    assert read_class_map(table) == read_class_map(document) == given
    whole = OpenDataset(info("a", "tea", "jam", "a b", "x", raw=("tea", "jam", "a  b", "x")), lambda name: None)
    document.write_text(json.dumps({"tea": "", "jam": "a b"}))
    merged = merged_dataset(whole, document, "merged").info
    assert (merged.classnames, merged.raw_classnames) == (("a b", "x"), ("a  b", "x"))
