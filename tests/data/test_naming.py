"""A dataset's name is read once and printed back the same; a record's id says which images they are, and no more."""

import re
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmbench.data.corruptions.kinds import KINDS, Corruption, corruptions
from vlmbench.data.names import Chosen, DatasetRef, Tiles, bare_name, caption_file
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import AbsentError, UsageError

TEXT = st.text(st.characters(exclude_characters="?#:&=", codec="utf-8"), min_size=1, max_size=12)
VALUE = st.text(st.characters(exclude_characters="?#:&=", codec="utf-8"), min_size=1, max_size=8)
QUERY = st.one_of(
    st.just(""),
    st.dictionaries(st.sampled_from(["image", "label", "caption"]), VALUE, min_size=1).flatmap(
        lambda columns: st.sampled_from(["", "&stream=yes", "&stream=no"]).map(
            lambda stream: "?" + "&".join(f"{key}={value}" for key, value in columns.items()) + stream
        )
    ),
    st.sampled_from(["?stream=yes", "?stream=auto&image=png", "?corrupt=fog:3", "?image=png&corrupt=fog:3"]),
)
CORRUPT = st.sampled_from(["", "?corrupt=gaussian_noise:5"])
HUB = st.builds("hf:{}/{}{}{}{}".format, TEXT, TEXT, st.sampled_from(["", "@v1"]), st.sampled_from(["", ":en"]), QUERY)
PLAIN = st.one_of(
    st.builds("{}{}".format, TEXT, QUERY),
    HUB,
    st.builds("{}:{}{}".format, st.sampled_from(["folder", "file", "squares"]), st.text(min_size=1), CORRUPT),
    st.builds("group:{}{}".format, TEXT, QUERY),
    st.builds(
        "coco:{}{}{}".format,
        TEXT,
        st.sampled_from(["", "?restval=yes", "?corrupt=fog:3", "?restval=yes&corrupt=fog:3"]),
        st.sampled_from(["", "#", "#im ages"]),
    ),
)
NAMES = st.one_of(PLAIN, st.builds("boxes:{}#{}".format, TEXT, PLAIN))


@given(NAMES)
def test_a_name_is_printed_back_as_it_was(name):
    ref = DatasetRef.parse(name)
    assert str(ref) == name
    assert DatasetRef.parse(str(ref)) == DatasetRef.parse(ref) == ref
    assert hash(DatasetRef.parse(name)) == hash(ref)


@given(NAMES)
def test_an_id_is_a_name_of_the_same_dataset_without_what_says_how_it_is_read(name):
    ref = DatasetRef.parse(name)
    again = DatasetRef.parse(ref.id)
    assert again.id == ref.id
    assert (again.kind, again.place, again.directory) == (ref.kind, ref.place, ref.directory)
    assert "stream" not in dict(again.options)
    assert replace(ref, view=Tiles(4)).id == ref.id


@given(st.text())
def test_any_text_is_a_name_or_one_error(text):
    with suppress(UsageError):
        ref = DatasetRef.parse(text)
        assert DatasetRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("mnist", "mnist"),
        ("mnist?stream=yes", "mnist"),
        ("hf:a/b@v1:c?image=x&stream=no", "hf:a/b@v1:c?image=x"),
        ("hf:a/b?image=png|jpg&label=y", "hf:a/b?image=png|jpg&label=y"),
        ("hf:a/b?stream=auto&caption=text", "hf:a/b?caption=text"),
        ("hf:a/b?image=x&stream=no&label=a+b%3A", "hf:a/b?image=x&label=a+b%3A"),
        ("boxes:x.json#hf:a/b?image=x&stream=yes", "boxes:x.json#hf:a/b?image=x"),
        ("folder:what?stream=yes", "folder:what?stream=yes"),
        ("coco:k.json?restval=yes#images", "coco:k.json?restval=yes#images"),
    ],
)
def test_a_record_does_not_say_that_a_dataset_was_streamed(name, id):
    assert DatasetRef.parse(name).id == id


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("digits?corrupt=fog:3", "digits"),
        ("mnist?corrupt=fog:3&stream=yes", "mnist?stream=yes"),
        ("hf:a/b?image=x&corrupt=fog:3", "hf:a/b?image=x"),
        ("hf:a/b:c?corrupt=fog:3", "hf:a/b:c"),
        ("folder:a/b#c?corrupt=fog:3", "folder:a/b#c"),
        ("squares:8?size=3&corrupt=fog:3", "squares:8?size=3"),
        ("coco:k.json?restval=yes&corrupt=fog:3#images", "coco:k.json?restval=yes#images"),
        ("group:text?corrupt=fog:3", "group:text"),
    ],
)
def test_images_of_any_dataset_can_be_corrupted(name, clean):
    ref = DatasetRef.parse(name)
    assert (str(ref), ref.corruption, str(ref.clean)) == (name, Corruption("fog", 3), clean)
    assert "corrupt=fog:3" in ref.id
    assert ref.clean.corrupted(ref.corruption).clean == ref.clean
    assert DatasetRef.parse(clean).corruption is None


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("fogg:3", "no such corruption: fogg"),
        ("fog", "fog without a severity"),
        ("fog:6", "no such severity of fog: 6"),
        ("fog:1-5", "no such severity of fog: 1-5"),
    ],
)
def test_a_mistyped_corruption_is_usage(value, what):
    for name in ("digits", "folder:x", "hf:a/b", "coco:k.json", "squares:8"):
        with pytest.raises(UsageError, match=what) as caught:
            DatasetRef.parse(f"{name}?corrupt={value}")
        assert "fog" in caught.value.fix


def test_several_corruptions_are_named_at_once():
    every = corruptions("all:1-5", "--corrupt")
    assert len(every) == len(set(every)) == 5 * len(KINDS) == 85
    assert list(map(str, corruptions("gaussian_noise,fog:3", ""))) == ["gaussian_noise:3", "fog:3"]
    assert list(map(str, corruptions("fog:2-3,snow", ""))) == ["fog:2", "fog:3", *(f"snow:{i}" for i in range(1, 6))]
    assert {str(one) for one in corruptions("blur:1", "")} >= {"zoom_blur:1", "gaussian_blur:1"}
    for text in ("", "fog:3-2", "fog:0", "fog:1-9", "frost:3", "fog:3,"):
        with pytest.raises(UsageError):
            corruptions(text, "--corrupt")


def test_the_parts_of_a_name():
    ref = DatasetRef.parse("hf:a/b@v1:c?image=x%20y&stream=yes")
    assert (ref.kind, ref.place, ref.hub) == ("hf", "a/b@v1:c", ("a/b", "v1", "c"))
    assert (ref.option("image"), ref.option("stream"), ref.option("label")) == ("x y", "yes", "")
    coco = DatasetRef.parse("coco:k.json?restval=yes#dir")
    assert (coco.place, coco.directory, coco.options) == ("k.json", "dir", (("restval", "yes"),))
    with pytest.raises(AbsentError, match="not a dataset name: a:b:c"):
        _ = DatasetRef.parse("hf:a:b:c").hub


def test_a_file_of_boxes_may_have_a_mark_in_its_name(tmp_path):
    (tmp_path / "a#1.json").touch()
    found = DatasetRef.parse(f"boxes:{tmp_path}/a#1.json#folder:what#ever")
    assert (found.place, found.images) == (f"{tmp_path}/a#1.json", DatasetRef("folder", "what#ever"))


@pytest.mark.parametrize(
    "name", ["folder:~nobody-here", "boxes:~nobody-here#folder:x", "coco:~nobody-here", "hf:~nobody"]
)
def test_the_home_of_nobody_is_no_place(name, tmp_path):
    with pytest.raises(AbsentError):
        open_dataset(name, tmp_path)


def test_views_say_what_they_are_of():
    mnist = DatasetRef.parse("mnist?stream=yes")
    tiles = replace(mnist, view=Tiles(4))
    assert (str(tiles), tiles.id, tiles.whole) == ("mnist?stream=yes in 4 tiles", "mnist", mnist)
    some = replace(mnist, view=Chosen("test", (3, 7)))
    assert str(some) == "2 images of mnist?stream=yes (7a42a837)"
    assert some.id == "2 images of mnist (7a42a837)"
    assert some != replace(mnist, view=Chosen("test", (3, 8)))


@pytest.mark.parametrize(
    "query", ["stream=maybe", "steam=yes", "stream", "", "label=x&labels=y", "label=", "image=a&image=b"]
)
def test_a_mistyped_query_is_usage(query):
    with pytest.raises(UsageError, match=re.escape(f"invalid options after a dataset's name: ?{query}")) as caught:
        DatasetRef.parse(f"hf:me/many?{query}")
    assert "?stream=yes" in caught.value.fix


@pytest.mark.parametrize(
    ("id", "bare"),
    [
        ("hf:a/b@v1:c?label=x", "a/b"),
        ("hf:a/b:c", "a/b"),
        ("wds/mnist", "wds/mnist"),
        ("mnist?label=y", "mnist"),
        ("", ""),
    ],
)
def test_the_bare_name_in_an_id(id, bare):
    assert bare_name(id) == bare


def test_a_file_of_captions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(caption_file(name)[0]) for name in ("a.json", "file:a.json", "a.json?restval=yes")] == ["a.json"] * 3
    assert [caption_file(name)[1] for name in ("a.json", "file:a.json?restval=yes")] == [False, True]
    (tmp_path / "a.json?restval=yes").touch()
    assert [str(part) for part in caption_file("a.json?restval=yes")] == ["a.json?restval=yes", "False"]
