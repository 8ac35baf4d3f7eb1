import json

import pytest

from vlmbench.data.base import DatasetInfo
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.spelling import as_options
from vlmbench.heads.prompts import PromptSet, fill
from vlmbench.heads.prompts import prompt_sets as all_sets


def pets(*templates, id="folder:pets", classes=("cat", "stop sign"), raw=("cat", "stop_sign")):
    return DatasetInfo(id, None, ("test",), classes, templates, raw_classnames=raw)


@pytest.fixture
def prompt_sets(tmp_path):
    return lambda *asked, info=None: all_sets(asked, info or pets(), tmp_path / "cache")


def test_the_default_is_the_one_template_of_clip(prompt_sets):
    (only,) = prompt_sets(info=pets("a satellite photo of {}."))
    assert only.prompts(["annual crop"]) == ("a photo of a annual crop.",)


def test_both_placeholders_and_braces_in_a_name():
    assert fill("a {} and a {c}", "{c}") == "a {c} and a {c}"


def test_several_sets_come_in_order_and_once(prompt_sets):
    for asked in (["dataset, default,dataset"], ["dataset", "default", "dataset"], ["dataset", "default,dataset"]):
        sets = prompt_sets(*asked, info=pets("{c} seen from above"))
        assert [item.name for item in sets] == ["dataset", "default"]
        assert sets[0].prompts(["a park"]) == ("a park seen from above",)
    assert [item.name for item in prompt_sets("imagenet", "clip80,clip7")] == ["clip80", "clip7"]


@pytest.mark.parametrize(
    "template", ["a photo of a {}, a type of pet.", "a photo, of {c}", "itap, {}", "name it, {}", "very " * 80 + "{}"]
)
def test_a_template_may_stand_for_itself_with_its_commas(prompt_sets, template):
    sets = prompt_sets("clip7", template)
    assert [item.name for item in sets] == ["clip7", template]
    assert sets[1].prompts(["cat"]) == (template.replace("{}", "cat").replace("{c}", "cat"),)


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("imagenet,a cell of {}.", "--prompts imagenet --prompts 'a cell of {}.'"),
        ("clip7, a {}, a type of pet.", "--prompts clip7 --prompts 'a {}, a type of pet.'"),
        ("a cell of {}.,dataset", "--prompts dataset --prompts 'a cell of {}.'"),
        ("mine.txt,a cell of {}.", "--prompts mine.txt --prompts 'a cell of {}.'"),
        ("here,a cell of {}.", "--prompts here --prompts 'a cell of {}.'"),
    ],
)
def test_a_set_and_a_template_in_one_value_are_never_one_text(prompt_sets, value, fix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").write_text("{}")
    with as_options(), pytest.raises(UsageError, match="and a template in one value") as caught:
        prompt_sets(value)
    assert fix in caught.value.fix
    with pytest.raises(UsageError, match="to use them separately: prompts='"):
        prompt_sets(value)


def test_every_synonym_fills_every_template():
    found = PromptSet("x", ("a {}", "the {}")).prompts(["cat", "kitty"])
    assert found == ("a cat", "the cat", "a kitty", "the kitty")


def test_a_text_file(prompt_sets, tmp_path):
    path = tmp_path / "mine, and {}.txt"
    path.write_text("# mine\n\na drawing of {}\n  {c}!\n", "utf-8")
    (only,) = prompt_sets(str(path))
    assert only.templates == ("a drawing of {}", "{c}!")
    assert only.protocol() == {"prompts": path.name, "templates": ["a drawing of {}", "{c}!"]}


def test_class_specific_prompts(prompt_sets, tmp_path):
    path = tmp_path / "cupl.json"
    path.write_text(json.dumps({"cat": ["whiskers", "a {}"], "stop_sign": "red and octagonal"}))
    (found,) = prompt_sets(str(path))
    assert found.prompts(["cat"]) == ("whiskers", "a cat")
    assert found.prompts(["stop sign"], raw="stop_sign") == ("red and octagonal",)
    protocol = {"prompts": "cupl.json", "templates": "class-specific", "prompts_count": 3}
    assert found.protocol() == {**protocol, "prompts_sha256": found.sha256}
    with pytest.raises(InputError, match="no prompts for the class dog"):
        prompt_sets(str(path), info=pets(classes=("cat", "dog"), raw=()))


TEMPLATES = {
    "cifar10": ["a photo of a {c}.", "a blurry photo of a {c}."],
    "pcam": ["a histopathology slide showing {c}", "histopathology image of {c}"],
    "vtab/dtd": ["a photo of a {c} texture."],
    "imagenet1k": {"cat": ["It purrs."], "stop_sign": ["It is red.", "a {}"]},
}
"""The form of CLIP_benchmark's ``en_zeroshot_classification_templates.json``, and of its ``cupl_prompts.json``."""


@pytest.mark.parametrize(
    ("id", "entry"),
    [
        ("cifar10", "cifar10"),
        ("cifar10?label=label", "cifar10"),
        ("wds/cifar10", "cifar10"),
        ("datacomp/cifar10", "cifar10"),
        ("patch_camelyon", "pcam"),
        ("dtd", "vtab/dtd"),
        ("hf:clip-benchmark/wds_vtab-pcam", "pcam"),
        ("hf:djghosh/wds_vtab-dtd_test@main", "vtab/dtd"),
        ("hf:me/cifar10:plain", "cifar10"),
        ("folder:data/cifar10", "cifar10"),
        ("imagenet1k", "imagenet1k"),
    ],
)
def test_of_a_file_by_dataset_the_entry_of_the_dataset_is_chosen(prompt_sets, tmp_path, id, entry):
    import hashlib

    path = tmp_path / "en_zeroshot_classification_templates.json"
    path.write_text(json.dumps(TEMPLATES))
    (found,) = prompt_sets(str(path), info=pets(id=id))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.protocol()["prompts_source"] == {"file": path.name, "entry": entry, "sha256": sha256}
    if entry == "imagenet1k":
        assert found.prompts(["stop sign"], "stop_sign") == ("It is red.", "a stop sign")
    else:
        assert found.templates == tuple(TEMPLATES[entry])


def test_an_object_is_by_class_where_every_class_has_a_key(prompt_sets, tmp_path):
    path = tmp_path / "cats.json"
    path.write_text(json.dumps({"pets": ["a pet"], "cat": ["a {}"]}))
    info = pets(id="folder:data/cat", classes=("pets", "cat"), raw=())
    (found,) = prompt_sets(str(path), info=info)
    assert found.source is None
    assert found.prompts(["pets"]) == ("a pet",)


@pytest.mark.parametrize(
    ("value", "message", "place"),
    [
        (TEMPLATES, "no entry for the dataset digits, and no key is one of its classes; the file has cifar10", ""),
        ({}, "templates", ""),
        ({"digits": ["no place"]}, "without a place", ", digits, entry 1"),
        ({"digits": []}, "no templates", ", digits"),
        ({"digits": "a {}"}, "prompts are a list", ", digits"),
        ({"digits": {"one": ["1"], "two": []}}, "the class two", ", digits, two"),
    ],
)
def test_what_is_no_file_by_dataset(prompt_sets, tmp_path, value, message, place):
    path = tmp_path / "by.json"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=message) as caught:
        prompt_sets(str(path), info=pets(id="digits", classes=("one", "two"), raw=()))
    assert caught.value.where == f"{path}{place}"


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.txt", "fine {}\nno place\n", "line 2"),
        ("a.txt", "\n# only a remark\n", "a.txt"),
        ("a.json", '["fine {}", "bad"]', "entry 2"),
        ("a.json", '["fine {}", 7]', "entry 2"),
        ("a.json", '{"cat": [], "stop_sign": ["red"]}', "cat"),
        ("a.json", "7", "a.json"),
        ("a.json", '["a {}",\n', "line 2"),
    ],
)
def test_what_is_no_prompt_file_names_the_place(prompt_sets, tmp_path, name, content, place):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        prompt_sets(str(path))
    assert str(path) in caught.value.where
    assert place in caught.value.where


def test_bytes_that_are_no_text(prompt_sets, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00{}")
    with pytest.raises(InputError, match="UTF-8"):
        prompt_sets(str(tmp_path / "a.txt"))


def test_absent_sets_and_files(prompt_sets):
    with pytest.raises(AbsentError, match="no such prompt set: imagnet"):
        prompt_sets("imagnet")
    with pytest.raises(AbsentError, match="no such prompt file"):
        prompt_sets("prompts/mine.txt")
    with pytest.raises(InputError, match="empty"):
        prompt_sets(" , ")


def test_a_dataset_without_templates_has_no_other_in_their_place(prompt_sets):
    with pytest.raises(AbsentError, match=r"folder:pets has no templates of its own\n") as caught:
        prompt_sets("default,dataset")
    for other in ("default", "clip80", ".txt", "en_zeroshot_classification_templates.json", "a photo of a {}."):
        assert other in caught.value.fix
    with pytest.raises(AbsentError, match=r"food101 has no templates of its own\n") as caught:
        prompt_sets("dataset", info=pets(id="food101"))
    assert "datasets='datacomp/food101'" in caught.value.fix
    with pytest.raises(InputError, match="without a place"):
        prompt_sets("dataset", info=pets("a photo"))


def test_clips_own_sets_are_whole(prompt_sets):
    seven, eighty = prompt_sets("clip7,clip80")
    assert (len(seven.templates), len(set(eighty.templates))) == (7, 80)
    assert set(seven.templates) < set(eighty.templates)
    assert all(template.count("{}") == 1 for template in eighty.templates)
