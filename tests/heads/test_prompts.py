import json

import pytest

from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.heads.prompts import PromptSet, fill, prompt_sets, read_classnames, read_prompts


def test_the_default_is_the_one_template_of_clip():
    (only,) = prompt_sets(None, ("a satellite photo of {}.",))
    assert only.prompts(["annual crop"]) == ("a photo of a annual crop.",)


def test_both_placeholders_and_braces_in_a_name():
    assert fill("a {} and a {c}", "{c}") == "a {c} and a {c}"


def test_several_sets_come_in_order_and_once():
    sets = prompt_sets("dataset, default,dataset", ("{c} seen from above",))
    assert [item.name for item in sets] == ["dataset", "default"]
    assert sets[0].prompts(["a park"]) == ("a park seen from above",)


def test_a_template_may_stand_for_itself_with_its_commas():
    (only,) = prompt_sets("a photo of a {}, a type of pet.", ())
    assert only.prompts(["cat"]) == ("a photo of a cat, a type of pet.",)


def test_every_synonym_fills_every_template():
    found = PromptSet("x", ("a {}", "the {}")).prompts(["cat", "kitty"])
    assert found == ("a cat", "the cat", "a kitty", "the kitty")


def test_a_text_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# mine\n\na drawing of {}\n  {c}!\n", "utf-8")
    (only,) = prompt_sets(str(path), ())
    assert only.templates == ("a drawing of {}", "{c}!")
    assert only.protocol() == {"prompts": "mine.txt", "templates": ["a drawing of {}", "{c}!"]}


def test_class_specific_prompts(tmp_path):
    path = tmp_path / "cupl.json"
    path.write_text(json.dumps({"cat": ["whiskers", "a {}"], "stop_sign": "red and octagonal"}))
    found = read_prompts(path)
    assert found.prompts(["cat"]) == ("whiskers", "a cat")
    assert found.prompts(["stop sign"], raw="stop_sign") == ("red and octagonal",)
    with pytest.raises(InputError, match="no prompts for the class dog"):
        found.prompts(["dog"])
    assert found.protocol()["prompts_sha256"] == found.sha256


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.txt", "fine {}\nno place\n", "line 2"),
        ("a.txt", "\n# only a remark\n", "a.txt"),
        ("a.json", '["fine {}", "bad"]', "entry 2"),
        ("a.json", '["fine {}", 7]', "entry 2"),
        ("a.json", '{"cat": []}', "cat"),
        ("a.json", "7", "a.json"),
        ("a.json", '["a {}",\n', "line 2"),
    ],
)
def test_what_is_no_prompt_file_names_the_place(tmp_path, name, content, place):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    assert str(path) in caught.value.where
    assert place in caught.value.where


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00{}")
    with pytest.raises(InputError, match="UTF-8"):
        read_prompts(tmp_path / "a.txt")


def test_absent_sets_and_files():
    with pytest.raises(AbsentError, match="no such prompt set: imagnet"):
        prompt_sets("imagnet", ())
    with pytest.raises(AbsentError, match="no such prompt file"):
        prompt_sets("prompts/mine.txt", ())


def test_class_names_from_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n big dog \n\n")
    assert read_classnames(tmp_path / "names.txt", 2) == (("cat",), ("big dog",))
    (tmp_path / "names.json").write_text('[["cat", "kitty"], "dog"]')
    assert read_classnames(tmp_path / "names.json", 2) == (("cat", "kitty"), ("dog",))


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
        read_classnames(path, 2)


def test_clips_own_sets_are_whole():
    seven, eighty = prompt_sets("clip7,clip80", ())
    assert (len(seven.templates), len(set(eighty.templates))) == (7, 80)
    assert set(seven.templates) < set(eighty.templates)
    assert all(template.count("{}") == 1 for template in eighty.templates)
