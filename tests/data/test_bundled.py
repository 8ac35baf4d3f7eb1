import pytest

from vlmbench.data.bundled import bundled_names, open_bundled
from vlmbench.data.images import decode

CLASSED = [name for name in bundled_names() if open_bundled(name).info.classnames]


def test_the_promised_sets_are_there():
    assert {"digits", "shapes", "counting", "scenes"} <= set(bundled_names())


@pytest.mark.parametrize("name", CLASSED)
def test_a_bundled_set_is_what_its_card_says(name):
    data = open_bundled(name)
    assert set(data.info.splits) == {"train", "val", "test"}
    for split_name in data.info.splits:
        split = data.split(split_name)
        assert len(split) == data.facts["splits"][split_name]
        assert len(set(split.ids)) == len(split)
        assert set(split.labels.tolist()) == set(range(len(data.info.classnames)))
        assert decode(split.images.read(len(split) - 1), "last").mode == "RGB"


def test_no_image_is_in_two_splits():
    for name in CLASSED:
        data = open_bundled(name)
        seen = {}
        for split_name in data.info.splits:
            split = data.split(split_name)
            for row in range(len(split)):
                raw = split.images.read(row)
                seen.setdefault(raw if isinstance(raw, bytes) else raw.tobytes(), set()).add(split_name)
        shared = [places for places in seen.values() if len(places) > 1]
        assert not shared, name


def test_scenes_have_five_captions_each():
    split = open_bundled("scenes").split("test")
    assert all(len(captions) == 5 for captions in split.captions)
