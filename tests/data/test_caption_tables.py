"""Caption files as published sets and people's own tools write them: Karpathy's JSON, Parquet, lists of objects."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlmbench.data.captions.columns import caption_columns, id_column, parse_named
from vlmbench.data.captions.entries import Want
from vlmbench.data.captions.read import read_candidates, read_references
from vlmbench.foundations.errors import InputError, UsageError, VlmbenchError


def karpathy(splits: list[str], *, cocoid: bool = True) -> dict:
    """The file as it is: ``dataset_coco.json`` with cocoid and filepath, those of Flickr without."""
    images = []
    for n, split in enumerate(splits):
        sentences = [
            {"tokens": ["a", "dog", str(n)], "raw": f"A dog {n}. ", "imgid": n, "sentid": 2 * n},
            {"tokens": ["dog"], "raw": f"Dog {n}.", "imgid": n, "sentid": 2 * n + 1},
        ]
        image = {"sentids": [2 * n, 2 * n + 1], "imgid": n, "sentences": sentences, "split": split}
        if cocoid:
            image |= {"filepath": "val2014", "filename": f"COCO_val2014_{500 + n:012d}.jpg", "cocoid": 500 + n}
        else:
            image |= {"filename": f"{1000 + n}.jpg"}
        images.append(image)
    return {"images": images, "dataset": "coco" if cocoid else "flickr8k"}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps(karpathy(["test", "restval", "val", "train", "test"])))
    return path


@pytest.mark.parametrize(
    ("want", "split", "ids"),
    [
        (Want(), "test", ["500", "504"]),
        (Want(split="val"), "val", ["502"]),
        (Want(split="validation"), "val", ["502"]),
        (Want(split="train"), "train", ["503"]),
        (Want(split="restval"), "restval", ["501"]),
        (Want(split="train", restval=True), "train", ["501", "503"]),
        (Want(split="all"), "all", ["500", "501", "502", "503", "504"]),
    ],
)
def test_karpathys_splits(coco: Path, want: Want, split: str, ids: list[str]) -> None:
    found = read_references(coco, want)
    assert (found.split, list(found.captions)) == (split, ids)
    number = int(ids[0]) - 500
    assert found.captions[ids[0]] == [f"A dog {number}. ", f"Dog {number}."]


def test_karpathys_flickr_files_are_keyed_by_file_name(tmp_path: Path) -> None:
    path = tmp_path / "dataset_flickr8k.json"
    path.write_text(json.dumps(karpathy(["train", "val", "test"], cocoid=False)))
    assert read_references(path).captions == {"1002.jpg": ["A dog 2. ", "Dog 2."]}


def test_what_is_wrong_with_karpathys_file_is_named(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split nowhere; it has test, restval, val, train") as caught:
        read_references(coco, Want(split="nowhere"))
    assert caught.value.fix == "split='test'"
    broken = karpathy(["test", "test"])
    broken["images"][1]["sentences"] = None
    (tmp_path / "b.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="without sentences") as caught:
        read_references(tmp_path / "b.json")
    assert "images[1]" in str(caught.value.where)
    broken = karpathy(["test", "test"])
    broken["images"][1]["sentences"][1]["raw"] = 3
    (tmp_path / "b.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="a caption of type object") as caught:
        read_references(tmp_path / "b.json")
    assert "images[1]" in str(caught.value.where)
    with pytest.raises(InputError, match="annotations file"):
        read_candidates(coco)
    twice = karpathy(["test", "test"])
    twice["images"][1]["cocoid"] = 500
    (tmp_path / "b.json").write_text(json.dumps(twice))
    with pytest.raises(InputError, match=r"twice: 1 image \(500\)"):
        read_references(tmp_path / "b.json")


def test_a_split_of_a_file_without_splits_is_usage(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"1": ["a"]}')
    with pytest.raises(UsageError, match="does not say"):
        read_references(tmp_path / "r.json", Want(split="test"))
    assert read_references(tmp_path / "r.json", Want(split="train", lenient=True)).captions == {"1": ["a"]}


ROWS = [
    {"image": f"{n}.jpg", "captions": [f"a dog {n}", "a dog"], "prediction": f"dog {n}", "split": split}
    for n, split in enumerate(("train", "test", "test"))
]
ODD = [{"file": r["image"], "refs": r["captions"], "out": r["prediction"], "part": r["split"]} for r in ROWS]
NAMED = "image=file,captions=refs,prediction=out,split=part"


def as_json(rows: list[dict], path: Path) -> None:
    path.write_text(json.dumps(rows))


def as_lines(rows: list[dict], path: Path) -> None:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")


def as_csv(rows: list[dict], path: Path) -> None:
    cells = [[json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")


def as_parquet(rows: list[dict], path: Path) -> None:
    pixels = [{"bytes": b"\x89PNG", "path": None}] * len(rows)
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.append_column("pixels", pa.array(pixels)), path)


@pytest.mark.parametrize("write", [as_json, as_lines, as_csv, as_parquet])
@pytest.mark.parametrize("named", [False, True])
def test_one_table_is_references_and_candidates(write, named: bool, tmp_path: Path) -> None:
    path = tmp_path / "both.any"
    write(ODD if named else ROWS, path)
    columns = parse_named(NAMED if named else None)
    references = read_references(path, Want(columns))
    assert references.captions == {f"{n}.jpg": [f"a dog {n}", "a dog"] for n in range(3)}
    assert read_candidates(path, want=Want(columns)).captions == {f"{n}.jpg": f"dog {n}" for n in range(3)}
    part = Want(columns, split="test")
    assert list(read_references(path, part).captions) == list(read_candidates(path, None, part).captions)
    assert read_references(path, part).split == "test"
    assert len(read_references(path, part).captions) == 2
    columns.check()


PUBLISHED = {
    "COCO on the hub": ({"question_id": "a.jpg", "answer": ["x", "y"], "id": 5}, "5", ["x", "y"]),
    "Karpathy's COCO on the hub": (
        {"filename": "a.jpg", "imgid": 3, "cocoid": 8, "sentences": ["x", "y"], "sentids": [1, 2]},
        "8",
        ["x", "y"],
    ),
    "Flickr30k on the hub": ({"img_id": "7", "caption": ["x", "y"], "filename": "a.jpg"}, "7", ["x", "y"]),
    "nocaps on the hub": ({"image_id": 4, "annotations_captions": ["x"], "annotations_ids": [1]}, "4", ["x"]),
    "TextCaps on the hub": ({"image_id": "b", "caption_str": ["x"], "question_id": "q"}, "b", ["x"]),
    "Flickr8k on the hub": ({"image_id": 1, "caption_0": "x", "caption_1": "y"}, "1", ["x", "y"]),
    "LAVIS": ({"image": "val2014/a.jpg", "caption": ["x", "y"]}, "val2014/a.jpg", ["x", "y"]),
    "sentences as structs": ({"cocoid": 2, "sentences": [{"raw": "x"}, {"raw": "y"}]}, "2", ["x", "y"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("write", [as_json, as_parquet])
def test_the_columns_of_published_sets_need_no_naming(name: str, write, tmp_path: Path) -> None:
    row, id, captions = PUBLISHED[name]
    write([row], tmp_path / "r.any")
    assert read_references(tmp_path / "r.any").captions == {id: captions}


def test_a_table_without_what_is_wanted_names_its_columns_and_the_row(tmp_path: Path) -> None:
    cases = [
        (as_json, [{"file": "a", "refs": ["x"]}], "it has file, refs", "entry[0]"),
        (as_parquet, [{"image_id": 1, "words": "x"}], "it has image_id, words, pixels", "its columns"),
        (as_json, [{"image_id": 1, "words": "x"}], "columns='captions=words'", "entry[0]"),
        (as_parquet, [{"image_id": 1, "caption": 5.5}], "a caption of type number", "row 1"),
        (as_parquet, [{"image_id": 1, "caption": "x"}, {"image_id": None, "caption": "y"}], "id of type null", "row 2"),
        (as_lines, [{"image_id": 1, "caption": "x"}, {"id": 2, "caption": "y"}], "without image_id", "line 2"),
    ]
    for write, rows, said, place in cases:
        write(rows, tmp_path / "r.any")
        with pytest.raises(VlmbenchError) as caught:
            read_references(tmp_path / "r.any")
        assert said in str(caught.value)
        assert place in str(caught.value)
        assert caught.value.fix
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match="not readable as Parquet"):
        read_references(tmp_path / "cut.parquet")


def test_names_of_columns_are_checked(tmp_path: Path) -> None:
    for text in ("image", "picture=a", "image=", "image=a,image=b", "captions=a|"):
        with pytest.raises(UsageError, match="invalid column setting") as caught:
            parse_named(text)
        assert caught.value.fix.startswith("columns='image=file,captions=references,prediction=output' (roles: image")
    as_json(ROWS, tmp_path / "r.json")
    columns = parse_named("image=image,captions=nowhere")
    read_references(tmp_path / "r.json", Want(columns))
    with pytest.raises(UsageError, match="none of the files has a column nowhere"):
        columns.check()
    five = parse_named("captions=a|b")
    (tmp_path / "t.csv").write_text("id,b,a\n1,two,one\n2,,uno\n")
    assert read_references(tmp_path / "t.csv", Want(five)).captions == {"1": ["one", "two"], "2": ["uno"]}


def test_groups_of_images(tmp_path: Path) -> None:
    nocaps = {
        "images": [
            {"id": n, "open_images_id": f"00{n}", "file_name": f"00{n}.jpg", "domain": domain}
            for n, domain in enumerate(("in-domain", "near-domain", "out-domain"))
        ],
        "annotations": [{"image_id": n, "id": 10 + n, "caption": "a"} for n in range(3)],
    }
    (tmp_path / "nocaps.json").write_text(json.dumps(nocaps))
    domains = {"0": "in-domain", "1": "near-domain", "2": "out-domain"}
    assert read_references(tmp_path / "nocaps.json").groups == domains
    (tmp_path / "t.csv").write_text("image_id,caption,kind\n1,a,x\n1,b,x\n2,c,y\n")
    assert read_references(tmp_path / "t.csv").groups == {}
    assert read_references(tmp_path / "t.csv", Want(parse_named("group=kind"))).groups == {"1": "x", "2": "y"}
    many = "".join(f"{n},a,site{n}\n" for n in range(30))
    (tmp_path / "t.csv").write_text("image_id,caption,domain\n" + many)
    assert read_references(tmp_path / "t.csv").groups == {}, "a web address's domain is no group"


def test_usual_names() -> None:
    assert id_column(["caption", "id", "image_id"]) == "image_id"
    assert id_column(["caption", "filename"]) == "filename"
    assert id_column(["caption"]) is None
    assert caption_columns(["caption_10", "caption_2", "x"]) == ("caption_2", "caption_10")
    assert caption_columns(["captions", "prediction"], candidates=True) == ("prediction",)
    assert caption_columns(["captions", "prediction"]) == ("captions",)
