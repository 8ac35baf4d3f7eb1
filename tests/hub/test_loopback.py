"""The real clients against a hub on loopback: fetch, cache, resume, pin, go offline; and each way it can fail."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_SPEC = importlib.util.spec_from_file_location("hub_server", Path(__file__).with_name("server.py"))
server = importlib.util.module_from_spec(_SPEC)
sys.modules["hub_server"] = server
_SPEC.loader.exec_module(server)


@pytest.fixture
def hub():
    with server.serving(server.Hub()) as running:
        yield running


def environment(hub, tmp_path, **more):
    cleared = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "VLMBENCH_", "TRANSFORMERS_"))
    }
    return {**cleared, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1", **more}


def vlmbench(hub, tmp_path, *arguments, **more):
    places = ["-o", tmp_path / "out", "--cache-dir", tmp_path / "cache", "--json"]
    return subprocess.run(
        [sys.executable, "-m", "vlmbench", *map(str, [*arguments, *places])],
        env=environment(hub, tmp_path, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def png(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(root):
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "blue"])})
    for split, count in (("train", 8), ("test", 6)):
        rows = {
            "image": [{"bytes": png(i), "path": None} for i in range(count)],
            "label": [i % 2 for i in range(count)],
        }
        (root / "data").mkdir(parents=True, exist_ok=True)
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(root / "data" / f"{split}-00000-of-00001.parquet")
    return root


def shards(root):
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        with tarfile.open(root / split / "0.tar", "w") as tar:
            for number in range(6):
                for ending, data in (("png", png(number)), ("cls", str(number % 3).encode())):
                    item = tarfile.TarInfo(f"s{number:04d}.{ending}")
                    item.size = len(data)
                    tar.addfile(item, io.BytesIO(data))
    (root / "classnames.txt").write_text("red circle\nblue square\ngreen dog\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of {c}.\nan image of the {c}\n")
    return root


def pictures(root):
    for split in ("train", "test"):
        for place, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for number in range(2):
                (root / split / name / f"{number}.png").write_bytes(png(place * 2 + number))
    return root


def captioned(root):
    (root / "test").mkdir(parents=True)
    lines = []
    for number in range(4):
        (root / "test" / f"{number}.png").write_bytes(png(number))
        lines.append(
            json.dumps({"file_name": f"{number}.png", "captions": [f"a photo of {w} dog" for w in ("a", "the")]})
        )
    (root / "test" / "metadata.jsonl").write_text("\n".join(lines))
    return root


def test_zero_shot_from_every_layout_and_offline_afterwards(hub, checkpoints, tmp_path):
    hub.repositories = {
        ("models", "me/clip"): checkpoints("clip"),
        ("datasets", "me/parquet"): parquet(tmp_path / "r" / "parquet"),
        ("datasets", "me/shards"): shards(tmp_path / "r" / "shards"),
        ("datasets", "me/pictures"): pictures(tmp_path / "r" / "pictures"),
    }
    sets = [part for name in ("parquet", "shards", "pictures") for part in ("-d", f"hf:me/{name}")]
    done = vlmbench(hub, tmp_path, "zeroshot", "-m", "me/clip", *sets, "--prompts", "dataset")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [result["n"] for result in results] == [6, 6, 4]
    records = [json.loads((Path(result["path"]) / "result.json").read_text()) for result in results]
    assert records[1]["protocol"]["templates"] == ["a photo of {c}.", "an image of the {c}"]
    assert records[1]["protocol"]["classnames"] == ["red circle", "blue square", "green dog"]
    assert records[2]["protocol"]["classnames"] == ["cat", "dog"]
    for record, name in zip(records, ("parquet", "shards", "pictures"), strict=True):
        assert record["dataset"]["revision"] == server.commit_of(hub.repositories["datasets", f"me/{name}"])
        assert record["model"]["revision"] == server.commit_of(checkpoints("clip"))
    assert not any("train" in asked and "resolve" in asked for asked in hub.asked), "a split nobody asked for came too"
    hub.asked.clear()
    again = vlmbench(hub, tmp_path, "zeroshot", "-m", "me/clip", *sets, "--prompts", "dataset", "--offline")
    assert again.returncode == 0, again.stderr
    assert not hub.asked
    assert json.loads(again.stdout) == json.loads(done.stdout)
    assert again.stderr.count("features: 0 images encoded") == 3


def test_probe_and_retrieval_from_a_hub_id_to_a_table(hub, checkpoints, tmp_path):
    hub.repositories = {
        ("models", "me/clip"): checkpoints("clip"),
        ("datasets", "me/parquet"): parquet(tmp_path / "r" / "parquet"),
        ("datasets", "me/captioned"): captioned(tmp_path / "r" / "captioned"),
    }
    probe = vlmbench(hub, tmp_path, "linear-probe", "-m", "me/clip", "-d", "hf:me/parquet")
    assert probe.returncode == 0, probe.stderr
    assert json.loads(probe.stdout)["results"][0]["n"] == 6
    found = vlmbench(hub, tmp_path, "retrieval", "-m", "me/clip", "-d", "hf:me/captioned")
    assert found.returncode == 0, found.stderr
    (result,) = json.loads(found.stdout)["results"]
    assert result["n"] == 4
    assert (tmp_path / "out" / "tables" / "retrieval.csv").is_file()


_PROBE = """
import json, sys
from pathlib import Path
from vlmbench.data.registry import open_dataset
from vlmbench.encoders.resolve import resolve
from vlmbench.foundations.errors import VlmbenchError
cache = Path(sys.argv[1])
for spec in sys.argv[2:]:
    try:
        if spec.startswith("hf:"):
            info = open_dataset(spec, cache).info
            print(json.dumps({"spec": spec, "code": 0, "revision": info.revision}))
        else:
            print(json.dumps({"spec": spec, "code": 0, "revision": resolve(spec, cache).revision}))
    except VlmbenchError as error:
        print(json.dumps({"spec": spec, "code": error.exit_code, "what": error.what, "mend": error.mend}))
"""


def outcomes(hub, tmp_path, *specs, **more):
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(tmp_path / "cache"), *specs],
        env=environment(hub, tmp_path, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {line["spec"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_each_way_a_hub_can_refuse(hub, checkpoints, tmp_path):
    hub.repositories = {("models", "me/clip"): checkpoints("clip"), ("datasets", "me/p"): parquet(tmp_path / "r")}
    for name, status in {
        "gated": (403, "GatedRepo"),
        "locked": (401, ""),
        "busy": (429, ""),
        "broken": (500, ""),
    }.items():
        hub.status["models", f"me/{name}"] = status
        hub.status["datasets", f"me/{name}"] = status
    names = ["me/gated", "me/locked", "me/busy", "me/broken", "me/nothing", "me/clip@nowhere"]
    found = outcomes(hub, tmp_path, *names, *(f"hf:{name}" for name in names[:5]), "hf:me/p@nowhere")
    assert all(line["code"] == 4 for line in found.values()), found
    for prefix in ("", "hf:"):
        assert "gated" in found[f"{prefix}me/gated"]["what"]
        assert "hf auth login" in found[f"{prefix}me/gated"]["mend"]
        assert "hf auth login" in found[f"{prefix}me/locked"]["mend"]
        assert "429" in found[f"{prefix}me/busy"]["what"]
        assert "500" in found[f"{prefix}me/broken"]["what"]
        assert "me/nothing" in found[f"{prefix}me/nothing"]["what"]
    assert "no such revision" in found["me/clip@nowhere"]["what"]
    assert "no such revision" in found["hf:me/p@nowhere"]["what"]


def test_without_a_network(hub, tmp_path):
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    found = outcomes(hub, tmp_path, "me/clip", "hf:me/parquet", **nowhere)
    assert all(line["code"] == 4 for line in found.values()), found
    assert found["me/clip"]["mend"].endswith("hf download me/clip")
    assert found["hf:me/parquet"]["mend"].endswith("hf download me/parquet --repo-type dataset")


def test_a_cut_download_is_resumed_and_a_damaged_one_removed(hub, checkpoints, tmp_path):
    from safetensors.numpy import load_file, save_file

    large = shutil.copytree(checkpoints("clip"), tmp_path / "large")
    tensors = load_file(large / "model.safetensors")
    save_file({**tensors, "padding": np.zeros(26_000_000, np.uint8)}, large / "model.safetensors")  # several chunks
    hub.repositories = {("models", "me/clip"): large}
    hub.cut = {"model.safetensors"}
    first = outcomes(hub, tmp_path, "me/clip")["me/clip"]
    again = outcomes(hub, tmp_path, "me/clip")["me/clip"]
    assert again["code"] == 0
    assert first["code"] in {0, 4}
    assert any(not wanted.startswith("bytes=0-") for wanted in hub.ranges), "nothing was resumed"
    other = tmp_path / "other"
    hub.wrong = {"model.safetensors"}
    damaged = outcomes(hub, other, "me/clip")["me/clip"]
    assert damaged["code"] == 4
    assert "SHA-256" in damaged["what"]
    hub.wrong = set()
    assert outcomes(hub, other, "me/clip")["me/clip"]["code"] == 0


def test_a_pinned_revision_stays_when_the_branch_moves_on(hub, tmp_path):
    root = parquet(tmp_path / "r" / "data")
    hub.repositories = {("datasets", "me/moving"): root}
    before = server.commit_of(root)
    assert outcomes(hub, tmp_path, "hf:me/moving")["hf:me/moving"]["revision"] == before
    (root / "README.md").write_text("# changed\n")
    after = server.commit_of(root)
    pinned = f"hf:me/moving@{before}"
    found = outcomes(hub, tmp_path, "hf:me/moving", pinned)
    assert found["hf:me/moving"]["revision"] == after != before
    assert found[pinned] == {"spec": pinned, "code": 0, "revision": before}


def test_what_hf_download_fetched_is_found_offline(hub, checkpoints, tmp_path):
    hub.repositories = {
        ("models", "me/clip"): checkpoints("clip"),
        ("datasets", "me/parquet"): parquet(tmp_path / "r" / "parquet"),
    }
    fetch = "from huggingface_hub import snapshot_download as s; s('me/clip'); s('me/parquet', repo_type='dataset')"
    command = [sys.executable, "-c", fetch]
    subprocess.run(command, env=environment(hub, tmp_path), check=True, capture_output=True, timeout=300)
    hub.asked.clear()
    found = outcomes(hub, tmp_path, "me/clip", "hf:me/parquet", HF_HUB_OFFLINE="1")
    assert [line["code"] for line in found.values()] == [0, 0], found
    assert found["hf:me/parquet"]["revision"] == server.commit_of(tmp_path / "r" / "parquet")
    assert not hub.asked
