"""Composite's own layout: Mechanical Turk's results with ``;`` between cells, N captions and N answers a row."""

import pytest

from vlmbench.data.judgements.composite import is_composite, without_rated
from vlmbench.data.judgements.read import read_judgements
from vlmbench.foundations.errors import InputError

TURK = [f"Turk{k}" for k in range(27)]  # HITId, WorkerId and the like, which say nothing of captions


def composite(count, rows):
    """A file as published: 27 columns of the service, the image, `count` captions, `count` answers, two rows more."""
    header = [*TURK, "Input.image_url", *(f"Input.text{k}" for k in range(1, count + 1))]
    header += [*(f"Answer.Q{k}Answer" for k in range(1, count + 1)), "Approve", "Reject"]
    lines = [header]
    lines += [[*["x"] * 27, image, *captions, *answers, "", ""] for image, captions, answers in rows]
    lines += [[""] * len(header)] * 2
    return "\n".join(";".join(map(str, line)) for line in lines) + "\n"


SMALL = composite(
    3,
    [
        ("http://a.example/8k/111_aa.jpg", ["A dog runs .", "a dog", "There is a dog, and grass."], [5, 3, 2]),
        ("http://a.example/8k/222_bb.jpg", ["Two cats", "a cat", "a dog"], [4, 4, 1]),
    ],
)


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_each_caption_with_its_answer(put):
    found = read_judgements([put("8k_correctness.csv", SMALL)])
    assert (found.format, found.left_out, found.references) == ("composite", 0, None)
    assert [(item.image, item.candidate, item.rating) for item in found.items] == [
        ("111_aa.jpg", "A dog runs .", 5),
        ("111_aa.jpg", "a dog", 3),
        ("111_aa.jpg", "There is a dog, and grass.", 2),
        ("222_bb.jpg", "Two cats", 4),
        ("222_bb.jpg", "a cat", 4),
        ("222_bb.jpg", "a dog", 1),
    ]
    assert found.rated == {"111_aa.jpg": "A dog runs .", "222_bb.jpg": "Two cats"}


def test_of_four_captions_the_first_three_and_several_files_are_one_set(put):
    name = "http://a.example/val2014/COCO_val2014_000000000042.jpg"
    rows = [(name, list("abcd"), [1, 2, 3, 4]), (name.replace("42", "43"), list("efgh"), [1, 2, "", 4])]
    coco = put("coco_correctness.csv", composite(4, rows))
    found = read_judgements([put("8k_correctness.csv", SMALL), coco])
    assert found.name == "8k_correctness.csv+coco_correctness.csv"
    assert [item.candidate for item in found.items[6:]] == ["a", "b", "c", "e", "f"]
    assert found.left_out == 3
    assert found.items[6].image == "COCO_val2014_000000000042.jpg"


def test_the_judged_reference_goes():
    references = ["A dog runs across grass.", "a dog runs", "The dog is outside"]
    assert without_rated(references, "A dog runs .") == [references[0], references[2]]
    assert without_rated(references, "A dog run across the grass") == references[1:]
    assert without_rated(references, "three pizzas on a table") == references
    assert without_rated(["x", "x"], "x") == ["x"]
    assert without_rated(["x"], "x") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (";5;3;2;;", ";5;good;2;;", "not a number: 'good'"),
        ("a dog;There", ";There", "no input.text2 for image 111_aa.jpg"),
        ("a dog;There", "a dog;of two; There", "not a number: 'There is a dog"),
        (";5;3;2;;", ";5;3;2;;;;x", "38 cells under 36"),
    ],
)
def test_a_wrong_row_is_named(put, old, new, message):
    assert old in SMALL
    text = SMALL.replace(old, new)
    with pytest.raises(InputError) as caught:
        read_judgements([put("8k.csv", text)])
    assert message in caught.value.what
    assert caught.value.where.endswith("8k.csv, line 2")


def test_empty_cells_at_the_end_may_be_left_away_or_many(put):
    assert SMALL.count(";;\n") >= 2
    whole = read_judgements([put("8k.csv", SMALL)])
    for end in ("\n", ";;;;;\n"):
        assert read_judgements([put("8k.csv", SMALL.replace(";;\n", end))]).items == whole.items
    lacking = read_judgements([put("8k.csv", SMALL.replace(";5;3;2;;\n", ";5;3\n"))])
    assert (len(lacking.items), lacking.left_out) == (5, 1)


def test_what_is_composite_and_what_is_not(put):
    assert is_composite(SMALL)
    assert not is_composite("image_id,candidate,rating\n1,a,2\n")
    with pytest.raises(InputError, match=r"no column answer\.q3answer"):
        read_judgements([put("8k.csv", SMALL.replace("Answer.Q3Answer", "Answer.Q3"))])
    with pytest.raises(InputError, match="no column"):
        read_judgements([put("9k.csv", "image_id;candidate;rating\n1;a;2\n")], "composite")
