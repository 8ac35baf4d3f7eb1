"""How deep JSON may be nested: lists and objects count alike."""

import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import DEEPEST, json_of


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('{"a":[', "]}"), ('[{"a":', "}]")])
def test_as_deep_as_is_read_and_one_level_more(opens, closes):
    step = len(closes)
    assert json_of(opens * (DEEPEST // step) + "1" + closes * (DEEPEST // step), "x")
    with pytest.raises(InputError, match="nested too deeply"):
        json_of("[" + opens * (DEEPEST // step) + "1" + closes * (DEEPEST // step) + "]", "x")


def test_brackets_in_texts_are_no_levels():
    assert json_of('["' + "[{" * 200 + '"]', "x")
