"""Readers of human judgements: what they take, leave out and refuse."""

import gzip
import json
import re

import pytest

from vlmbench.data.judgements.read import read_judgements
from vlmbench.foundations.errors import AbsentError, InputError, UsageError

TOKENS = "".join(f"{image}.jpg#{k}\tcaption {k} of {image} .\n" for image in ("a", "b", "c") for k in range(3))
EXPERT = "a.jpg\tb.jpg#1\t1\t2\t1\na.jpg\ta.jpg#0\t4\t4\t4\nb.jpg\tc.jpg#2\t3\t3\t4\n"
CROWD = "a.jpg\tb.jpg#1\t0\t0\t3\na.jpg\ta.jpg#0\t1\t3\t0\nb.jpg\tc.jpg#2\t0.25\t1\t3\n"


def read(path, kind="auto", captions=None):
    return read_judgements([path], kind, [] if captions is None else [captions])


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_csv_with_references_in_either_form(put):
    plain = put(
        "j.csv",
        "image_id,candidate,rating,reference_1,reference_2\n7,a dog,4,a brown dog,dog\n7,a cat,1,a brown dog,dog\n",
    )
    found = read(plain)
    assert found.references == {"7": ["a brown dog", "dog"]}
    assert [(item.image, item.candidate, item.rating) for item in found.items] == [("7", "a dog", 4), ("7", "a cat", 1)]
    listed = put("k.csv", 'image_id;caption;rating;references\n7;a dog;4;"[""x"", ""y""]"\n')
    assert read(listed).references == {"7": ["x", "y"]}
    assert read(put("l.csv", "rating\timage_id\tcandidate\n-1.5\tz\ta, b\n")).references is None


def test_jsonl_and_gzip_and_line_ends_within_captions(put):
    rows = [
        {"image_id": 1, "candidate": "a\nb\u2028c\x85", "rating": 2},
        {"image_id": "2", "caption": "d", "rating": 3.5},
    ]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    found = read(put("j.jsonl.gz", gzip.compress(text.encode())))
    assert [(item.image, item.candidate, item.rating) for item in found.items] == [
        ("1", "a\nb\u2028c\x85", 2),
        ("2", "d", 3.5),
    ]
    path = put("j.csv", 'image_id,candidate,rating\n1,"a\nb",2\n2,c,3\n')
    quoted = read(path)
    assert [(item.candidate, item.place) for item in quoted.items] == [
        ("a\nb", f"{path}, line 2"),
        ("c", f"{path}, line 4"),
    ]


def test_expert_gives_three_judgements_and_leaves_out_captions_of_the_image(put):
    found = read(put("e.txt", EXPERT), captions=put("t.txt", TOKENS))
    assert (found.format, found.left_out) == ("expert", 3)
    assert [(item.image, item.candidate, item.rating) for item in found.items] == [
        *(("a.jpg", "caption 1 of b .", rating) for rating in (1, 2, 1)),
        *(("b.jpg", "caption 2 of c .", rating) for rating in (3, 3, 4)),
    ]
    assert found.references["a.jpg"] == [f"caption {k} of a ." for k in range(3)]


def test_crowd_takes_a_judged_caption_out_of_the_references(put):
    found = read(put("c.txt", CROWD), captions=put("t.txt", TOKENS))
    assert (found.format, found.left_out) == ("cf", 0)
    assert [item.rating for item in found.items] == [0, 1, 0.25]
    assert found.references["a.jpg"] == ["caption 1 of a .", "caption 2 of a ."]
    own = "".join(f"a.jpg\ta.jpg#{k}\t1\t3\t0\n" for k in range(3)) + "b.jpg\tc.jpg#2\t0.25\t1\t3\n"
    bare = read(put("d.txt", own), captions=put("t.txt", TOKENS))
    assert (bare.left_out, len(bare.items), set(bare.references)) == (3, 1, {"b.jpg"})


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("image_id,candidate,rating\n1,a,4\n2,b,good\n", "not a number", "line 3"),
        ("image_id,candidate,rating\n1,a,nan\n", "not a number", "line 2"),
        ("image_id,candidate,rating\n1,a\n", "2 cells under 3", "line 2"),
        ("image_id,candidate,rating\n1, ,4\n", "no candidate", "line 2"),
        ("image_id,candidate,rating\n,a,4\n", "no image_id", "line 2"),
        ("image,candidate,rating\n1,a,4\n", "no columns image_id", "line 1"),
        ("image_id,rating,rating\n1,4,4\n", "no columns candidate", "line 1"),
        ("image_id,candidate,rating,rating\n1,a,4,4\n", "two columns", "line 1"),
        ("image_id,candidate,rating,references\n1,a,4,x\n", "JSON list", "line 2"),
        ("image_id,candidate,rating,references\n1,a,4,[]\n", "list of captions", "line 2"),
        ("image_id,candidate,rating,reference_1\n1,a,4,x\n1,b,4,y\n", "has different references in an", "line 3"),
        ('{"image_id": 1, "candidate": "a", "rating": 1}\n{"image_id"\n', "not valid JSON", "line 2"),
        ('{"image_id": 1, "candidate": 5, "rating": 1}\n', "no candidate", "line 1"),
        ('{"image_id": 1, "candidate": "a", "rating": true}\n', "not a number", "line 1"),
        ('image_id,candidate,rating\n1,"a,4\n', "not valid CSV", "line 2"),
    ],
)
def test_a_wrong_line_is_named(put, text, message, line):
    with pytest.raises(InputError, match=message) as caught:
        read(put("j.csv", text))
    assert re.search(rf"j\.csv, {line}(, column \d+)?$", caught.value.where)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("expert", EXPERT + "b.jpg\tc.jpg#2\t3\t3\t5\n", "not 1, 2, 3 or 4"),
        ("auto", EXPERT + "b.jpg\tc.jpg#9\t3\t3\t4\n", r"c\.jpg#9 is not in"),
        ("auto", EXPERT + "d.jpg\tc.jpg#2\t3\t3\t4\n", r"d\.jpg is not in"),
        ("auto", EXPERT + "b.jpg\tc.jpg#2\t3\n", "3 cells"),
        ("cf", CROWD + "b.jpg\tc.jpg#2\t0.5\t1\t3\n", "does not follow"),
    ],
)
def test_a_wrong_line_of_flickr8k_is_named(put, kind, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(put("e.txt", text), kind, put("t.txt", TOKENS))
    assert "e.txt, line 4" in caught.value.where


def test_wrong_captions_of_flickr8k_are_named(put):
    for text, message in (("a.jpg caption\n", "image#k"), (TOKENS + "a.jpg#0\tagain\n", "occurs twice")):
        with pytest.raises(InputError, match=message) as caught:
            read(put("e.txt", EXPERT), captions=put("t.txt", text))
        assert "t.txt, line" in caught.value.where
    with pytest.raises(UsageError, match="by id"):
        read(put("e.txt", EXPERT))


def test_files_without_judgements(put, tmp_path):
    for text in ("", "image_id,candidate,rating\n"):
        with pytest.raises(InputError, match=r"empty file|no judgement"):
            read(put("j.csv", text))
    with pytest.raises(InputError, match="no judgement"):
        read(put("e.txt", "a.jpg\ta.jpg#0\t4\t4\t4\n"), captions=put("t.txt", TOKENS))
    with pytest.raises(AbsentError, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="no such format"):
        read(tmp_path / "none.csv", "xml")


def test_several_files_are_one_set(put):
    first = put("a.csv", "image_id,candidate,rating,reference_1\n1,a,4,x\n")
    second = put("b.csv", "image_id,candidate,rating,reference_1\n1,b,2,x\n2,c,3,y\n")
    found = read_judgements([first, second])
    assert (found.name, len(found.items), found.references) == ("a.csv+b.csv", 3, {"1": ["x"], "2": ["y"]})
    assert found.items[1].place == f"{second}, line 2"
    with pytest.raises(UsageError, match="given twice"):
        read_judgements([first, second, first])
    other = put("c.csv", "image_id,candidate,rating,reference_1\n1,b,2,z\n")
    with pytest.raises(InputError, match=r"different references in c\.csv"):
        read_judgements([first, other])
    with pytest.raises(InputError, match="not in others"):
        read_judgements([first, put("d.csv", "image_id,candidate,rating\n1,b,2\n")])
    with pytest.raises(UsageError, match=r"a\.csv is csv, e\.txt is expert"):
        read_judgements([first, put("e.txt", EXPERT)], captions=[put("t.txt", TOKENS)])
