"""Templates and class names of a listed set from its copy in CLIP_benchmark's collection, served as it lies there."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import hub_server as server
import pytest
from hub_clients import command, environment, together
from hub_repositories import parquet, png

from vlmbench.data.catalogue import listed

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TEMPLATES = "a photo of a {c}.\na blurry photo of a {c}.\na photo of the big {c}.\n"
MODEL = "openai/clip-vit-base-patch32"
COPY = "clip-benchmark/wds_vtab-cifar10"


def cifar10(root):
    """Parquet files of columns ``img`` and ``label``, and no templates beside them, as ``mteb/cifar10`` has them."""
    import datasets

    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES))})
    (root / "data").mkdir(parents=True)
    for split, count in (("train", 40), ("test", 20)):
        rows = {
            "img": [{"bytes": png(i), "path": None} for i in range(count)],
            "label": [i % len(NAMES) for i in range(count)],
        }
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            root / "data" / f"{split}-00000-of-00001.parquet"
        )
    return root


def copy(root, names=NAMES, templates=TEMPLATES):
    """A WebDataset repository as `clip_benchmark_export_wds` writes it: ``nshards.txt`` beside the shards."""
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        (root / split / "nshards.txt").write_text("1")
        with tarfile.open(root / split / "0.tar", "w") as tar:
            for number in range(4):
                for ending, data in {"cls": str(number).encode(), "webp": png(number)}.items():
                    item = tarfile.TarInfo(f"s{number:07d}.{ending}")
                    item.size = len(data)
                    tar.addfile(item, io.BytesIO(data))
    (root / "classnames.txt").write_text("\n".join(names) + "\n")
    if templates is not None:
        (root / "zeroshot_classification_templates.txt").write_text(templates)
    return root


@pytest.fixture
def served(hub, checkpoints, tmp_path):
    """The hub with the model, CIFAR-10 at the commit that the catalogue pins, and its copy."""
    entry = listed()["cifar10"]
    assert (entry.hub_id, entry.wds_id) == ("mteb/cifar10", COPY)
    hub.repositories = {
        ("models", MODEL): checkpoints("clip"),
        ("datasets", entry.hub_id): cifar10(tmp_path / "r" / "cifar10"),
        ("datasets", COPY): copy(tmp_path / "r" / "copy"),
    }
    hub.commits = {("datasets", entry.hub_id): entry.revision}
    return hub


def record(done):
    (result,) = json.loads(done.stdout)["results"]
    return json.loads((Path(result["path"]) / "result.json").read_text())


def of_copy(asked):
    return sorted(line.partition(COPY)[2] for line in asked if COPY in line and "resolve" in line)


def test_the_first_example_of_the_readme_is_true_and_so_is_it_offline(served, tmp_path):
    example = f"vlmbench zeroshot     -m {MODEL} -d cifar10 --prompts dataset\n"
    assert example in (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    line = command(tmp_path, *example.split()[1:])
    root = served.repositories["datasets", COPY]
    commit = server.commit_of(root)
    (online,) = together(served, tmp_path, line)
    assert online.returncode == 0, online.stderr
    fetched = f"/resolve/{commit}/zeroshot_classification_templates.txt"
    assert set(of_copy(served.asked)) == {fetched}, served.asked
    first = record(online)
    assert first["protocol"]["prompts"] == "dataset"
    assert first["protocol"]["templates"] == TEMPLATES.splitlines()
    assert first["protocol"]["classnames"] == list(NAMES)
    assert first["protocol"]["prompts_source"] == {
        "repository": COPY,
        "revision": commit,
        "file": "zeroshot_classification_templates.txt",
        "sha256": hashlib.sha256(TEMPLATES.encode()).hexdigest(),
    }
    assert first["dataset"]["revision"] == listed()["cifar10"].revision

    (root / "zeroshot_classification_templates.txt").write_text("another {c}\n")  # the branch moves on
    served.asked.clear()
    offline, again = together(served, tmp_path, [*line, "--offline"], line)
    assert (offline.returncode, again.returncode) == (0, 0), offline.stderr + again.stderr
    assert "features: 0 images encoded" in offline.stderr
    assert record(offline) == record(again) == first
    assert not of_copy(served.asked)

    probe = ("linear-probe", "-m", MODEL, "-d", "cifar10", "--shots", "1,2", "--seeds", 2, "--prompts", "dataset")
    (few,) = together(served, tmp_path, command(tmp_path, *probe, "--no-figures"))
    assert few.returncode == 0, few.stderr
    detail = json.loads((Path(json.loads(few.stdout)["results"][0]["path"]) / "result.json").read_text())["detail"]
    told = {key: value for key, value in first["protocol"].items() if key.startswith(("prompts", "templates"))}
    assert detail["curve"]["zero_shot_prompts"] == told
    assert detail["curve"]["zero_shot"] == first["metrics"]["accuracy"]["value"]


def test_class_names_of_the_copy_come_in_the_order_of_the_dataset(served, tmp_path):
    root = served.repositories["datasets", COPY]
    (root / "classnames.txt").write_text("\n".join(name.title() for name in reversed(NAMES)))
    line = command(tmp_path, "zeroshot", "-m", MODEL, "-d", "cifar10", "--classnames", "wds")
    (done,) = together(served, tmp_path, line)
    assert done.returncode == 0, done.stderr
    protocol = record(done)["protocol"]
    assert protocol["classnames"] == [name.title() for name in NAMES]
    assert protocol["classnames_source"] == {
        "repository": COPY,
        "revision": server.commit_of(root),
        "file": "classnames.txt",
        "sha256": hashlib.sha256((root / "classnames.txt").read_bytes()).hexdigest(),
    }
    (offline,) = together(served, tmp_path, [*line, "--offline"])
    assert record(offline)["protocol"] == protocol


def test_where_there_are_none_the_run_ends_before_an_image_is_encoded(served, tmp_path):
    served.repositories["datasets", COPY] = copy(tmp_path / "r" / "bare", (*NAMES[:9], "lorry"), None)
    served.repositories["datasets", "me/plain"] = parquet(tmp_path / "r" / "plain")
    asked = [
        ("-d", "cifar10", "--prompts", "default,dataset"),
        ("-d", "cifar10", "--classnames", "wds"),
        ("-d", "hf:me/plain", "--prompts", "dataset"),
        ("-d", "hf:me/plain", "--classnames", "wds"),
    ]
    lines = [command(tmp_path, "zeroshot", "-m", MODEL, *more) for more in asked]
    done = together(served, tmp_path, *lines)
    assert [one.returncode for one in done] == [4, 3, 4, 4], [one.stderr for one in done]
    none, other, plain, unlisted = (one.stderr for one in done)
    assert f"cifar10 has no templates of its own, nor has its copy {COPY}" in none
    assert "a set (default, name, clip7, clip80)" in none
    assert "classes without a name: truck; names without a class: lorry" in other
    assert "hf:me/plain has no templates of its own" in plain
    assert "no copy of it in CLIP_benchmark's collection is known" in unlisted
    assert not list((tmp_path / "out").rglob("result.json"))
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("fault", "what", "fix"),
    [
        (None, f"no dataset {COPY} on the hub", "hf auth login"),
        ((429, ""), "429", "wait"),
        ((500, ""), "500", f"hf download {COPY} zeroshot_classification_templates.txt --repo-type dataset"),
    ],
)
def test_a_copy_that_cannot_be_had_is_named(served, tmp_path, fault, what, fix):
    if fault is None:
        del served.repositories["datasets", COPY]
    else:
        served.status["datasets", COPY] = fault
    (done,) = together(
        served, tmp_path, command(tmp_path, "zeroshot", "-m", MODEL, "-d", "cifar10", "--prompts", "dataset")
    )
    said = " ".join(done.stderr.split())
    assert done.returncode == 4
    assert f"zeroshot_classification_templates.txt of cifar10 comes from {COPY}: " in said
    assert what in said
    assert fix in said


def test_what_hf_download_fetched_is_found_without_a_network(served, tmp_path):
    model = f"from huggingface_hub import snapshot_download as s, hf_hub_download as h; s({MODEL!r})"
    data = f"s('mteb/cifar10', repo_type='dataset', revision={listed()['cifar10'].revision!r})"
    templates = f"h({COPY!r}, 'zeroshot_classification_templates.txt', repo_type='dataset')"
    line = command(tmp_path, "zeroshot", "-m", MODEL, "-d", "cifar10", "--prompts", "dataset", "--offline")
    found = []
    for code in (f"{model}; {data}", f"{model}; {templates}"):
        env = environment(served, tmp_path)
        subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, timeout=300)
        found += together(served, tmp_path, line)
    without, done = found
    assert (without.returncode, done.returncode) == (4, 0), done.stderr
    assert f"hf download {COPY} zeroshot_classification_templates.txt --repo-type dataset" in without.stderr
    commit = server.commit_of(served.repositories["datasets", COPY])
    assert record(done)["protocol"]["prompts_source"]["revision"] == commit
