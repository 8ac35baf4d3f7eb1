"""Heads that another package declares: chosen by name, in the record, kept or refused; and what declares nonsense."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.plugins import plugins
from vlmbench.heads.spec import HeadData, HeadSpec, LinearHead, heads, load_head
from vlmbench.tasks.probe.fit import ProbeRequest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "metrics" / "sample_package"


@pytest.fixture(autouse=True)
def sample(monkeypatch):
    """The sample package is installed."""
    monkeypatch.syspath_prepend(str(SAMPLE))
    heads.cache_clear()
    plugins.cache_clear()
    yield
    heads.cache_clear()
    plugins.cache_clear()


def vlmbench(*words: object, code: int = 0) -> str:
    """A command: its stdout, or what it says where it fails."""
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("heads")


def probe(place: Path, *words: object, code: int = 0) -> str:
    call = ["linear-probe", "-m", "tiny-clip", "-d", "digits", "--limit", 200, "--no-figures", "--json", *words]
    return vlmbench(*call, "-o", place / "out", "--cache-dir", place / "cache", code=code)


def record(run: dict) -> dict:
    return json.loads((Path(run["path"]) / "result.json").read_text())


def test_a_head_of_another_package_draws_the_curve_and_is_in_the_record(place):
    """Class means against the same by hand: nearest by Euclidean distance, on features before the projection."""
    found = json.loads(probe(place, "--head", "nearest-mean", "--shots", "2,all", "--seeds", 2))["results"]
    assert [(run["system"], run["shots"]) for run in found] == [("tiny-clip+nearest-mean", k) for k in (2, None)]
    for run in found:
        protocol = record(run)["protocol"]
        assert (protocol["probe"], protocol["settings"], protocol["validation"]) == (
            "nearest-mean",
            {"scale": 1.0},
            "none",
        )
        assert not {"c", "solver", "refit", "tolerance"} & set(protocol)
    assert record(found[1])["detail"]["head"] == {"classes": 10}
    assert "curve" in record(found[1])["detail"]
    vlmbench("verify", place / "out")

    from vlmbench.session.context import Context
    from vlmbench.session.images import Selection
    from vlmbench.session.session import Session

    session = Session(Context(cache_dir=place / "cache", device="cpu"))
    parts = [Selection("digits", split, 200) for split in ("train", "test")]
    train, test = (session.features("tiny-clip", part, layer="pre_proj") for part in parts)
    means = np.stack([np.asarray(train.x)[train.y == label].mean(axis=0) for label in range(10)])
    nearest = np.linalg.norm(np.asarray(test.x)[:, None] - means[None], axis=2).argmin(axis=1)
    assert found[1]["metrics"]["accuracy"]["value"] == pytest.approx((nearest == test.y).mean())


def test_a_linear_head_is_saved_and_predicts(place, colours):
    kept = place / "kept.safetensors"
    call = ["linear-probe", "-m", "tiny-clip", "-d", f"folder:{colours}", "--head", "nearest-mean", "--json"]
    vlmbench(*call, "--save-probe", kept, "-o", place / "own", "--cache-dir", place / "cache")
    found = json.loads(vlmbench("predict", "-p", kept, colours / "test", "--json", "--cache-dir", place / "cache"))
    right = [one["label"] == Path(one["image"]).parent.name for one in found["predictions"]]
    assert len(right) == 15
    assert np.mean(right) > 0.8


def test_a_head_gets_text_and_validation_images_where_it_asks_for_them(place):
    (run,) = json.loads(probe(place, "--head", "neighbour"))["results"]
    found = record(run)
    assert (found["protocol"]["layer"], found["protocol"]["normalize"]) == ("proj", True)
    assert found["protocol"]["validation"] == "own split"
    assert {"prompts_sha256", "logit_scale"} <= set(found["protocol"])
    assert found["detail"]["head"]["weight"] in found["protocol"]["settings"]["weights"]


def test_several_heads_give_a_record_and_a_row_each_and_labels_to_match_the_probe(place):
    """Features are extracted once; every figure is recomputed from its samples, the gate compares each head."""
    heads = ["tip-adapter", "logistic", "prototype", "lp++?steps=20"]
    words = [word for head in heads for word in ("--head", head)]
    out = place / "several"
    call = ["linear-probe", "-m", "tiny-clip", "-d", "digits", "--limit", 200, "--no-figures", "--json", *words]
    done = CliRunner().invoke(
        app, [*map(str, call), "--shots", "1,4", "--seeds", "2", "-o", str(out), "--cache-dir", str(place / "cache")]
    )
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["results"]
    systems = ["tiny-clip", "tiny-clip+tip-adapter", "tiny-clip+prototype", "tiny-clip+lp++?steps=20"]
    assert [(run["system"], run["shots"]) for run in found] == [(name, k) for name in systems for k in (1, 4)]
    details = [record(run)["detail"] for run in found]
    assert all("labels_to_match" in detail for detail in details)
    assert ["labels_to_match_probe" in detail for detail in details] == [False] * 2 + [True] * 6
    assert "to match logistic with 4 per class" in details[-1]["labels_to_match_probe"]["sentence"]
    assert record(found[-1])["protocol"]["settings"] == {"steps": 20}
    table = (out / "tables" / "classification.csv").read_text("utf-8")
    assert all(name in table for name in systems)
    assert "labels_to_match_probe" in table
    vlmbench("verify", out)
    vlmbench("check", "--baseline", out, out)


def test_the_same_heads_from_python_and_settings_that_are_refused(place):
    import vlmbench as package

    run = {"out": place / "python", "cache_dir": place / "cache", "device": "cpu", "limit": 200}
    found = package.linear_probe("tiny-clip", "digits", head=["prototype", "knn?k=3"], **run)
    assert [one.system for one in found] == ["tiny-clip+prototype", "tiny-clip+knn?k=3"]
    for head, error, said in (
        ("knn?k=0", UsageError, "k cannot be 0"),
        ("clap?epochs=1.5", UsageError, "epochs cannot be 1.5"),
        ("tip-adapter?choose=train", UsageError, "choose cannot be train"),
        ("tip-adapter?gamma=1", UsageError, "no setting gamma"),
        ("logistic?c=1", UsageError, "no setting c"),
        (["logistic", "nothing"], AbsentError, "no such head: nothing"),
    ):
        with pytest.raises(error, match=re.escape(said)):
            package.linear_probe("tiny-clip", "digits", head=head, **run)
    with pytest.raises(UsageError, match="saves one probe"):
        package.linear_probe("tiny-clip", "digits", head=["logistic", "prototype"], save_probe=place / "x", **run)
    (zero,) = package.linear_probe("tiny-clip", "digits", init="zeroshot", c=1.0, **run)
    assert zero.system == "tiny-clip+zeroshot-init"


@pytest.mark.parametrize("head", ["prototype", "lp++?steps=20", "clap?epochs=2", "blend", "zeroshot-init"])
def test_every_linear_head_is_saved_and_predicts_what_it_did_on_the_test_set(place, head):
    from vlmbench.heads.probe_file import load_probe
    from vlmbench.records.store import read_run, read_samples
    from vlmbench.session.context import Context
    from vlmbench.session.images import Selection
    from vlmbench.session.session import Session

    kept = place / "linear.safetensors"
    (run,) = json.loads(probe(place, "--head", head, "--save-probe", kept))["results"]
    saved = load_probe(kept)
    session = Session(Context(cache_dir=place / "cache", device="cpu"))
    test = session.features("tiny-clip", Selection("digits", "test", 200), layer=saved.layer)
    samples = read_samples(read_run(Path(run["path"]) / "result.json"))
    found = saved.probabilities(test.x)
    np.testing.assert_array_equal(found.argmax(axis=1), samples["prediction"])
    np.testing.assert_allclose(found.max(axis=1), samples["confidence"], atol=1e-5)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--head", "neighbour", "--save-probe", "x.safetensors"], 2, "--save-probe only saves heads that are linear"),
        (["--head", "nearst-mean"], 4, "did you mean nearest-mean?"),
        (["--head", "nearest-mean", "--c", "3"], 2, "--c has no effect"),
        (["--head", "nearest-mean", "--init", "zeroshot"], 2, "--init has no effect"),
        (["-m", "pixels", "--head", "neighbour"], 2, "cannot compare images with texts"),
    ],
)
def test_what_a_head_has_no_use_for_is_refused(place, words, code, said):
    assert said in probe(place, *words, code=code)


def test_settings_of_logistic_are_refused_through_the_api_too(tmp_path):
    from vlmbench import linear_probe

    with pytest.raises(UsageError, match="refit= is for the head logistic, not nearest-mean"):
        linear_probe("tiny-clip", "digits", head="nearest-mean", refit=True, out=tmp_path)
    with pytest.raises(UsageError, match="init= is for the head logistic, not nearest-mean"):
        linear_probe("tiny-clip", "digits", head="nearest-mean", init="zeroshot", out=tmp_path)


def test_several_labels_are_refused_where_a_head_takes_one(place, tmp_path):
    y = np.eye(4, dtype=np.uint8)[np.arange(40) % 4]
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.savez(tmp_path / "f.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    call = ["linear-probe", "--features", tmp_path / "f.npz", "--head", "nearest-mean", "-o", tmp_path]
    assert "the head nearest-mean needs one label per image" in vlmbench(*call, code=2)
    several = ProbeRequest(heads=["logistic", "zeroshot-init", "lp++"])
    several.check_labels("voc", multilabel=False)
    with pytest.raises(UsageError, match=re.escape("the head lp++ needs one label per image")):
        several.check_labels("voc", multilabel=True)


def test_every_head_is_in_the_documentation():
    text = (ROOT / "docs" / "heads.md").read_text("utf-8")
    for name in heads():
        assert name in ("nearest-mean", "neighbour") or text.count(f"`{name}`") >= 2, name


def test_the_own_head_is_found_without_being_imported(monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(SAMPLE)])
    assert next(iter(heads().items())) == ("logistic", "vlmbench.heads.probe:SPEC")
    assert "zeroshot-init" in heads()
    assert load_head("logistic").linear
    code = (
        "import sys; from vlmbench.heads.spec import heads; list(heads()); print('vlmbench.heads.probe' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AbsentError, match="no such head: logistc"):
        load_head("logistc")


def test_validation_ranks_by_the_deciding_figure_and_then_by_log_loss():
    x, y = np.eye(2), np.array([0, 1])
    data = HeadData(x=x, y=y, classes=2, x_val=x, y_val=y, metric="accuracy")
    sure, unsure, wrong = (LinearHead(scale * np.eye(2), np.zeros(2)) for scale in (9.0, 0.1, -1.0))
    assert max((wrong, unsure, sure), key=lambda head: (data.validate(head)[0], -data.validate(head)[1])) is sure
    assert data.validate(unsure)[0] == 1.0
    assert data.validate(wrong)[0] == 0.0
    with pytest.raises(ValueError, match="no validation images"):
        HeadData(x=x, y=y, classes=2, metric="accuracy").validate(sure)


@pytest.mark.parametrize("change", [{"name": "Has Blanks"}, {"definition": " "}, {"source": ""}])
def test_what_is_not_declared_is_named(change):
    facts = {"name": "x", "definition": "d", "source": "s", "fit": lambda data: None}
    with pytest.raises(InputError, match=f"not fully declared: {next(iter(change))}"):
        HeadSpec(**{**facts, **change})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("x = broken:SPEC", "cannot be loaded"),
        ("x = broken:OTHER", "it is not a HeadSpec of that name"),
        ("logistic = broken:OTHER", "vlmbench has a head of this name"),
    ],
)
def test_a_package_that_declares_nonsense_is_named(entry, said, tmp_path, monkeypatch):
    facts = tmp_path / "broken-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[vlmbench.heads]\n{entry}\n")
    (tmp_path / "broken.py").write_text("OTHER = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    heads.cache_clear()
    plugins.cache_clear()
    call = ["linear-probe", "-m", "tiny-clip", "-d", "digits", "-o", tmp_path, "--head", entry.partition(" ")[0]]
    caught = vlmbench(*call, code=3)
    assert said in caught
    assert "broken" in caught


def test_the_head_of_contributing_is_one_file(tmp_path):
    """The text is followed literally: the file is put where it says, and the head is listed, fitted and saved."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    code = re.search(r"  ```python\n  # (vlmbench/heads/\w+\.py)\n(.*?)  ```", text, re.DOTALL)
    for item in (ROOT / "vlmbench").iterdir():
        (tmp_path / "vlmbench").mkdir(exist_ok=True)
        if item.name != "heads":
            (tmp_path / "vlmbench" / item.name).symlink_to(item)
    shutil.copytree(ROOT / "vlmbench" / "heads", tmp_path / "vlmbench" / "heads")
    (tmp_path / code[1]).write_text(textwrap.dedent(code[2]), "utf-8")
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (rng.normal(size=(60, 6)) + 4 * np.eye(3, 6)[y]).astype(np.float32)
    np.savez(tmp_path / "f.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    script = """
from pathlib import Path
import vlmbench
print([row["name"] for row in vlmbench.list_heads()])
(run,) = vlmbench.linear_probe(features="f.npz", head="nearest-mean", save_probe="kept", out="out", cache_dir="cache")
print(run.system, run.metrics["accuracy"].value > 0.9, Path("kept").is_file())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    listed, fitted = done.stdout.splitlines()
    assert "nearest-mean" in listed
    assert fitted == "f+nearest-mean True True"
