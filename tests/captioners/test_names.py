"""A captioner's name is taken apart once, and printed back the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmbench.captioners.endpoint import Address
from vlmbench.captioners.magic import MagicName
from vlmbench.captioners.names import CHECKPOINT, FORMS, KINDS, CaptionerRef, Models, kind_of
from vlmbench.captioners.registry import CAPTIONERS
from vlmbench.foundations.errors import UsageError

MODEL = st.from_regex(r"[A-Za-z0-9._@/+-]{1,20}", fullmatch=True)
DIRECTORY = st.from_regex(r"(\./|/|~/)[A-Za-z0-9 .:_-]{1,20}", fullmatch=True)
NUMBER = st.floats(0, 1).map(lambda value: f"{value:.3g}") | st.sampled_from(["0.10", "1e-1", ".5", "1"])
SETTINGS = st.lists(st.tuples(st.sampled_from(["alpha", "beta"]), NUMBER), max_size=2, unique_by=lambda pair: pair[0])
HOST = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,3})?", fullmatch=True)


def magic(names, settings):
    return f"magic:{','.join(names)}" + ("?" + "&".join(map("=".join, settings)) if settings else "")


NAMES = {
    "alias": st.sampled_from(sorted(CAPTIONERS)),
    "hub id": st.from_regex(r"[a-z0-9]{1,8}/[A-Za-z0-9._-]{1,12}(@[a-f0-9]{7})?", fullmatch=True),
    "directory": DIRECTORY,
    "retrieval": MODEL.map("retrieval:{}".format),
    "retrieval by ASIF": st.tuples(MODEL, MODEL).map(lambda two: f"retrieval:asif:{two[0]}+{two[1]}@scenes?k=9"),
    "asif": st.lists(MODEL, min_size=1, max_size=2).map(lambda names: f"asif:{','.join(names)}"),
    "magic": st.builds(magic, st.tuples(MODEL, MODEL), SETTINGS),
    "endpoint": st.builds(
        "endpoint:http{}://{}:{}{}#{}".format,
        st.sampled_from(["", "s"]),
        HOST,
        st.integers(1, 65535),
        st.sampled_from(["", "/", "/v1", "/a/b?x=1"]),
        st.from_regex(r"[^#\s]\S{0,15}", fullmatch=True),
    ),
}


@pytest.mark.parametrize("what", NAMES)
@given(data=st.data())
def test_it_is_printed_back_the_same(what, data):
    name = data.draw(NAMES[what])
    ref = CaptionerRef.parse(name)
    assert str(ref) == name
    assert CaptionerRef.parse(str(ref)) == ref
    assert ref.kind == (what.split()[0] if what.split()[0] in KINDS else CHECKPOINT)


@given(st.text())
def test_any_text_is_a_name_printed_back_or_a_usage_error(text):
    try:
        assert str(CaptionerRef.parse(text)) == text
    except UsageError:
        assert text.partition(":")[0] in KINDS


def test_the_parts():
    assert CaptionerRef.parse("asif:a,b").rest == Models(("a", "b"))
    assert CaptionerRef.parse("retrieval:asif:a+b@c?k=9").rest == Models(("asif:a+b@c?k=9",))
    name = CaptionerRef.parse("magic:./my lm,b?k=25&alpha=0.10").rest
    assert isinstance(name, MagicName)
    assert (name.models.names, name.weights.k, name.weights.alpha, name.weights.beta) == (("./my lm", "b"), 25, 0.1, 2)
    address = CaptionerRef.parse("endpoint:http://h:1#a/b:c#d").rest
    assert isinstance(address, Address)
    assert (address.url, address.model) == ("http://h:1", "a/b:c#d")
    assert address.post.geturl() == "http://h:1/v1/chat/completions"
    for name in ("captioner:x", "hf:owner/name", "C:\\models"):
        assert CaptionerRef.parse(name) == CaptionerRef(CHECKPOINT, name)


@pytest.mark.parametrize(
    "name",
    [
        "retrieval:",
        "retrieval:a,",
        "retrieval:a,b",
        "asif:a,b,c",
        "asif:,b",
        "asif:",
        "asif:a,",
        "magic:a",
        "magic:a,?k=1",
        "endpoint:x",
    ],
)
def test_a_part_that_is_missing_is_a_usage_error(name):
    with pytest.raises(UsageError):
        CaptionerRef.parse(name)


def test_every_kind_has_a_form_and_its_own_name():
    for name in KINDS:
        assert kind_of(name).name == name
        assert name == CHECKPOINT or f"{name}:" in FORMS
