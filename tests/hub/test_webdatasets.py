"""CLIP_benchmark's WebDatasets as they lie on the hub: every one the catalogue names, and each form of the layout."""

import time
from functools import cache

import hub_server as server
import pytest
from hub_clients import reads
from hub_repositories import png, several, shards, webdataset

from vlmbench.data.catalogue import CAPTIONED, listed

WDS = {name: entry for name, entry in listed().items() if "/wds_" in entry.hub_id}
META = ("camelyon17", "iwildcam", "fmow", "dollar_street", "geode")
"""Sets whose samples carry DataComp's metadata in an ``.npy`` beside the class."""


@cache
def picture(number, ending):
    return png(number, form={"jpg": "JPEG"}.get(ending, ending.upper()))


def repository(root, entry):
    """A repository in the form of the real one, small: four images a split, and all the class names."""
    ending = (entry.image or "webp").partition("|")[0]
    classes = entry.classes or 2
    kind = {CAPTIONED: "retrieval"}.get(entry.group, "multilabel" if entry.metric == "map" else None)

    def sample(number):
        image = {ending: picture(number, ending)}
        if kind == "retrieval":
            return {**image, "txt": "\n".join(f"a dog {number} seen {n} times" for n in range(5)).encode()}
        if kind:
            return {**image, "npy": several([label in (number, 7) for label in range(classes)])}
        meta = {"npy": several([number, 3])} if entry.name in META else {}
        return {**image, "cls": str((number * 7) % classes).encode(), **meta}

    tars = [[sample(number) for number in range(4)]]
    splits = {"test": tars} if entry.hub_id.startswith("djghosh/") else {"train": tars, "test": tars}
    texts = () if kind == "retrieval" else ("a photo of {c}.", "a picture of {c}.")
    names = () if kind == "retrieval" else [f"thing {number}" for number in range(classes)]
    return webdataset(root, splits, names, texts, kind)


def test_every_webdataset_of_the_catalogue_opens(hub, tmp_path):
    assert len(WDS) == 93
    assert sum("mteb/" not in entry.hub_id and entry.group != CAPTIONED for entry in WDS.values()) == 82
    for name, entry in WDS.items():
        hub.repositories["datasets", entry.hub_id] = repository(tmp_path / "r" / name, entry)
        root = hub.repositories["datasets", entry.hub_id]
        hub.commits["datasets", entry.hub_id] = entry.revision or server.commit_of(root)
    found = dict(zip(WDS, reads(hub, tmp_path, *WDS), strict=True))
    several_forms = ("wds/cars", "datacomp/cars", "fer2013", "voc2007_multilabel", "iwildcam", "mscoco_captions")
    forms = reads(hub, tmp_path / "s", *(f"{name}?stream=yes" for name in several_forms))
    streamed = dict(zip(several_forms, forms, strict=True))
    assert {name: line["what"] for name, line in found.items() if line["code"]} == {}
    for name, entry in WDS.items():
        line = found[name]
        told = {**streamed.get(name, line), "spec": name}
        assert {**told, "kept": 0, "notes": 0} == {**line, "kept": 0, "notes": 0}, name
        assert (line["split"], line["n"], line["read"]) == ("test", 4, 4), name
        assert line["splits"] == (["test"] if entry.hub_id.startswith("djghosh/") else ["train", "test"]), name
        assert line["revision"] == (entry.revision or line["revision"]), name
        assert line["metric"] == entry.metric, name
        assert line["multilabel"] == (entry.metric in {"map", "map11"}), name
        if entry.group == CAPTIONED:
            assert [len(texts) for texts in line["captions"]] == [5] * 4, name
            assert line["captions"][3][4] == "a dog 3 seen 4 times"
            continue
        assert (line["classes"], line["templates"]) == (entry.classes or 2, 2), name
        if entry.metric == "map":
            assert line["labels"][2] == [int(label in (2, 7)) for label in range(20)], name
        else:
            assert line["labels"] == [number * 7 % (entry.classes or 2) for number in range(4)], name


def members(ending="webp", label="cls"):
    def sample(number):
        labels = {"cls": str(number % 3).encode(), "npy": several([number % 2, 1, number % 3 == 0])}
        return {ending: picture(number, ending), label: labels.get(label, f"a dog {number}\na cat".encode())}

    return sample


LAYOUTS = {
    "three train tars, one test tar": lambda root: shards(root, ("train",), tars=3) and shards(root, ("test",)),
    "one tar": lambda root: shards(root, ("test",)),
    "twelve tars": lambda root: shards(root, ("test",), tars=12),
    "train without test": lambda root: shards(root, ("train",), tars=2),
    "several labels": lambda root: shards(root, ("test",), extra=members("jpg", "npy"), kind="multilabel"),
    "captions": lambda root: shards(root, ("test",), tars=2, extra=members("png", "txt"), kind="retrieval"),
    "jpeg": lambda root: shards(root, ("test",), extra=members("jpeg")),
    "images of two endings": lambda root: shards(
        root, ("test",), extra=lambda number: members("jpg" if number % 2 else "png")(number)
    ),
}


def test_each_layout_reads_the_same_from_a_directory_fetched_and_streamed(hub, tmp_path):
    names = [f"me/{name.replace(' ', '-').replace(',', '')}" for name in LAYOUTS]
    roots = [layout(tmp_path / "r" / str(place)) for place, layout in enumerate(LAYOUTS.values())]
    hub.repositories = {("datasets", name): root for name, root in zip(names, roots, strict=True)}
    specs = [f"hf:{root}" for root in roots], [f"hf:{name}" for name in names]
    local, fetched = reads(hub, tmp_path, *specs[0]), reads(hub, tmp_path, *specs[1])
    streamed = reads(hub, tmp_path / "s", *(f"{spec}?stream=yes" for spec in specs[1]))
    again = reads(hub, tmp_path, *specs[1], HF_HUB_OFFLINE="1")
    assert [line["code"] for line in [*local, *fetched, *streamed, *again]] == [0] * 4 * len(names)
    for lines in zip(LAYOUTS, local, fetched, streamed, again, strict=True):
        name, *rest = lines
        same = ("rows", "images", "fingerprint", "n", "ids", "labels", "captions", "metric", "splits", "read")
        assert all([line[key] for key in same] == [rest[0][key] for key in same] for line in rest), name
    by_name = dict(zip(LAYOUTS, local, strict=True))
    assert [line["n"] for line in local] == [6, 6, 72, 12, 6, 12, 6, 6]
    assert by_name["twelve tars"]["ids"][12] == "test-12/s0000012.png", "2.tar comes before 10.tar"
    assert by_name["train without test"]["splits"] == ["train"]
    assert by_name["several labels"]["labels"][0] == [0, 1, 1]
    assert by_name["captions"]["captions"][1] == ["a dog 1", "a cat"]
    assert [name.rpartition(".")[2] for name in by_name["images of two endings"]["ids"]] == ["png", "jpg"] * 3


def test_a_split_that_lacks_tars_says_which(hub, tmp_path):
    root = shards(tmp_path / "r", tars=3)
    (root / "test" / "1.tar").unlink()
    (root / "train" / "nshards.txt").write_text("two\n")
    hub.repositories["datasets", "me/lacking"] = root
    (line,) = reads(hub, tmp_path, "hf:me/lacking")
    assert (line["code"], line["what"]) == (
        4,
        "1 of the 3 tars that test/nshards.txt of hf:me/lacking counts are missing: test/1.tar",
    )
    (root / "test" / "nshards.txt").write_text("1\n")
    (line,) = reads(hub, tmp_path, "hf:me/lacking")
    assert (line["code"], line["n"]) == (0, 6), "CLIP_benchmark reads as many as nshards.txt says"


@pytest.mark.parametrize("block", [None, 4096])
def test_a_stream_reads_every_byte_once_and_several_ranges_at_a_time(block, hub, tmp_path):
    root = shards(tmp_path / "r", ("test",), tars=4)
    hub.repositories["datasets", "me/shards"] = root
    hub.before = lambda path: time.sleep(0.15) if path.endswith(".tar") else None
    (line,) = reads(hub, tmp_path, "hf:me/shards?stream=yes", block=block)
    assert (line["code"], line["n"], line["kept"]) == (0, 24, [])
    sizes = {f"test/{part}.tar": (root / "test" / f"{part}.tar").stat().st_size for part in range(4)}
    assert {name: hub.sent[name] for name in sizes} == sizes, "a byte was read twice, or not at all"
    assert hub.together >= 3


def test_a_stream_that_breaks_off_is_one_error_and_goes_on_from_there(hub, tmp_path):
    root = shards(tmp_path / "r", ("test",), tars=2)
    faults = {"busy": 429, "gone": 404, "shut": 403, "cut": 0}
    for name, status in faults.items():
        hub.repositories["datasets", f"me/{name}"] = root
        hub.faults[f"me/{name}", "test/1.tar"] = (3, status)
    specs = [f"hf:me/{name}?stream=yes" for name in faults]
    found = dict(zip(faults, reads(hub, tmp_path, *specs, block=4096), strict=True))
    assert {name: (line["code"], line["read"]) for name, line in found.items()} == dict.fromkeys(faults, (4, 0))
    assert "429" in found["busy"]["what"]
    assert "lacks a file" in found["gone"]["what"]
    assert "hf auth login" in found["shut"]["fix"]
    for name in ("busy", "shut", "cut"):
        assert "resumes where it stopped" in found[name]["fix"]
    hub.faults.clear()
    hub.sent.clear()
    again = reads(hub, tmp_path, *specs, block=4096)
    assert [(line["code"], line["n"]) for line in again] == [(0, 12)] * len(specs)


def test_damaged_tars_are_one_error_wherever_they_lie(hub, tmp_path):
    root = shards(tmp_path / "r", ("test",), tars=2)
    whole = (root / "test" / "1.tar").read_bytes()
    (root / "test" / "1.tar").write_bytes(whole[: len(whole) // 2])
    hub.repositories["datasets", "me/damaged"] = root
    specs = (f"hf:{root}", "hf:me/damaged?stream=yes", "hf:me/damaged")
    found = reads(hub, tmp_path, *specs)
    assert [line["code"] for line in found] == [3, 3, 3], found
    assert len({line["what"] for line in found}) == 1
    assert "test/1.tar is not a valid WebDataset tar" in found[0]["what"]
