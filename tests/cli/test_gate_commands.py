"""compare, verify and check as commands: exit codes, JSON, what they name."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

import factory

from vlmbench.cli.app import app
from vlmbench.data import catalogue
from vlmbench.records.store import find_runs

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def results_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    factory.write_classification(out, "zeroshot", accuracy=0.85, n=1000)
    factory.write_classification(out, "linear-probe", accuracy=0.95, n=1000, seed=2)
    factory.write_classification(out, "linear-probe", accuracy=0.75, n=300, shots=4, seed=3)
    return out


@pytest.fixture
def results(results_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results_once, tmp_path / "results"))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert "Traceback" not in done.stderr
        return done.exit_code, done.stdout, done.stderr

    return call


def zeroshot(results: Path) -> Path:
    return next(results.glob("runs/zeroshot-*"))


def replace_zeroshot(results: Path, accuracy: float, **more: object) -> None:
    shutil.rmtree(zeroshot(results))
    factory.write_classification(results, "zeroshot", accuracy=accuracy, seed=77, **{"n": 1000, **more})


# compare


def test_compare_prints_the_contracts_document(cli: Cli, results: Path, tmp_path: Path) -> None:
    code, out, _ = cli("compare", results, "-o", tmp_path / "out", "--json")
    assert code == 0
    document = json.loads(out)
    assert {item["task"] for item in document["results"]} == {"zeroshot", "linear-probe"}
    for item in document["results"]:
        assert set(item) >= {"task", "system", "model", "dataset", "n", "shots", "seed", "signature", "path", "metrics"}
        assert (Path(item["path"]) / "result.json").is_file()
        assert 0 <= item["metrics"]["accuracy"]["low"] <= item["metrics"]["accuracy"]["value"] <= 1
    for path in document["tables"]:
        assert Path(path).is_file()
    names = {Path(path).name for path in document["tables"]}
    assert names >= {f"classification.{ending}" for ending in ("csv", "md", "tex", "html")}


def test_compare_shows_difference_and_intervals(cli: Cli, results: Path) -> None:
    code, out, _ = cli("compare", results, "-o", results)
    assert code == 0
    assert "zero-shot − probe" in out
    assert "[-" in out


def test_few_shot_runs_alone_have_no_table_without_figures(cli: Cli, tmp_path: Path) -> None:
    factory.write_classification(tmp_path, "linear-probe", accuracy=0.75, n=300, shots=4, seed=3)
    code, out, _ = cli("compare", tmp_path, "-o", tmp_path, "--no-report")
    assert code == 0
    assert "Linear probe by labels per class" in out
    assert out.count(" metric ") == 1, "one table, not a second one with the names alone"


def test_compare_names_the_field_it_refuses_for(cli: Cli, results: Path) -> None:
    factory.write_classification(results, "zeroshot", "other", n=200)
    code, _, err = cli("compare", results, "-o", results, "-q")
    assert code == 0
    assert "n (200, 300, 1000)" in " ".join(err.split())
    assert cli("compare", results, "-o", results, "--strict")[0] == 3


@pytest.mark.parametrize("command", ["compare", "verify", "check"])
def test_a_directory_without_runs_is_bad_input(cli: Cli, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = cli(command, tmp_path / "empty")
    assert code == 3
    assert out == ""
    assert "empty" in err


# verify


def test_verify_passes_what_was_written(cli: Cli, results: Path) -> None:
    code, out, _ = cli("verify", results, "--json")
    assert code == 0
    assert json.loads(out) == {"verified": 3, "mismatches": [], "without_checksum": []}


def edit(path: Path, change: Callable[[dict], None]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: r["metrics"]["accuracy"].update(value=0.99), "accuracy"),
        (lambda r: r["metrics"]["ece"].update(low=0.0), "ece low"),
        (lambda r: r["metrics"]["brier"].update(value=r["metrics"]["brier"]["value"] + 1e-6), "brier"),
        (lambda r: r.update(n=999), "n: the record says 999"),
        (lambda r: r["protocol"].update(prompts="other"), "signature"),
        (lambda r: r.update(seed=9), "signature"),
        (lambda r: r["dataset"].update(revision="abc"), "identity"),
        (lambda r: r.update(signature=""), "signature"),
        (lambda r: r.update(samples_sha256="0" * 64), "samples.parquet"),
    ],
)
def test_verify_names_every_kind_of_mismatch(cli: Cli, results: Path, change: Callable, word: str) -> None:
    edit(zeroshot(results) / "result.json", change)
    code, _, err = cli("verify", results)
    assert code == 3
    assert word in " ".join(err.split())
    assert zeroshot(results).name in "".join(err.split())


def test_verify_names_a_changed_byte_and_a_missing_file(cli: Cli, results: Path) -> None:
    samples = zeroshot(results) / "samples.parquet"
    data = bytearray(samples.read_bytes())
    data[len(data) // 3] ^= 1
    samples.write_bytes(bytes(data))
    code, _, err = cli("verify", results)
    assert code == 3
    assert "has changed" in err
    samples.unlink()
    code, _, err = cli("verify", results)
    assert code == 3
    assert "missing" in err


# check


@pytest.fixture
def baseline(cli: Cli, results: Path, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    assert cli("check", "--baseline", path, "--update", results)[0] == 0
    return path


def test_the_baseline_is_reviewable_and_stable(cli: Cli, baseline: Path, results: Path, tmp_path: Path) -> None:
    data = json.loads(baseline.read_text())
    assert list(data["runs"]) == sorted(data["runs"])
    assert "zeroshot tiny-clip digits/test" in data["runs"]
    cli("check", "--baseline", tmp_path / "again.json", "--update", results)
    assert (tmp_path / "again.json").read_bytes() == baseline.read_bytes()
    assert len(baseline.read_bytes()) < 20_000


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_no_change_passes_and_a_drop_fails(cli: Cli, baseline: Path, results: Path, tmp_path: Path, kind: str) -> None:
    against = baseline if kind == "file" else Path(shutil.copytree(results, tmp_path / "before"))
    assert cli("check", "--baseline", against, results)[0] == 0
    replace_zeroshot(results, 0.7)
    code, out, _ = cli("check", "--baseline", against, results, "--json")
    assert code == 1
    document = json.loads(out)
    assert document["regressions"] == 1
    worst = document["changes"][0]
    assert (worst["run"], worst["metric"], worst["verdict"]) == (
        "zeroshot tiny-clip digits/test",
        "accuracy",
        "regression",
    )
    assert worst["p"] < 0.05
    assert worst["low"] < worst["change"] < worst["high"] < 0


def test_file_and_directory_give_the_same_answer(cli: Cli, baseline: Path, results: Path, tmp_path: Path) -> None:
    before = Path(shutil.copytree(results, tmp_path / "before"))
    replace_zeroshot(results, 0.8)
    answers = [json.loads(cli("check", "--baseline", path, results, "--json")[1]) for path in (baseline, before)]
    assert answers[0] == answers[1]


def test_a_drop_within_tolerance_or_chance_passes(cli: Cli, baseline: Path, results: Path) -> None:
    replace_zeroshot(results, 0.78)
    assert cli("check", "--baseline", baseline, results)[0] == 1
    assert cli("check", "--baseline", baseline, results, "--tolerance", "accuracy=0.2")[0] == 0
    assert cli("check", "--baseline", baseline, results, "--tolerance", "0.2")[0] == 0
    replace_zeroshot(results, 0.845)
    assert cli("check", "--baseline", baseline, results)[0] == 0


def test_without_images_the_tolerance_decides_alone(cli: Cli, baseline: Path, results: Path) -> None:
    data = json.loads(baseline.read_text())
    for entry in data["runs"].values():
        entry["samples"] = {"ids": "", "columns": {}}
    del data["sha256"]  # as an earlier version wrote it
    data["runs"]["zeroshot tiny-clip digits/test"]["metrics"]["accuracy"] += 0.002
    baseline.write_text(json.dumps(data))
    code, out, _ = cli("check", "--baseline", baseline, results, "--json")
    assert code == 1
    assert json.loads(out)["changes"][0]["p"] is None
    assert cli("check", "--baseline", baseline, results, "--tolerance", "0.01")[0] == 0


def test_a_named_metric_is_gated_and_lower_is_better_for_ece(cli: Cli, baseline: Path, results: Path) -> None:
    data = json.loads(baseline.read_text())
    del data["sha256"]  # as an earlier version wrote it
    data["runs"]["zeroshot tiny-clip digits/test"]["metrics"]["ece"] = 0.0
    baseline.write_text(json.dumps(data))
    assert cli("check", "--baseline", baseline, results)[0] == 0
    assert cli("check", "--baseline", baseline, results, "--tolerance", "ece=0.001")[0] == 1


def test_a_missing_run_is_not_passed_over(cli: Cli, baseline: Path, results: Path) -> None:
    shutil.rmtree(zeroshot(results))
    code, _, err = cli("check", "--baseline", baseline, results)
    assert code == 3
    assert "zeroshot tiny-clip digits/test" in " ".join(err.split())
    assert cli("check", "--baseline", baseline, results, "--allow-missing")[0] == 0
    factory.write_classification(results, "zeroshot", "renamed")
    assert "not in the baseline, zeroshot renamed digits/test" in cli("check", "--baseline", baseline, results)[2]


def test_other_images_are_refused_by_name(cli: Cli, baseline: Path, results: Path) -> None:
    replace_zeroshot(results, 0.85, n=900)
    code, _, err = cli("check", "--baseline", baseline, results)
    assert code == 3
    assert "n was 1000 and is 900" in " ".join(err.split())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"vlmbench_baseline": 99, "runs": {}}',
        '{"vlmbench_baseline": 1}',
        '{"vlmbench_baseline": 1, "runs": {"a": {}}}',
        '{"vlmbench_baseline": 1, "runs": {"a": 3}}',
        '{"vlmbench_baseline": 1, "runs": []}',
    ],
)
def test_a_damaged_baseline_is_bad_input(cli: Cli, results: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    code, out, err = cli("check", "--baseline", path, results)
    assert (code, out) == (3, "")
    assert "bad.json" in "".join(err.split())


def test_damaged_packed_columns_are_bad_input(cli: Cli, baseline: Path, results: Path) -> None:
    data = json.loads(baseline.read_text())
    data["runs"]["zeroshot tiny-clip digits/test"]["samples"]["columns"]["right"]["data"] = "AAAA"
    baseline.write_text(json.dumps(data))
    assert cli("check", "--baseline", baseline, results)[0] == 3


def test_an_absent_baseline_says_how_to_make_one(cli: Cli, results: Path, tmp_path: Path) -> None:
    code, _, err = cli("check", "--baseline", tmp_path / "none.json", results)
    assert code == 4
    assert "--update" in err


def test_eval_results_of_no_hub_dataset_are_said_to_be_none(cli: Cli, results: Path, tmp_path: Path) -> None:
    code, _, err = cli("compare", results, "-o", tmp_path, "--eval-results", tmp_path / "hub", "--no-report")
    assert code == 0
    assert "no run uses a dataset of the hub" in " ".join(err.split())


@pytest.mark.parametrize(
    "given", ["accuracy=x", "accuracy=-1", "nan", "accuracy=", "acuracy=0.01", "nosuch=1", "accuracy=5"]
)
def test_a_mistyped_tolerance_is_usage(cli: Cli, baseline: Path, results: Path, given: str) -> None:
    assert cli("check", "--baseline", baseline, results, "--tolerance", given)[0] == 2
    assert cli("check", "--baseline", baseline, results, "--tolerance", "cider_d=0.1")[0] == 0


def test_ci_files(cli: Cli, baseline: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import xml.etree.ElementTree as ElementTree

    replace_zeroshot(results, 0.6)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    files = ("--junit", tmp_path / "j.xml", "--gitlab", tmp_path / "g.json")
    code, out, err = cli("check", "--baseline", baseline, results, "--json", *files)
    assert code == 1
    (worst,) = [change for change in json.loads(out)["changes"] if change["verdict"] == "regression"]
    lost = worst["lost_most"]
    assert len(lost) == 5
    assert all(loss["before"] > loss["now"] and loss["images"] > 1 for loss in lost)
    gone = [(loss["before"] - loss["now"]) * loss["images"] for loss in lost]
    assert gone == sorted(gone, reverse=True)
    assert "::error title=vlmbench regression::zeroshot tiny-clip digits/test" in err
    assert f"lost most: {lost[0]['name']}" in err
    assert summary.read_text().count("1 regression") == 1
    assert f"Lost most in zeroshot tiny-clip digits/test, accuracy: {lost[0]['name']}" in summary.read_text()
    suite = ElementTree.parse(tmp_path / "j.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert json.loads((tmp_path / "g.json").read_text())[0]["check_name"] == "vlmbench-regression"


def test_a_drop_that_is_no_regression_says_why(cli: Cli, baseline: Path, results: Path) -> None:
    replace_zeroshot(results, 0.84)
    drops = {"": "worse, not significant", "accuracy=0.1": "worse, within tolerance"}
    for tolerance, words in drops.items():
        code, out, _ = cli("check", "--baseline", baseline, results, "--json", "--tolerance", tolerance or "0")
        assert code == 0
        assert words in [change["in_words"] for change in json.loads(out)["changes"]]
        assert words in " ".join(
            cli("check", "--baseline", baseline, results, "--tolerance", tolerance or "0")[1].split()
        )


def test_few_shot_runs_are_paired_by_image_over_seeds(cli: Cli, baseline: Path, results: Path) -> None:
    shutil.rmtree(next(results.glob("runs/*4shot*")))
    factory.write_classification(results, "linear-probe", accuracy=0.6, n=300, shots=4, seed=8)
    code, out, _ = cli("check", "--baseline", baseline, results, "--json")
    assert code == 1
    worst = json.loads(out)["changes"][0]
    assert "4-shot" in worst["run"]
    assert worst["high"] - worst["low"] > 0.02
    assert len(find_runs([results])) == 3


@pytest.mark.parametrize("kind", ["captions", "retrieval"])
def test_other_tasks_are_verified_and_gated(cli: Cli, tmp_path: Path, kind: str) -> None:
    for name, worse, seed in (("before", 0, 1), ("again", 0, 2), ("after", 1, 3)):
        if kind == "captions":
            factory.write_captions(tmp_path / name, wrong=(0.2, 0.7)[worse], n=200, seed=seed)
        else:
            factory.write_retrieval(tmp_path / name, spread=(3.0, 5.0)[worse], seed=seed)
    assert cli("verify", *(tmp_path / name for name in ("before", "again", "after")))[0] == 0
    baseline = tmp_path / "baseline.json"
    assert cli("check", "--update", "--baseline", baseline, tmp_path / "before")[0] == 0
    for against in (baseline, tmp_path / "before"):
        same = json.loads(cli("check", "--baseline", against, tmp_path / "before", "--json")[1])
        assert {change["verdict"] for change in same["changes"]} == {"same"}
        assert cli("check", "--baseline", against, tmp_path / "again")[0] == 0
        code, out, _ = cli("check", "--baseline", against, tmp_path / "after", "--json")
        assert code == 1
        found = json.loads(out)
        assert found["regressions"] >= 4
        for change in found["changes"]:
            assert len(change["lost_most"]) == (5 if change["verdict"] == "regression" else 0)
            assert all(loss["images"] == (1 if kind == "captions" else loss["images"]) for loss in change["lost_most"])


def test_compare_tests_every_two_systems(cli: Cli, tmp_path: Path) -> None:
    for system, accuracy, seed in (("one", 0.9, 1), ("two", 0.6, 2), ("three", 0.61, 3)):
        factory.write_classification(tmp_path, "zeroshot", system, accuracy=accuracy, seed=seed)
        factory.write_captions(tmp_path, system, wrong=1 - accuracy, seed=seed, n=100)
    code, out, _ = cli("compare", tmp_path, "-o", tmp_path, "--json")
    assert code == 0
    document = json.loads(out)
    found = {(item["task"], item["metric"], item["first"], item["second"]): item for item in document["comparisons"]}
    assert len(found) == 3 + 3 * 6
    values = {
        item["system"]: item["metrics"]["accuracy"]["value"]
        for item in document["results"]
        if item["task"] == "zeroshot"
    }
    for item in document["comparisons"]:
        assert item["low"] <= item["difference"] <= item["high"]
        if item["task"] == "zero-shot":
            assert item["difference"] == pytest.approx(values[item["first"]] - values[item["second"]])
            assert (item["p_holm"] < 0.05) == ("one" in (item["first"], item["second"]))
        assert (item["p_swapped_holm"] is not None) == (item["task"] == "captions")
    assert (tmp_path / "tables" / "comparisons.csv").is_file()
    assert (tmp_path / "report.html").is_file()


def test_compare_writes_the_hubs_evaluation_results(cli: Cli, tmp_path: Path) -> None:
    import yaml
    from huggingface_hub import parse_eval_result_entries

    factory.write_classification(tmp_path, "zeroshot", "org/model: x", "hf:owner/set:config", accuracy=0.9)
    factory.write_classification(tmp_path, "zeroshot", "org/model: x", "digits", accuracy=0.9)
    factory.write_classification(tmp_path, "zeroshot", "org/model: x", "cifar10", accuracy=0.9)
    assert cli("compare", tmp_path, "-o", tmp_path, "--eval-results", tmp_path / "hub", "--no-report")[0] == 0
    files = [yaml.safe_load(file.read_text("utf-8")) for file in (tmp_path / "hub" / "org-model-x").iterdir()]
    assert [len(entries) for entries in files] == [1, 1]
    listed, entry = sorted(
        parse_eval_result_entries([*files[0], *files[1]]), key=lambda entry: entry.task_id == "config"
    )
    assert (entry.dataset_id, entry.task_id) == ("owner/set", "config")
    assert listed.dataset_id == catalogue.listed()["cifar10"].hub_id
    record = next(run.record for run in find_runs([tmp_path]) if run.record.dataset.id.startswith("hf:"))
    assert entry.value == pytest.approx(record.metrics["accuracy"].value * 100, abs=0.005)
    assert record.signature in entry.notes


def test_records_become_a_data_frame(results: Path) -> None:
    from vlmbench.report.export import to_dataframe

    frame = to_dataframe(find_runs([results]))
    assert len(frame) == sum(len(run.record.metrics) for run in find_runs([results]))
    assert set(frame["shots"].dropna()) == {4}
    assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])).all()


@pytest.mark.parametrize("metric", ["map11", "roc_auc"])
def test_ranking_metrics_are_compared_verified_and_gated(cli: Cli, tmp_path: Path, metric: str) -> None:
    factory.write_ranked(tmp_path / "before", "zeroshot", metric)
    factory.write_ranked(tmp_path / "before", "linear-probe", metric, signal=4.0, seed=2)
    factory.write_ranked(tmp_path / "after", "zeroshot", metric, signal=0.5, seed=3)
    factory.write_ranked(tmp_path / "after", "linear-probe", metric, signal=4.0, seed=2)
    assert cli("verify", tmp_path / "before")[0] == 0
    code, out, _ = cli("compare", tmp_path / "before", "-o", tmp_path / "out")
    assert code == 0
    assert metric in out
    assert "zero-shot − probe" in out
    assert (tmp_path / "out" / "report.html").is_file()
    baseline = tmp_path / "baseline.json"
    assert cli("check", "--update", "--baseline", baseline, tmp_path / "before")[0] == 0
    for against in (baseline, tmp_path / "before"):
        assert cli("check", "--baseline", against, tmp_path / "before")[0] == 0
        code, out, _ = cli("check", "--baseline", against, tmp_path / "after", "--json")
        assert code == 1
        (worst,) = [change for change in json.loads(out)["changes"] if change["verdict"] == "regression"]
        assert worst["metric"] == metric
        assert worst["p"] < 0.05


def test_a_run_without_a_model_has_its_row(cli: Cli, tmp_path: Path) -> None:
    run = factory.write_classification(tmp_path, "linear-probe", "my features")
    edit(run.path / "result.json", lambda record: record.update(model=None))
    code, out, _ = cli("compare", tmp_path, "-o", tmp_path)
    assert code == 0
    assert "my features" in out


def test_an_unreadable_or_newer_record_is_named(cli: Cli, results: Path) -> None:
    edit(zeroshot(results) / "result.json", lambda record: record.update(schema_version=99))
    code, _, err = cli("compare", results, "-o", results)
    assert code == 3
    assert "--upgrade" in err
    (zeroshot(results) / "result.json").write_text("{")
    for command in ("compare", "verify", "check"):
        code, _, err = cli(command, results)
        assert code == 3
        assert zeroshot(results).name in "".join(err.split())


def test_an_out_that_cannot_be_written_is_no_success(cli: Cli, results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = cli("compare", results, "-o", tmp_path / "file")
    assert code == 3
    assert "cannot write" in err
    assert cli("check", "--update", "--baseline", tmp_path / "file" / "b.json", results)[0] == 3


def test_records_without_their_images_are_compared_without_tests(cli: Cli, results: Path) -> None:
    for system, wrong in (("one", 0.2), ("two", 0.6)):
        factory.write_captions(results, system, wrong=wrong)
    for path in results.glob("runs/*/samples.parquet"):
        path.unlink()
    code, out, _ = cli("compare", results, "-o", results)
    assert code == 0
    assert "per-sample file is missing" in out
    assert "zero-shot − probe" not in out
    assert (results / "report.html").is_file()
    assert cli("check", "--baseline", results, results)[0] == 0
    assert cli("verify", results)[0] == 3


def test_retrieval_is_compared_too(cli: Cli, tmp_path: Path) -> None:
    factory.write_retrieval(tmp_path, "one")
    factory.write_retrieval(tmp_path, "two", spread=6.0, seed=2)
    found = json.loads(cli("compare", tmp_path, "-o", tmp_path, "--json")[1])["comparisons"]
    assert len(found) == 6
    assert {item["task"] for item in found} == {"retrieval"}
    assert all(item["difference"] > 0 and item["low"] <= item["difference"] <= item["high"] for item in found)
