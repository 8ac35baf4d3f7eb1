"""Splits that are streamed: what a run sees is what it sees of a fetched one, and nothing is kept on the disk."""

import os
import shutil
import signal

import numpy as np
from hub_clients import command, reads, together
from hub_repositories import arrow, captioned, parquet, pictures, png, several, shards
from safetensors.numpy import load_file

IMAGES = 100
SETS = ("me/many", "me/shards")
SECOND = "data/test-00001-of-00002.parquet"


def many(root):
    """Two Parquet files of 50 images, in row groups of 10."""
    return parquet(root, (("test", IMAGES),), files=2, group=10)


def labels(number):
    return {"jpg": png(number), "npy": several([number % 2, 1, number % 3 == 0])}


def repositories(root):
    import datasets

    texts = datasets.List(datasets.Value("string"))
    return {
        ("datasets", "me/many"): many(root / "many"),
        ("datasets", "me/captions"): parquet(
            root / "captions",
            (("test", 6),),
            files=2,
            captions=(texts, lambda i: [f"a dog {i}", "a cat"]),
            image_id=(datasets.Value("int64"), lambda i: 100 + i),
        ),
        ("datasets", "me/shards"): shards(root / "shards", ("test",), tars=2),
        ("datasets", "me/several"): shards(root / "several", ("test",), extra=labels, kind="multilabel"),
        ("datasets", "me/texts"): shards(
            root / "texts",
            ("test",),
            extra=lambda i: {"png": png(i), "txt": f"a dog {i}\na cat".encode()},
            kind="retrieval",
        ),
        ("datasets", "me/arrow"): arrow(root / "arrow"),
        ("datasets", "me/pictures"): pictures(root / "pictures"),
        ("datasets", "me/captioned"): captioned(root / "captioned"),
    }


def test_every_layout_reads_the_same_streamed_and_fetched(hub, tmp_path):
    hub.repositories = repositories(tmp_path / "r")
    specs = [f"hf:{id}" + ("?caption=captions" if "captions" in id else "") for _, id in hub.repositories]
    joined = [f"{spec}{'&' if '?' in spec else '?'}stream=yes" for spec in specs]
    found = reads(hub, tmp_path, *joined, *specs)
    streamed, fetched = found[: len(specs)], found[len(specs) :]
    assert [line["code"] for line in found] == [0] * len(found), found
    assert not any(line["kept"] for line in streamed)
    assert all(line["kept"] for line in fetched)
    for one, two in zip(streamed, fetched, strict=True):
        assert {**one, "spec": "", "notes": [], "kept": []} == {**two, "spec": "", "notes": [], "kept": []}, one["spec"]
    notes = {line["spec"]: line["notes"] for line in streamed}
    assert "reads all" in notes.pop("hf:me/arrow?stream=yes")[0]
    assert not any(notes.values())


def test_a_stream_that_was_killed_goes_on_to_the_result_of_a_fetched_split(hub, tmp_path):
    hub.repositories = {name: root for name, root in repositories(tmp_path / "r").items() if name[1] in SETS}
    one, two = tmp_path / "streamed", tmp_path / "fetched"

    def zero_shot(place, ending, *more):
        sets = [part for name in SETS for part in ("-d", f"hf:{name}{ending}")]
        return command(place, "zeroshot", "-m", "tiny-clip", *sets, "--batch-size", 4, "--workers", 1, *more)

    def kill_later(process):
        def kill(path):
            if path == SECOND and any(one.rglob("*.safetensors")):
                os.kill(process, signal.SIGKILL)

        hub.before = kill

    (killed,) = together(hub, tmp_path, zero_shot(one, "?stream=yes"), rows=16, meanwhile=kill_later)
    assert killed.returncode == -signal.SIGKILL
    hub.before = lambda path: None
    done = sorted((one / "cache" / "features").rglob("*.safetensors"))
    assert len(done) >= 2
    rows = [len(load_file(path)["row"]) for path in done]
    streamed, fetched = together(hub, tmp_path, zero_shot(one, "?stream=yes"), zero_shot(two, ""), rows=16)
    assert (streamed.returncode, fetched.returncode) == (0, 0), streamed.stderr + fetched.stderr
    left = IMAGES - sum(rows)
    assert f"features: {left} images encoded, {IMAGES - left} from the store" in streamed.stderr
    assert not streamed.kept
    assert fetched.kept
    assert streamed.stdout.replace(str(one), str(two)) == fetched.stdout
    results = [path for path in (two / "out" / "runs").rglob("*") if path.name in {"result.json", "samples.parquet"}]
    assert len(results) == 2 * len(SETS)
    for path in results:
        assert path.read_bytes() == (one / path.relative_to(two)).read_bytes(), path
    features = sorted((two / "cache" / "features").rglob("*.safetensors"))
    assert {len(load_file(path)["row"]) for path in features} <= {4, 8, 12}, "units of two batches"
    for path in features:
        ours, theirs = load_file(one / path.relative_to(two)), load_file(path)
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_stream_that_breaks_off_is_one_error(hub, tmp_path):
    root = many(tmp_path / "many")
    faults = {"busy": 429, "gone": 404, "shut": 403, "cut": 0}
    for name, status in faults.items():
        hub.repositories["datasets", f"me/{name}"] = root
        hub.faults[f"me/{name}", SECOND] = (6, status)  # its footer and its five row groups of labels still come
    found = dict(zip(faults, reads(hub, tmp_path, *(f"hf:me/{name}?stream=yes" for name in faults)), strict=True))
    assert {name: line["code"] for name, line in found.items()} == dict.fromkeys(faults, 4), found
    assert all(line["read"] >= IMAGES // 4 for line in found.values()), "it broke off before the images"
    assert "429" in found["busy"]["what"]
    assert "lacks a file" in found["gone"]["what"]
    assert "hf auth login" in found["shut"]["fix"]
    for name in ("busy", "shut", "cut"):
        assert "resumes where it stopped" in found[name]["fix"]


def test_what_does_not_fit_on_the_disk_is_streamed_and_offline_needs_a_network(hub, tmp_path):
    hub.repositories = {("datasets", "me/many"): many(tmp_path / "many")}
    full = 10**18
    streamed, fetched, here = reads(
        hub, tmp_path, ("hf:me/many", full), ("hf:me/many?stream=no", full), ("hf:me/many", full)
    )
    assert [streamed["code"], fetched["code"], here["code"]] == [0, 0, 0], streamed
    assert "but only 0 bytes can be used: it is streamed" in streamed["notes"][0]
    assert not streamed["kept"]
    assert fetched["kept"]
    assert here["notes"] == []
    assert streamed["images"] == fetched["images"] == here["images"]
    ranges = [tuple(map(int, wanted.removeprefix("bytes=").split("-"))) for wanted in hub.ranges]
    small = [stop - start for start, stop in ranges if stop - start < 1000]
    assert len(small) == IMAGES // 10, "the labels of a row group come without its images"
    shutil.rmtree(tmp_path / "hf")
    for line in reads(hub, tmp_path, "hf:me/many?stream=yes", "hf:me/many", HF_HUB_OFFLINE="1"):
        assert (line["code"], line["read"]) == (4, 0)
        assert "needs a network" in line["what"]
        assert "hf download me/many --repo-type dataset" in line["fix"]
