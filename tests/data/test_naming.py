import pytest

from vlmbench.data.names import canonical, split_query
from vlmbench.foundations.errors import UsageError


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mnist", "mnist"),
        ("mnist?stream=yes", "mnist"),
        ("hf:a/b@v1:c?image=x&stream=no", "hf:a/b@v1:c?image=x"),
        ("hf:a/b?image=png|jpg&label=y", "hf:a/b?image=png|jpg&label=y"),
        ("hf:a/b?stream=auto&caption=text", "hf:a/b?caption=text"),
        ("hf:a/b?stream=yes in 4 tiles", "hf:a/b in 4 tiles"),
        ("boxes:x.json#hf:a/b?image=x&stream=yes", "boxes:x.json#hf:a/b?image=x"),
        ("hf:a/b?stream=yesterday", "hf:a/b?stream=yesterday"),
        ("folder:what?stream=yes", "folder:what?stream=yes"),
    ],
)
def test_a_record_does_not_say_that_a_dataset_was_streamed(spec, expected):
    assert canonical(spec) == expected


def test_name_and_query_are_parted():
    assert split_query("hf:a/b?image=x&stream=yes") == ("hf:a/b", {"image": "x", "stream": "yes"})
    assert split_query("mnist") == ("mnist", {})


@pytest.mark.parametrize("query", ["stream=maybe", "steam=yes", "stream", "", "label=x&labels=y"])
def test_a_mistyped_query_is_usage(query):
    with pytest.raises(UsageError, match="not understood") as caught:
        split_query(f"hf:me/many?{query}")
    assert "?stream=yes" in caught.value.fix
