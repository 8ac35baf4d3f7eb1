"""A model's name is taken apart once, and printed back the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmbench.encoders.names import AsifRef, CheckpointRef, OpenClipRef, TimmRef, parse_model
from vlmbench.foundations.errors import UsageError

WORDS = st.text("abcdefgXYZ019._-", min_size=1)
PATHS = st.text("abcXYZ019._-/@:?+ é", min_size=1)
MODELS = st.one_of(WORDS, st.builds("{}/{}".format, WORDS, WORDS))
SETTINGS = st.fixed_dictionaries(
    {}, optional={"k": st.integers(1, 10**6), "p": st.floats(0.5, 20), "split": st.sampled_from(["train", "val"])}
)


@given(st.text())
def test_every_name_that_is_understood_is_printed_back_the_same(text):
    try:
        assert str(parse_model(text)) == text
    except UsageError:
        assert text.partition(":")[0] in {"open-clip", "timm", "asif"}


@given(st.sampled_from(["open-clip:", "timm:", "asif:"]), st.text("ab/+@?k=12&p", max_size=14))
def test_so_is_every_name_of_a_kind(kind, rest):
    try:
        found = parse_model(kind + rest)
    except UsageError:
        return
    assert str(found) == kind + rest
    assert not isinstance(found, CheckpointRef)


@given(WORDS, PATHS)
def test_parts_come_back(arch, rest):
    assert parse_model(f"open-clip:{arch}/{rest}") == OpenClipRef(arch, rest)
    assert parse_model(f"timm:{arch}/{rest}") == TimmRef(arch, rest)
    assert parse_model(f"timm:{arch}") == TimmRef(arch)


@given(MODELS, MODELS, PATHS.filter(lambda path: "?" not in path), SETTINGS)
def test_parts_of_asif_come_back(vision, text, anchors, settings):
    query = "&".join(f"{name}={value}" for name, value in settings.items())
    found = parse_model(f"asif:{vision}+{text}@{anchors}" + (f"?{query}" if query else ""))
    assert found == AsifRef(vision, text, anchors, query or None)
    assert (found.k, found.p) == (settings.get("k", 800), settings.get("p", 8.0))
    assert found.given.get("split") == settings.get("split")


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("openai/clip-vit-base-patch32", ("openai/clip-vit-base-patch32", None)),
        ("owner/name@v1.0", ("owner/name", "v1.0")),
        ("owner/name@refs/pr/1", ("owner/name", "refs/pr/1")),
        ("tiny-clip", None),
        ("./owner/name", None),
        ("/owner/name", None),
        ("C:\\models\\clip", None),
        ("a/b/c", None),
        ("owner/name@", None),
    ],
)
def test_the_form_of_a_hub_id(name, hub):
    assert parse_model(name).hub == hub


@pytest.mark.parametrize(
    "name",
    [
        "open-clip:", "open-clip:RN50", "open-clip:/openai", "timm:", "timm:/x", "timm:resnet/", "asif:a", "asif:a+b",
        "asif:a@b", "asif:+b@c", "asif:a+b@", "asif:a+b@c?k=x", "asif:a+b@c?k=0", "asif:a+b@c?p=-1",
        "asif:a+b@c?p=nan", "asif:a+b@c?z=1",
    ],
)  # fmt: skip
def test_other_forms_are_usage(name):
    with pytest.raises(UsageError, match="not the name of a model"):
        parse_model(name)
