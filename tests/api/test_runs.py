"""The API's functions: the commands' runs byte for byte, typed results, frames, HTML, errors, silence."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import vlmbench
from vlmbench.cli.app import app
from vlmbench.errors import AbsentError, InputError, UsageError, VlmbenchError
from vlmbench.foundations.progress import Silent
from vlmbench.metrics.classification import sample_columns
from vlmbench.records.result import DatasetFacts, Metric, Record
from vlmbench.records.store import write_run


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One feature store, so that images are encoded once."""
    return tmp_path_factory.mktemp("cache")


def command(*words):
    done = CliRunner().invoke(app, [*map(str, words), "--json", "-q"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def same_runs(found, document):
    """The same directories, and the same bytes in them but for run.json."""
    assert [one.to_dict() | {"path": one.path.name} for one in found] == [
        one | {"path": Path(one["path"]).name} for one in document["results"]
    ]
    for one, other in zip(found, document["results"], strict=True):
        for name in ("result.json", "samples.parquet"):
            assert (one.path / name).read_bytes() == (Path(other["path"]) / name).read_bytes()


CAPTIONS = {
    "references": {"1": ["a dog runs", "the dog"], "2": ["two cats", "cats sit"], "3": ["a man rides", "a rider"]},
    "mine": {"1": "a dog", "2": "two cats sit", "3": "a man rides"},
    "other": {"1": "a cat", "2": "two dogs", "3": "a man"},
}


@pytest.fixture
def caption_files(tmp_path):
    for name, data in CAPTIONS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    return tmp_path


def test_zeroshot_is_the_command(cache, tmp_path, capsys):
    more = {"prompts": ["default", "a photo of the {}."], "limit": 30, "seed": 2}
    found = vlmbench.zeroshot("tiny-clip", "digits", out=tmp_path / "a", cache_dir=cache, **more)
    assert capsys.readouterr() == ("", "")
    words = ["--prompts", "default", "--prompts", "a photo of the {}.", "--limit", 30, "--seed", 2]
    run = ["zeroshot", "-m", "tiny-clip", "-d", "digits", *words]
    same_runs(found, command(*run, "-o", tmp_path / "b", "--cache-dir", cache))


def test_linear_probe_is_the_command(cache, tmp_path):
    options = {"shots": [1, "all"], "seeds": 2, "limit": 40, "c": 0.1, "out": tmp_path / "a", "cache_dir": cache}
    found = vlmbench.linear_probe(["tiny-clip"], ["digits"], **options)
    assert [one.shots for one in found] == [1, None]
    assert not (tmp_path / "a" / "figures").exists()
    run = ["linear-probe", "-m", "tiny-clip", "-d", "digits", "--shots", "1,all", "--seeds", 2, "--limit", 40]
    same_runs(found, command(*run, "--c", "0.1", "--no-figures", "-o", tmp_path / "b", "--cache-dir", cache))


def test_linear_probe_of_a_features_file_is_the_command(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (rng.normal(size=(60, 6)) + 2 * np.eye(3, 6)[y]).astype(np.float32)
    np.savez(tmp_path / "f.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    found = vlmbench.linear_probe(features=tmp_path / "f.npz", out=tmp_path / "a", cache_dir=tmp_path)
    run = ["linear-probe", "--features", tmp_path / "f.npz", "--no-figures", "-o", tmp_path / "b"]
    same_runs(found, command(*run, "--cache-dir", tmp_path))


def test_retrieval_is_the_command(cache, tmp_path):
    options = {"limit": 12, "captions": 2, "cache_dir": cache}
    found = vlmbench.retrieval("tiny-clip", "scenes", out=tmp_path / "a", **options)
    run = ["retrieval", "-m", "tiny-clip", "-d", "scenes", "--limit", 12, "--captions", 2]
    same_runs(found, command(*run, "-o", tmp_path / "b", "--cache-dir", cache))


def test_score_captions_is_the_command(caption_files, tmp_path):
    names = {"metrics": "bleu,rouge_l,cider", "resamples": 100, "cache_dir": tmp_path}
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    found = vlmbench.score_captions(tmp_path / "references.json", [mine, f"b={other}"], out=tmp_path / "a", **names)
    run = ["caption-eval", "-r", tmp_path / "references.json", "-p", mine, "-p", f"b={other}"]
    run += ["--metrics", "bleu,rouge_l,cider", "--resamples", 100]
    same_runs(found, command(*run, "-o", tmp_path / "b", "--cache-dir", tmp_path))
    by_name = vlmbench.score_captions(
        str(tmp_path / "references.json"), {"mine": mine, "b": other}, out=tmp_path / "c", **names
    )
    assert [one.path.name for one in by_name] == [one.path.name for one in found]


def test_captions_in_memory_have_the_files_figures(caption_files, tmp_path):
    names = {"metrics": ["bleu", "cider"], "resamples": 100, "cache_dir": tmp_path}
    files = vlmbench.score_captions(tmp_path / "references.json", tmp_path / "mine.json", out=tmp_path / "a", **names)
    references = {int(image): captions for image, captions in CAPTIONS["references"].items()}
    memory = vlmbench.score_captions(references, {"mine": CAPTIONS["mine"]}, out=tmp_path / "b", **names)
    assert memory[0].metrics == files[0].metrics
    assert (memory[0].dataset, memory[0].system) == ("captions", "mine")
    one = vlmbench.score_captions(references, CAPTIONS["mine"], out=tmp_path / "c", **names)
    assert (one[0].system, one[0].metrics) == ("candidates", files[0].metrics)
    assert one[0].samples()["candidate"].tolist() == list(CAPTIONS["mine"].values())
    limited = vlmbench.score_captions(references, CAPTIONS["mine"], limit=2, out=tmp_path / "d", **names)
    assert limited[0].n == 2
    weighed = vlmbench.score_captions(
        references, CAPTIONS["mine"], document_frequency={**references, 9: ["a dog sits"]}, out=tmp_path / "e", **names
    )
    assert weighed[0].metrics["cider"].value != files[0].metrics["cider"].value


@pytest.fixture(scope="module")
def runs(cache, tmp_path_factory):
    """Zero-shot and probe on the same images, and two systems of captions."""
    out = tmp_path_factory.mktemp("results")
    found = [*vlmbench.zeroshot("tiny-clip", "counting", limit=60, out=out, cache_dir=cache).runs]
    found += vlmbench.linear_probe("tiny-clip", "counting", limit=60, c=1.0, out=out, cache_dir=cache).runs
    found += vlmbench.score_captions(
        CAPTIONS["references"],
        {name: CAPTIONS[name] for name in ("mine", "other")},
        metrics="bleu,cider",
        resamples=100,
        out=out,
        cache_dir=cache,
    ).runs
    return vlmbench.Results(found)


def test_results_are_typed_and_frozen(runs):
    first = runs[0]
    assert (first.task, first.system, first.model, first.dataset) == ("zeroshot", "tiny-clip", "tiny-clip", "counting")
    assert (first.n, first.shots, first.seed, first.path.is_dir()) == (60, None, 0, True)
    assert first.metrics["accuracy"].low <= first.metrics["accuracy"].value <= first.metrics["accuracy"].high
    with pytest.raises(AttributeError):
        first.n = 3
    assert [one.task for one in runs[1:]] == ["linear-probe", "caption-eval", "caption-eval"]
    assert isinstance(runs[1:], vlmbench.Results)
    assert len(runs) == 4
    assert repr(runs[:1]) == "<Results: 1 run: zeroshot tiny-clip on counting>"
    assert repr(vlmbench.Results([])) == "<Results: 0 runs>"


def test_frames(runs):
    frame = runs.to_frame()
    assert len(frame) == sum(len(one.metrics) for one in runs)
    chosen = frame[(frame.task == "zeroshot") & (frame.metric == "accuracy")].iloc[0]
    assert (chosen.value, chosen.path) == (runs[0].metrics["accuracy"].value, str(runs[0].path))
    samples = runs[0].samples()
    assert isinstance(samples, pd.DataFrame)
    assert (samples.label == samples.prediction).mean() == runs[0].metrics["accuracy"].value


def test_warnings_are_kept_where_nobody_hears_them(tmp_path):
    options = {"metrics": "bleu", "resamples": 100, "out": tmp_path, "cache_dir": tmp_path}
    found = vlmbench.score_captions({"1": ["a dog"], "2": ["."]}, {"1": "a dog", "2": "..."}, **options)
    assert found.warnings == ("1 captions of candidates contain no words and score 0",)
    heard = Silent()
    assert len({*found, *vlmbench.load_runs(tmp_path)}) == 1
    assert vlmbench.score_captions({"1": ["a dog"]}, {"1": "a dog"}, reporter=heard, **options).warnings == ()


def test_a_directory_of_a_model_can_be_a_path(checkpoints, tmp_path, monkeypatch):
    model = checkpoints("clip")
    monkeypatch.chdir(model.parent)
    options = {"limit": 4, "out": tmp_path, "cache_dir": tmp_path / "cache"}
    (named,) = vlmbench.zeroshot(f"./{model.name}", "digits", **options)
    (by_path,) = vlmbench.zeroshot(Path(model.name), "digits", **options)
    assert by_path == named
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a drawing of {}.\n")
    (drawn_,) = vlmbench.zeroshot(model, "digits", prompts=prompts, **options)
    assert drawn_.record.protocol.templates == ["a drawing of {}."]


def test_load_runs_finds_what_was_written(runs):
    out = runs[0].path.parent.parent
    for given in (out, str(out), [out / "runs", str(out)], [one.path for one in runs]):
        assert {one.path for one in vlmbench.load_runs(given)} == {one.path for one in runs}
    assert vlmbench.load_runs(runs[0].path)[0] == runs[0]
    with pytest.raises(AbsentError, match="nowhere"):
        vlmbench.load_runs(out / "nowhere")
    (out / "empty").mkdir()
    with pytest.raises(InputError, match="no finished run"):
        vlmbench.load_runs(out / "empty")


def test_compare_is_the_command(runs, tmp_path):
    out = runs[0].path.parent.parent
    runs = vlmbench.load_runs(out)  # rows keep the order given: here that of the directory
    document = command("compare", out, "-o", tmp_path / "b", "--no-report")
    for given in (runs, out, list(runs), [runs[:2], *(one.path for one in runs[2:])]):
        found = vlmbench.compare(given)
        assert found.pairs() == document["comparisons"]
        assert [one.to_dict() for one in found.results] == document["results"]
        written = found.write(tmp_path / "a")
        for path in written:
            other = tmp_path / "b" / "tables" / path.name
            assert path.read_bytes() == other.read_bytes(), path.name
    assert {path.suffix for path in written} == {".csv", ".md", ".tex", ".html"}
    assert "comparisons" in repr(found)


def test_tables_are_frames(runs):
    found = vlmbench.compare(runs)
    pairs = found.to_frame("comparisons")
    assert pairs.loc[pairs.metric == "CIDEr", "difference"].item() == pytest.approx(
        runs[2].metrics["cider"].value - runs[3].metrics["cider"].value
    )
    assert pairs.n.tolist() == [3] * len(pairs)
    assert pairs.p_holm.between(0, 1).all()
    first = found.to_frame()
    row = first[first.model == "tiny-clip"].iloc[0]
    figure = runs[0].metrics["accuracy"]
    assert (row.zero_shot, row.zero_shot_low, row.zero_shot_high) == (figure.value, figure.low, figure.high)
    assert row.difference == pytest.approx(figure.value - runs[1].metrics["accuracy"].value)
    assert first.equals(found.to_frame("classification"))
    assert {"bleu_4", "cider", "cider_low"} <= set(found.to_frame("captions"))
    with pytest.raises(UsageError, match="no table captoins"):
        found.to_frame("captoins")


def test_compare_by_another_metric(runs):
    found = vlmbench.compare(runs, metric="mean_per_class_accuracy")
    classified = [one for one in found.results if one.task in ("zeroshot", "linear-probe")]
    assert {one.record.protocol.metric for one in classified} == {"mean_per_class_accuracy"}
    assert found.warnings == found.refused == ()
    with pytest.raises(InputError, match="no run has the metric roc_auc"):
        vlmbench.compare(runs, metric="roc_auc")


def test_check(runs, tmp_path):
    same = vlmbench.check(runs, runs)
    assert not same.regressions
    assert repr(same) == f"<CheckOutcome: 0 of {len(same.changes)} figures regressed>"
    command("check", "--update", "--baseline", tmp_path / "base.json", runs[0].path.parent.parent)
    assert not vlmbench.check(tmp_path / "base.json", runs, 0.01).regressions
    record = json.loads((tmp_path / "base.json").read_text())
    key = next(key for key in record["runs"] if key.startswith("zeroshot"))
    record["runs"][key]["metrics"]["accuracy"] += 0.05
    record["runs"][key]["samples"] = {"ids": "", "columns": {}}
    del record["sha256"]  # with it, an edited baseline is refused
    (tmp_path / "base.json").write_text(json.dumps(record))
    worse = vlmbench.check(tmp_path / "base.json", [one.path for one in runs])
    (change,) = worse.regressions
    assert (change.metric, change.verdict) == ("accuracy", "regression")
    assert change.drop == pytest.approx(0.05)
    frame = worse.to_frame()
    assert frame.verdict.tolist()[0] == "regression"
    assert len(frame) == len(worse.changes)
    done = CliRunner().invoke(
        app, ["check", "--baseline", str(tmp_path / "base.json"), *(str(one.path) for one in runs)]
    )
    assert done.exit_code == 1
    assert not vlmbench.check(tmp_path / "base.json", runs, {"accuracy": 0.06}).regressions
    assert not vlmbench.check(tmp_path / "base.json", runs[:1], 0.06, allow_missing=True).regressions
    with pytest.raises(InputError, match="missing from the new results"):
        vlmbench.check(tmp_path / "base.json", runs[:1])


def drawn(shown):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(shown)
    return console.export_text()


def test_rich_and_html_show_the_reports_tables(runs):
    for shown, words in (
        (runs, ["Zero-shot against linear probe", "tiny-clip", "Captions", "counting"]),
        (vlmbench.compare(runs), ["Pairwise comparisons"]),
        (vlmbench.check(runs, runs), ["No regression", "baseline"]),
    ):
        text, html = drawn(shown), shown._repr_html_()
        for word in words:
            assert word.lower() in text.lower()
            assert word.lower() in html.lower()
        assert "<table" in html
    assert f">{100 * runs[0].metrics['accuracy'].value:.1f}<" in runs._repr_html_()
    empty = vlmbench.Results([])
    assert empty._repr_html_() == "<p>&lt;Results: 0 runs&gt;</p>"
    assert "0 runs" in drawn(empty)


def test_names_from_data_are_escaped_in_html(tmp_path):
    nasty = "<script>alert(1)</script>&\u202e"
    record = Record(
        task="zeroshot", system=nasty, dataset=DatasetFacts(id=f"d{nasty}", fingerprint="f" * 64, split="test"), n=2,
        seed=0, metrics={"accuracy": Metric(value=0.5)}, protocol={"metric": "accuracy"},
    )  # fmt: skip
    columns = sample_columns(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]), ["a", "b"])
    found = vlmbench.Results([write_run(tmp_path, record, columns, {})])
    for shown in (found, vlmbench.check(found, found), vlmbench.compare(found)):
        assert "<script" not in shown._repr_html_()
        assert "\u202e" not in shown._repr_html_()
        assert "\u202e" not in drawn(shown)
    assert "&lt;script&gt;" in found._repr_html_()
    assert "\u202e" not in repr(found)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda **o: vlmbench.zeroshot("tiny-clap", "digits", **o), AbsentError, "tiny-clip"),
        (lambda **o: vlmbench.zeroshot("tiny-clip", "digitz", **o), AbsentError, "no such dataset: digitz"),
        (lambda **o: vlmbench.zeroshot("tiny-clip", "digits", limit=0, **o), UsageError, "limit= is 0"),
        (lambda **o: vlmbench.zeroshot("tiny-clip", "digits", device="tpu", **o), UsageError, "device= is 'tpu'"),
        (lambda **o: vlmbench.zeroshot("tiny-clip", "digits", precision="int4", **o), UsageError, "precision"),
        (lambda **o: vlmbench.zeroshot("tiny-clip", "digits", batch_size=1.5, **o), UsageError, "batch_size= is 1.5"),
        (lambda **o: vlmbench.zeroshot("tiny-clip", "digits", metric="f1", **o), UsageError, "f1"),
        (lambda **o: vlmbench.linear_probe("tiny-clip", "digits", shots="many", **o), UsageError, "many"),
        (lambda **o: vlmbench.linear_probe("tiny-clip", "digits", shots=0, **o), UsageError, "'0'"),
        (lambda **o: vlmbench.linear_probe("tiny-clip", "digits", c=-1, **o), UsageError, "-1"),
        (lambda **o: vlmbench.linear_probe("tiny-clip", "digits", solver="lbfgs", **o), UsageError, "native, sklearn"),
        (lambda **o: vlmbench.linear_probe(**o), UsageError, "give a model and a dataset"),
        (lambda **o: vlmbench.linear_probe(features="absent.npz", **o), AbsentError, "absent.npz"),
        (lambda **o: vlmbench.retrieval("tiny-clip", "digits", **o), InputError, "without captions"),
        (lambda **o: vlmbench.score_captions({}, {"1": "a"}, **o), InputError, "references contain no image"),
        (lambda **o: vlmbench.score_captions({"1": "a dog"}, {"1": "a"}, **o), InputError, "a list of captions"),
        (lambda **o: vlmbench.score_captions({"1": ["a"]}, {"1": 3}, **o), InputError, "type int instead of a caption"),
        (lambda **o: vlmbench.score_captions({"1": ["a"]}, {"2": "b"}, **o), InputError, "do not have the same images"),
        (lambda **o: vlmbench.score_captions({"1": ["a"]}, {"1": "b"}, metrics="spyce", **o), UsageError, "spyce"),
        (lambda **o: vlmbench.score_captions({"1": ["a"]}, {"1": "b"}, resamples=5, **o), UsageError, "at least 100"),
        (lambda **o: vlmbench.check(o["out"], o["out"], {"accuracy": 11}), UsageError, "accuracy=11"),
        (lambda **o: vlmbench.check(o["out"], o["out"]), InputError, "no finished run"),
        (lambda **o: vlmbench.compare([]), UsageError, "no runs were given"),
        (lambda **o: vlmbench.compare(o["out"]), InputError, "no finished run"),
    ],
)
def test_errors_are_vlmbenchs_and_nothing_is_printed(call, kind, said, tmp_path, capfd):
    with pytest.raises(kind, match=said) as raised:
        call(out=tmp_path, cache_dir=tmp_path / "cache")
    assert isinstance(raised.value, VlmbenchError)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.rglob("result.json"))


def test_a_mistyped_tolerance_is_refused(runs):
    with pytest.raises(UsageError, match="acuracy"):
        vlmbench.check(runs, runs, {"acuracy": 0.1})


def test_a_mistyped_option_is_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="batchsize"):
        vlmbench.zeroshot("tiny-clip", "digits", batchsize=3, out=tmp_path)


def test_a_reporter_hears_and_hears_alone(cache, tmp_path, capfd):
    heard = Silent()
    vlmbench.zeroshot("tiny-clip", "digits", limit=30, seed=2, out=tmp_path, cache_dir=cache, reporter=heard)
    assert any("from the store" in note for note in heard.notes)
    assert capfd.readouterr() == ("", "")


def test_caption_is_the_command(cache, tmp_path):
    found = vlmbench.caption("tiny-captioner", dataset="scenes", limit=5, out=tmp_path / "a", cache_dir=cache)
    run = ["caption", "-m", "tiny-captioner", "-d", "scenes", "--limit", 5, "-o", tmp_path / "b", "--cache-dir", cache]
    (mine,), (theirs,) = found.to_dicts(), command(*run)["results"]
    assert (mine.pop("made"), theirs.pop("made")) == (5, 0)
    first, second = Path(mine.pop("path")), Path(theirs.pop("path"))
    assert mine == theirs
    assert (first.name, first.read_bytes()) == (second.name, second.read_bytes())
    assert list(found.to_frame().columns) == ["system", "image", "caption"]
    assert found.to_frame()["caption"].tolist() == list(found[0].captions.values())
    assert "tiny-captioner" in found._repr_html_()
    assert found.warnings == ()


def test_captions_of_image_files_by_two_captioners(cache, tmp_path, colours):
    files = [colours / "test" / "red" / "0.png", colours / "test" / "blue"]
    names = ["tiny-captioner", "retrieval:tiny-clip"]
    found = vlmbench.caption(names, files, anchors="scenes", out=tmp_path, cache_dir=cache)
    assert [one.system for one in found] == names
    assert all(one.n == 6 and one.dataset == "files" for one in found)


def test_score_captioners_is_the_command(cache, tmp_path):
    options = {"metrics": "rouge_l,cider", "resamples": 100, "limit": 6, "num_beams": 2, "cache_dir": cache}
    found = vlmbench.score_captioners("tiny-captioner", "scenes", out=tmp_path / "a", **options)
    run = ["caption-eval", "--captioner", "tiny-captioner", "-d", "scenes", "--metrics", "rouge_l,cider"]
    run += ["--resamples", 100, "--limit", 6, "--num-beams", 2, "--cache-dir", cache]
    same_runs(found, command(*run, "-o", tmp_path / "b"))
    job = vlmbench.score_captioners.job("tiny-captioner", "scenes", metrics="cider", limit=6)
    (planned,) = vlmbench.run_plan([job], out=tmp_path / "c", cache_dir=cache)
    assert planned.n == 6


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda **o: vlmbench.caption("tiny-captioner", **o), UsageError, "give image files"),
        (lambda **o: vlmbench.caption("retrieval:", dataset="scenes", **o), UsageError, "not a captioner"),
        (lambda **o: vlmbench.caption("tiny-captioner", "nowhere.jpg", **o), AbsentError, "nowhere.jpg"),
        (lambda **o: vlmbench.caption("tiny-captioner", dataset="scenes", timeout=0, **o), UsageError, "timeout"),
        (lambda **o: vlmbench.caption("tiny-captioner", dataset="scenes", num_beams=0, **o), UsageError, "at least 1"),
        (lambda **o: vlmbench.score_captioners("x", "scenes", on_failure="no", **o), UsageError, "on_failure"),
        (lambda **o: vlmbench.score_captioners("x", "scenes", backend="perl", **o), UsageError, "no such backend"),
    ],
)
def test_what_is_wrong_with_captioning_is_raised(call, kind, said, cache, tmp_path):
    with pytest.raises(kind, match=said):
        call(out=tmp_path, cache_dir=cache)
