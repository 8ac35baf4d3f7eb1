"""The real clients against a hub on loopback: fetch, cache, resume, pin, go offline; and each way it can fail."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import hub_server as server
import numpy as np
import pytest
from hub_clients import command, environment, in_turn, outcomes, together
from hub_repositories import captioned, parquet, pictures, png, shards

from vlmbench.data.catalogue import listed
from vlmbench.data.open import open_dataset
from vlmbench.encoders.checkpoints import bundled_directory


def test_tables_from_every_layout_and_offline_afterwards(hub, checkpoints, tmp_path):
    hub.repositories = {
        ("models", "me/clip"): checkpoints("clip"),
        ("datasets", "me/parquet"): parquet(tmp_path / "r" / "parquet"),
        ("datasets", "me/shards"): shards(tmp_path / "r" / "shards"),
        ("datasets", "me/pictures"): pictures(tmp_path / "r" / "pictures"),
        ("datasets", "me/captioned"): captioned(tmp_path / "r" / "captioned"),
        ("datasets", "me/streamed"): parquet(tmp_path / "r" / "streamed", files=2),
    }
    made = tmp_path / "made.json"
    made.write_text(json.dumps({f"test-{number}/{number}.png": "a photo of a dog" for number in range(4)}))
    sets = [part for name in ("parquet", "shards", "pictures") for part in ("-d", f"hf:me/{name}")]
    commands = [
        command(tmp_path, "zeroshot", "-m", "me/clip", *sets),
        command(tmp_path, "linear-probe", "-m", "me/clip", "-d", "hf:me/parquet"),
        command(tmp_path, "retrieval", "-m", "me/clip", "-d", "hf:me/captioned"),
        command(tmp_path, "caption-eval", "-r", "hf:me/captioned", "-p", f"mine={made}", "--metrics", "bleu,cider"),
        command(tmp_path, "zeroshot", "-m", "me/clip", "-d", "hf:me/shards", "--prompts", "dataset"),
        command(tmp_path, "zeroshot", "-m", "me/clip", "-d", "hf:me/streamed?stream=yes"),
    ]
    online = together(hub, tmp_path, *commands)
    assert [done.returncode for done in online] == [0] * 6, [done.stderr for done in online]
    results = [json.loads(done.stdout)["results"] for done in online]
    assert [[result["n"] for result in found] for found in results] == [[6, 6, 4], [6], [4], [4], [6], [6]]
    fetched = [asked for asked in hub.asked if "resolve" in asked and "me/parquet" not in asked]
    assert not any("train" in asked for asked in fetched), "a split nobody asked for came too"
    own, *records = [
        json.loads((Path(found["path"]) / "result.json").read_text()) for found in [*results[4], *results[0]]
    ]
    assert own["protocol"]["templates"] == ["a photo of {c}.", "an image of the {c}"]
    assert "prompts_source" not in own["protocol"], "they are of the dataset's own revision"
    assert records[1]["protocol"]["classnames"] == ["red circle", "blue square", "green dog"]
    assert records[2]["protocol"]["classnames"] == ["cat", "dog"]
    for record, name in zip(records, ("parquet", "shards", "pictures"), strict=True):
        assert record["dataset"]["revision"] == server.commit_of(hub.repositories["datasets", f"me/{name}"])
        assert record["model"]["revision"] == server.commit_of(checkpoints("clip"))
    for table in ("classification", "retrieval", "captions"):
        assert (tmp_path / "out" / "tables" / f"{table}.csv").is_file()
    hub.asked.clear()
    offline = together(hub, tmp_path, *([*line, "--offline"] for line in commands))
    assert [done.returncode for done in offline] == [0] * 6, [done.stderr for done in offline]
    assert not hub.asked
    assert [json.loads(done.stdout)["results"] for done in offline] == results
    assert [offline[place].stderr.count("features: 0 images encoded") for place in (0, -1)] == [3, 1]
    assert not [path for path in (tmp_path / "hf").rglob("*streamed*") if path.suffix != ".lock"]


def test_listed_sets_streamed_the_binary_one_at_its_pinned_commit_and_by_roc_auc(hub, tmp_path):
    entry = listed()["patch_camelyon"]
    root = shards(
        tmp_path / "r",
        tars=5,
        classes=2,
        extra=lambda i: {"webp": png(i // 2, shift=40 * (i % 2)), "cls": str(i % 2).encode()},
    )
    hub.repositories = {("datasets", entry.hub_id): root}
    hub.commits = {("datasets", entry.hub_id): entry.revision}
    import datasets

    said = {
        f"caption_{n}": (datasets.Value("string"), lambda i, n=n: f"dog number {i} seen {n} times") for n in range(5)
    }
    captions = listed()["flickr8k"]
    assert captions.captions == tuple(said)
    hub.repositories["datasets", captions.hub_id] = parquet(tmp_path / "f", (("test", 6),), **said)
    flickr, scenes = tmp_path / "flickr.json", tmp_path / "scenes.json"
    flickr.write_text(json.dumps({f"test-{i}": f"dog number {i} seen 3 times" for i in range(6)}))
    ids = open_dataset("scenes", tmp_path).split("test").ids
    scenes.write_text(json.dumps(dict.fromkeys(ids, "a red square")))
    name, metrics = "patch_camelyon?stream=yes", ("--metrics", "bleu,cider")
    zero_shot, probe, *captioned = together(
        hub,
        tmp_path,
        command(tmp_path, "zeroshot", "-m", "tiny-clip", "-d", name),
        command(tmp_path, "linear-probe", "-m", "tiny-clip", "-d", name, "--shots", "1,2,4,all", "--seeds", 2),
        command(tmp_path, "caption-eval", "-r", "flickr8k?stream=yes", "-p", flickr, *metrics),
        command(tmp_path, "caption-eval", "-r", "scenes", "-p", scenes, *metrics),
    )
    assert [done.returncode for done in captioned] == [0, 0], [done.stderr for done in captioned]
    scored = [json.loads(done.stdout)["results"][0] for done in captioned]
    assert [(result["dataset"], result["n"]) for result in scored] == [("flickr8k", 6), ("scenes", len(ids))]
    assert scored[0]["metrics"]["bleu_4"]["value"] == pytest.approx(1)
    assert (zero_shot.returncode, probe.returncode) == (0, 0), zero_shot.stderr + probe.stderr
    assert not probe.kept
    results = [*json.loads(zero_shot.stdout)["results"], *json.loads(probe.stdout)["results"]]
    assert [result["shots"] for result in results] == [None, 1, 2, 4, None]
    for result in results:
        assert result["dataset"] == "patch_camelyon"
        assert {"roc_auc", "accuracy"} <= set(result["metrics"])
        record = json.loads((Path(result["path"]) / "result.json").read_text())
        assert record["dataset"]["revision"] == entry.revision
        assert record["protocol"]["metric"] == "roc_auc"
    curve = json.loads((Path(results[1]["path"]) / "result.json").read_text())["detail"]["curve"]
    assert curve["metric"] == "roc_auc"
    assert curve["zero_shot"] == results[0]["metrics"]["roc_auc"]["value"]
    table = (tmp_path / "out" / "tables" / "classification.csv").read_text()
    assert "roc_auc" in table


def test_pictures_for_a_report_ask_the_hub_nothing_and_leave_the_process_online(hub, tmp_path):
    hub.repositories = {
        ("datasets", "me/captioned"): captioned(tmp_path / "r" / "captioned"),
        ("datasets", "me/shards"): shards(tmp_path / "r" / "shards"),
    }
    made, asked = tmp_path / "made.json", []
    made.write_text(json.dumps({f"test-{number}/{number}.png": f"a photo of {number} dogs" for number in range(4)}))
    line = command(tmp_path, "caption-eval", "-r", "hf:me/captioned", "-p", f"mine={made}", "--metrics", "bleu")
    first = together(hub, tmp_path, line)
    asked.append(sum(count for name, count in hub.asked.items() if "me/" in name))
    report = command(tmp_path, "compare", tmp_path / "out")
    (drawn,) = together(hub, tmp_path, report)
    asked.append(sum(count for name, count in hub.asked.items() if "me/" in name))
    after = together(hub, tmp_path, report, command(tmp_path, "zeroshot", "-m", "tiny-clip", "-d", "hf:me/shards"))
    assert [done.returncode for done in (*first, drawn, *after)] == [0] * 4, after[-1].stderr
    assert asked[0] == asked[1]
    assert "data:image/" in (tmp_path / "out" / "report.html").read_text("utf-8")


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
        assert "hf auth login" in found[f"{prefix}me/gated"]["fix"]
        assert "hf auth login" in found[f"{prefix}me/locked"]["fix"]
        assert "429" in found[f"{prefix}me/busy"]["what"]
        assert "500" in found[f"{prefix}me/broken"]["what"]
        assert "me/nothing" in found[f"{prefix}me/nothing"]["what"]
    assert "no such revision" in found["me/clip@nowhere"]["what"]
    assert "no such revision" in found["hf:me/p@nowhere"]["what"]


def test_without_a_network(hub, tmp_path):
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    found = outcomes(hub, tmp_path, "me/clip", "hf:me/parquet", **nowhere)
    assert all(line["code"] == 4 for line in found.values()), found
    assert found["me/clip"]["fix"].endswith("hf download me/clip")
    assert found["hf:me/parquet"]["fix"].endswith("hf download me/parquet --repo-type dataset")


def test_a_cut_download_is_resumed_and_a_damaged_one_removed(hub, checkpoints, tmp_path):
    from safetensors.numpy import load_file, save_file

    large = shutil.copytree(checkpoints("clip"), tmp_path / "large")
    tensors = load_file(large / "model.safetensors")
    save_file({**tensors, "padding": np.zeros(26_000_000, np.uint8)}, large / "model.safetensors")  # several chunks
    rows = "data/test-00000-of-00001.parquet"
    hub.repositories = {("models", "me/clip"): large, ("datasets", "me/data"): parquet(tmp_path / "r")}
    hub.cut = {"model.safetensors"}
    first, again = in_turn(hub, tmp_path, "me/clip", "me/clip")
    assert first["code"] in {0, 4}, "the client may resume by itself"
    assert again["code"] == 0
    assert any(not wanted.startswith("bytes=0-") for wanted in hub.ranges), "nothing was resumed"
    hub.wrong = {"model.safetensors", rows}
    model, dataset, model_again, dataset_again = in_turn(hub, tmp_path / "other", *["me/clip", "hf:me/data"] * 2)
    for damaged in (model, dataset):
        assert damaged["code"] == 4
        assert "SHA-256" in damaged["what"]
        assert "run the same command again" in damaged["fix"]
    assert (model_again["code"], dataset_again["code"]) == (0, 0)


def test_a_captioner_s_damaged_weights_are_removed_too(hub, tmp_path):
    hub.repositories = {("models", "me/captioner"): bundled_directory("tiny-captioner")}
    hub.wrong = {"model.safetensors"}
    damaged, again = in_turn(hub, tmp_path, *["captioner:me/captioner"] * 2)
    assert damaged["code"] == 4
    assert "SHA-256" in damaged["what"]
    assert again["code"] == 0


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
    subprocess.run(
        [sys.executable, "-c", fetch], env=environment(hub, tmp_path), check=True, capture_output=True, timeout=300
    )
    hub.asked.clear()
    found = outcomes(hub, tmp_path, "me/clip", "hf:me/parquet", HF_HUB_OFFLINE="1")
    assert [line["code"] for line in found.values()] == [0, 0], found
    assert found["hf:me/parquet"]["revision"] == server.commit_of(tmp_path / "r" / "parquet")
    assert not hub.asked
