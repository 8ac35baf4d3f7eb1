import gzip
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmbench.data.captions.read import align, read_candidates, read_references, stem
from vlmbench.foundations.errors import VlmbenchError

WANTED = {"1": ["a cat", "one cat"], "22": ["a dog runs"], "x9": ["snow, and ice", "“quoted”\nlines"]}
GIVEN = {"1": "a cat sits", "22": "dogs; running", "x9": 'he said "ice"'}
RECORDS = [{"image_id": key, "caption": text} for key, texts in WANTED.items() for text in texts]
RESULTS = [{"image_id": key, "caption": text} for key, text in GIVEN.items()]


def csv_of(records):
    rows = [f'{record["image_id"]},"{record["caption"].replace(chr(34), chr(34) * 2)}"' for record in records]
    return "image_id,caption\n" + "\n".join(rows) + "\n"


FORMS = {
    "coco": lambda: json.dumps({"images": [{"id": k} for k in WANTED], "annotations": RECORDS}),
    "mapping": lambda: json.dumps(WANTED),
    "records": lambda: json.dumps(RECORDS),
    "jsonl": lambda: "\n".join(map(json.dumps, RECORDS)) + "\n\n",
    "jsonl of lists": lambda: "\n".join(json.dumps({"image_id": k, "captions": v}) for k, v in WANTED.items()),
    "csv": lambda: csv_of(RECORDS),
    "tsv": lambda: "caption\timage_id\n" + "\n".join(f'"{r["caption"]}"\t{r["image_id"]}' for r in RECORDS),
    "mark": lambda: "\ufeff" + json.dumps(WANTED),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_of_references_reads_alike(form, packed, tmp_path):
    path = tmp_path / "references.any"
    data = FORMS[form]().encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    assert read_references(path).captions == WANTED


@pytest.mark.parametrize(
    "text", [json.dumps(RESULTS), json.dumps(GIVEN), "\n".join(map(json.dumps, RESULTS)), csv_of(RESULTS)]
)
def test_every_form_of_candidates_reads_alike(text, tmp_path):
    path = tmp_path / "mine.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    found = read_candidates(path)
    assert found.captions == GIVEN
    assert found.name == "mine"


def test_utf_16_with_a_mark_reads(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("image_id,caption\n1,café\n".encode("utf-16"))
    assert read_candidates(path).captions == {"1": "café"}


def test_numbers_and_texts_are_the_same_id(tmp_path):
    (tmp_path / "r.json").write_text('{"images": [{"id": 7}], "annotations": [{"image_id": 7, "caption": "a"}]}')
    (tmp_path / "p.json").write_text('[{"image_id": " 7", "caption": "b"}]')
    (tmp_path / "q.json").write_text('[{"image_id": 7.0, "caption": "b"}]')
    found = align(
        read_references(tmp_path / "r.json"), [read_candidates(tmp_path / name) for name in ("p.json", "q.json")]
    )
    assert found.ids == ("7",)
    assert found.candidates == [["b"], ["b"]]


BAD_REFERENCES = {
    "": "empty file",
    "   \n": "empty file",
    "[]": "no caption",
    "{}": "no caption",
    "3": "neither JSON nor a CSV",
    "hello there": "neither JSON nor a CSV",
    "[1, 2": "not valid JSON",
    '{"1": ["a"],}': "not valid JSON",
    '{"1": ["a"], "1": ["b"]}': "twice: 1 image (1)",
    '{"1": []}': "without a reference: 1 image (1)",
    '{"1": ["a", 3]}': "caption of type number",
    '{"1": null}': "caption of type null",
    '{"1": {"caption": "a"}}': "caption of type object",
    '{"1": [["a"]]}': "caption of type list",
    '{"": ["a"]}': "an empty id",
    "[3]": "an entry of type number",
    '[{"caption": "a"}]': "without image_id",
    '[{"image_id": 1}]': "no caption for image 1: it has image_id",
    '[{"image_id": true, "caption": "a"}]': "id of type true or false",
    '[{"image_id": null, "caption": "a"}]': "id of type null",
    '[{"image_id": 1.5, "caption": "a"}]': "id of type number",
    '[{"image_id": [1], "caption": "a"}]': "id of type list",
    '[{"image_id": 1, "caption": NaN}]': "caption of type number",
    '{"images": [{"id": 1}, {"id": 1}], "annotations": [{"image_id": 1, "caption": "a"}]}': "twice: 1 image (1)",
    '{"images": [{"id": 1}], "annotations": [{"image_id": 2, "caption": "a"}]}': "not listed under images: 1 image (2)",
    '{"images": [{"id": 1}, {"id": 2}], "annotations": [{"image_id": 2, "caption": "a"}]}': "a reference: 1 image (1)",
    '{"images": [{"file": 1}], "annotations": []}': "an image without id",
    '{"images": 3, "annotations": []}': "must be lists",
    '{"image_id": 1, "caption": "a"}\n{"image_id": 2, "caption"': "not valid JSON",
    '{"image_id": 1, "caption": "a"}\n3': "not a JSON object",
    "image_id,caption\n1,a,b\n": "3 cells under 2 columns",
    'image_id,caption\n1,"a\n': "not valid CSV",
    "image_id,words\n1,a\n": "columns image_id and caption",
    "image_id,caption\n,a\n": "an empty id",
    '{"\\ud800": ["a"]}': "lone surrogate",
    "[" * 100_000: "nested too deeply",
    '{"1": ' * 100_000: "nested too deeply",
    "[" + "9" * 5000 + "]": "not valid JSON",
}


@pytest.mark.parametrize("text", BAD_REFERENCES, ids=lambda text: text[:24])
def test_bad_references_are_named(text, tmp_path):
    path = tmp_path / "references.json"
    path.write_text(text, "utf-8")
    with pytest.raises(VlmbenchError) as caught:
        read_references(path)
    assert BAD_REFERENCES[text] in str(caught.value)
    assert "references.json" in str(caught.value)
    assert caught.value.fix
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": 5}]', "[1]"),
        ('{"image_id": 1, "caption": "a"}\n\n{"image_id": 2}', "line 3"),
        ('image_id,caption\n1,"two\nlines"\n2\n', "line 4"),
        ('{"7": "a", "8": 4}', "'8' (number 2)"),
        ('[{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}]', "[0] and entry[1]"),
        ("image_id,caption\n5,a\n6,b\n5,c\n", "line 2 and line 4"),
    ],
)
def test_the_place_in_the_file_is_named(text, place, tmp_path):
    path = tmp_path / "p"
    path.write_text(text)
    with pytest.raises(VlmbenchError) as caught:
        read_candidates(path)
    assert place in str(caught.value)


def test_candidates_hold_one_caption_an_image(tmp_path):
    (tmp_path / "p.json").write_text('{"1": ["a", "b"], "2": ["c"]}')
    with pytest.raises(VlmbenchError, match=r"must be one caption: 1 image \(1\)"):
        read_candidates(tmp_path / "p.json")
    (tmp_path / "q.json").write_text('{"1": ["a"], "2": ["c"]}')
    assert read_candidates(tmp_path / "q.json").captions == {"1": "a", "2": "c"}


def test_an_annotations_file_is_no_results_file(tmp_path):
    (tmp_path / "p.json").write_text(FORMS["coco"]())
    with pytest.raises(VlmbenchError, match="annotations file"):
        read_candidates(tmp_path / "p.json")


def test_damaged_files_are_named(tmp_path):
    packed = gzip.compress(json.dumps(WANTED).encode())
    cases = {
        "cut.gz": packed[:-9],
        "flip.gz": packed[:20] + b"\xff\xff" + packed[22:],
        "latin.json": b'{"1": ["caf\xe9"]}',
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(VlmbenchError) as caught:
            read_references(tmp_path / name)
        assert name in str(caught.value)
    for path in (tmp_path, tmp_path / "absent.json", Path("bad\0name")):
        with pytest.raises(VlmbenchError):
            read_references(path)


@pytest.fixture
def files(tmp_path):
    def make(wanted, given):
        (tmp_path / "r.json").write_text(json.dumps(wanted))
        (tmp_path / "p.json").write_text(json.dumps(given))
        return read_references(tmp_path / "r.json"), read_candidates(tmp_path / "p.json")

    return make


def test_missing_and_unknown_images_are_named(files):
    references, system = files({str(k): ["a"] for k in range(9)}, {"0": "a", "77": "b"})
    with pytest.raises(VlmbenchError) as caught:
        align(references, [system])
    assert "no caption of 8 images (1, 2, 3, 4, 5 and 3 more)" in str(caught.value)
    assert "no references of 1 image (77)" in str(caught.value)
    found = align(references, [system], allow_missing=True)
    assert (found.images, found.missing, found.unknown) == ([[0]], [8], [1])


def test_ids_of_another_form_are_not_called_incomplete(files):
    references, system = files({"1": ["a"], "2": ["b"]}, {"1.jpg": "a", "2.jpg": "b"})
    with pytest.raises(VlmbenchError, match="no image is in both: write the ids as the references have them"):
        align(references, [system])


def test_nothing_in_common_is_an_error_even_so(files):
    references, system = files({"1": ["a"]}, {"2": "a"})
    with pytest.raises(VlmbenchError, match="nothing in common"):
        align(references, [system], allow_missing=True)


def test_empty_captions_are_named(files):
    references, system = files({"1": ["a"], "2": ["b"]}, {"1": " \t", "2": "b"})
    with pytest.raises(VlmbenchError, match=r"empty captions of 1 image \(1\)"):
        align(references, [system])
    assert align(references, [system], allow_empty=True).candidates == [[" \t", "b"]]
    references, system = files({"1": ["a", ""], "2": ["b"]}, {"1": "a", "2": "b"})
    with pytest.raises(VlmbenchError, match=r"empty references of 1 image \(1\)"):
        align(references, [system])


def test_candidates_come_in_the_order_of_the_references(files):
    references, system = files({"b": ["1"], "a": ["2"], "c": ["3"]}, {"c": "C", "a": "A", "b": "B"})
    found = align(references, [system])
    assert (found.ids, found.candidates) == (("b", "a", "c"), [["B", "A", "C"]])


def test_a_name_without_its_endings():
    assert [stem(Path(name)) for name in ("a.b.json.gz", "x.csv", ".json", "plain")] == ["a.b", "x", ".json", "plain"]


def test_two_hundred_damaged_files_end_in_a_clear_error_or_are_read(tmp_path):
    """Whatever is read must be what stands in the file: a caption never changes place."""
    rng = random.Random(0)
    whole = [form().encode() for form in FORMS.values()] + [gzip.compress(FORMS["coco"]().encode())]
    texts = {text for found in WANTED.values() for text in found}
    refused, messages = 0, []
    for _ in range(200):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice([1, 1, 2, 5])):
            place = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[place] = rng.randrange(256)
                case 1:
                    del data[place : place + rng.choice([1, 3, 40])]
                case 2:
                    data[place:place] = rng.choice([b"\n", b'"', b"{", b"]", b"\x00", b"\xff", b",", b"\\", b"\r\n"])
                case _:
                    data = data[:place] or data
        path = tmp_path / "fuzzed"
        path.write_bytes(bytes(data))
        try:
            found = read_references(path)
        except VlmbenchError as error:
            refused += 1
            messages.append((error.exit_code, str(error)))
            continue
        same = [
            (k, t) for k, ts in found.captions.items() for t in ts if t in texts and k in WANTED and t not in WANTED[k]
        ]
        assert not same
    assert refused > 50
    assert all(code == 3 and "fuzzed" in message for code, message in messages)


@given(st.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_bytes_end_in_a_clear_error_or_are_read(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    with suppress(VlmbenchError):
        read_references(path)


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=12), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_what_json_holds_is_what_is_read(tmp_path_factory, given):
    path = tmp_path_factory.getbasetemp() / "given.json"
    path.write_text(json.dumps(given))
    expected = {}
    for key, value in given.items():
        if not key.strip() or key.strip() in expected:
            return
        expected[key.strip()] = value
    try:
        assert read_candidates(path).captions == expected
    except VlmbenchError:
        assert set(given) & {"annotations", "image_id", "images"}
