"""A short form of ``benchmarks/reliability/records.py``: nothing that was edited or damaged passes in silence."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

import factory

from benchmarks.reliability.tampering import BASELINE, RESULTS, Case, cases, outcome
from vlmbench.cli.app import app
from vlmbench.metrics.classification import metrics_from_samples
from vlmbench.records.store import find_runs, read_samples, write_run

EVERY = 14
"""The long form tries all; here every so many, and each kind."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of each task and the baseline written from them."""
    folder = tmp_path_factory.mktemp("sound")
    out = folder / RESULTS
    factory.write_classification(out, "zeroshot", accuracy=0.8, n=60, classes=4)
    factory.write_classification(out, "linear-probe", accuracy=0.7, n=40, classes=4, shots=2)
    factory.write_captions(out, n=12, metrics=("bleu_4", "rouge_l", "cider"))
    factory.write_retrieval(out, n=40)
    factory.write_ranked(out, metric="map11", n=40)
    run(0, "check", "--update", "--baseline", folder / BASELINE, out)
    return folder


def run(code: int, *arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_what_was_not_touched_passes(sound: Path) -> None:
    run(0, "verify", sound / RESULTS)
    assert json.loads(run(0, "check", "--baseline", sound / BASELINE, sound / RESULTS, "--json"))["notes"] == []


def test_what_was_touched_is_said(sound: Path, tmp_path: Path) -> None:
    chosen: dict[str, list[Case]] = {}
    for case in cases(sound, 4, 2):
        chosen.setdefault(case.kind, []).append(case)
    tried = [case for group in chosen.values() for case in group[::EVERY]]
    assert len(tried) >= 80
    fell = [(case.kind, case.name, why) for case in tried if (why := outcome(case, sound, tmp_path / "work"))]
    assert fell == []


def test_a_key_that_stands_twice_is_refused_wherever_it_stands(sound: Path, tmp_path: Path) -> None:
    text = (sound / BASELINE).read_text("utf-8")
    path = tmp_path / BASELINE
    path.write_text(text.replace('"metrics": {', '"metrics": {}, "metrics": {', 1), "utf-8")
    done = CliRunner().invoke(app, ["check", "--baseline", str(path), str(sound / RESULTS)])
    assert done.exit_code == 3
    assert "metrics occurs twice" in done.stderr


def test_a_figure_that_the_baseline_has_may_not_vanish(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "work")
    [captions] = (tmp_path / "work").glob(f"{RESULTS}/runs/caption-eval-*")
    shutil.rmtree(captions)
    factory.write_captions(tmp_path / "work" / RESULTS, n=12, metrics=("bleu_4", "rouge_l"))
    arguments = ["check", "--baseline", str(sound / BASELINE), str(tmp_path / "work" / RESULTS)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 3
    assert "missing from the new results: cider" in done.stderr
    assert CliRunner().invoke(app, [*arguments, "--allow-missing"]).exit_code == 0


def test_tables_tell_of_a_record_that_was_edited(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / RESULTS, tmp_path / RESULTS)
    [record] = tmp_path.glob(f"{RESULTS}/runs/zeroshot-tiny-clip-digits-*/result.json")
    data = json.loads(record.read_text("utf-8"))
    data["metrics"]["accuracy"]["value"] += 0.01
    record.write_text(json.dumps(data), "utf-8")
    assert "Changed after it was written" in run(0, "compare", tmp_path / RESULTS, "--out", tmp_path / "out")


def test_an_edited_samples_file_stops_compare(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound / RESULTS, tmp_path / RESULTS)
    found = find_runs([tmp_path / RESULTS])
    [other] = [one for one in found if one.record.task == "retrieval"]
    data = bytearray(other.samples_path.read_bytes())
    data[len(data) // 2] ^= 1
    other.samples_path.write_bytes(data)
    with pytest.raises(Exception, match="has changed"):
        read_samples(other)


def other_images(out: Path, n: int, prefix: str, names: list[str]) -> None:
    """A run that calls itself what the baseline's zero-shot run does, of other images or classes."""
    samples = factory.columns(n, len(names), 0.8, 1, prefix)
    metrics = metrics_from_samples(samples, ["accuracy", "mean_per_class_accuracy", "ece", "brier"], 0)
    record = factory.classification_record(
        "zeroshot", "tiny-clip", "digits", n, metrics, protocol={"classnames": names}
    )
    write_run(out, record, samples, factory.RUN)


NAMES = [f"class {index}" for index in range(4)]
UNLIKE = {
    "other classes": (60, "", ["a", "b", "c", "d"]),
    "another order of classes": (60, "", NAMES[::-1]),
    "more classes": (60, "", [*NAMES, "class 4"]),
    "fewer images": (59, "", NAMES),
    "more images": (61, "", NAMES),
    "no common image": (60, "other ", NAMES),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_sound_runs_of_something_else_are_never_passed(name: str, tmp_path: Path) -> None:
    """Nothing was edited here: the new run is of other images or classes, and the gate does not hold it up."""
    other_images(tmp_path / "before", 60, "", NAMES)
    run(0, "check", "--update", "--baseline", tmp_path / BASELINE, tmp_path / "before")
    run(0, "check", "--baseline", tmp_path / BASELINE, tmp_path / "before")
    other_images(tmp_path / "now", *UNLIKE[name])
    done = CliRunner().invoke(app, ["check", "--baseline", str(tmp_path / BASELINE), str(tmp_path / "now"), "--json"])
    noted = done.exit_code == 0 and bool(json.loads(done.stdout)["notes"])
    assert done.exit_code == 3 or noted, done.output
    run(0, "compare", tmp_path / "before", tmp_path / "now", "--out", tmp_path / "out")
    assert "nan" not in (tmp_path / "out" / "tables" / "classification.csv").read_text("utf-8")


@pytest.mark.parametrize("command", ["check", "verify", "compare"])
def test_an_empty_directory_is_no_result(command: str, sound: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    more = ["--baseline", str(sound / BASELINE)] if command == "check" else []
    done = CliRunner().invoke(app, [command, *more, str(tmp_path / "empty")])
    assert (done.exit_code, "no finished run" in done.stderr) == (3, True)
    done = CliRunner().invoke(
        app, ["check", "--update", "--baseline", str(tmp_path / "b.json"), str(tmp_path / "empty")]
    )
    assert (done.exit_code, (tmp_path / "b.json").exists()) == (3, False)
