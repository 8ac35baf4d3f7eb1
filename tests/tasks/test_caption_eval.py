import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.data.captions.read import Candidates, References, read_candidates, read_references
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.metrics.captions.statistics import metrics_from_samples
from vlmbench.records.signature import parse_signature
from vlmbench.records.store import read_samples
from vlmbench.report.pairs import Pairs
from vlmbench.report.tables.comparisons import compared
from vlmbench.session.context import Context, Stopwatch
from vlmbench.tasks.captions.evaluate import CaptionEvalRequest, metric_names, run_caption_eval, score_captions
from vlmbench.tasks.captions.scoring import Inputs, Scoring, System

FAST = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")
NO_METEOR = ["--metrics", "bleu,rouge_l,cider", "--resamples", "100"]
THINGS = ["dog", "cat", "man", "woman", "horse", "car", "bus", "train", "plate", "pizza", "beach", "street", "kite"]
ACTS = ["running", "sleeping", "sitting", "near", "on", "under", "with", "holding", "watching"]


def sentence(rng):
    return f"A {rng.choice(THINGS)} {rng.choice(ACTS)} the {rng.choice(THINGS)}, and a {rng.choice(THINGS)}."


@pytest.fixture
def files(tmp_path):
    """Twelve images with five references each, and two systems."""
    rng = random.Random(0)
    references = {str(image): [sentence(rng) for _ in range(5)] for image in range(12)}
    good = {image: rng.choice(found) for image, found in references.items()}
    bad = {image: sentence(rng) for image in references}
    for name, data in (("refs", references), ("good", good), ("bad", bad)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    return tmp_path


def context(folder, **more):
    return Context(out=folder / "out", cache_dir=folder / "cache", reporter=Silent(), **more)


def request(folder, *systems, **more):
    given = [str(folder / f"{name}.json") if "=" not in name else name for name in systems]
    return CaptionEvalRequest(str(folder / "refs.json"), given, Scoring(**{"metrics": FAST, "resamples": 100, **more}))


def score(references, systems, scoring, here, **more):
    """Captions in memory, scored."""
    found = [System(Candidates(name, "", captions, name), **more) for name, captions in systems.items()]
    return score_captions(Inputs(References("captions", "", references, "here"), found), scoring, here, Stopwatch())


def test_a_record_a_system_with_intervals_and_signature(files):
    good, bad = run_caption_eval(request(files, "good", "bad"), context(files))
    assert (good.record.system, bad.record.system) == ("good", "bad")
    assert good.record.task == "caption-eval"
    assert good.record.n == 12
    assert set(good.record.metrics) == set(FAST)
    for name in FAST:
        metric = good.record.metrics[name]
        assert metric.low <= metric.value <= metric.high
        assert metric.value > bad.record.metrics[name].value
    fields = parse_signature(good.record.signature)
    assert fields["tokenizer"] == "ptb-3.4.1"
    assert (fields["backend"], fields["references"], fields["df"], fields["resamples"]) == (
        "native",
        "5",
        "references[12]",
        "100",
    )


def test_samples_hold_captions_and_scores_and_give_the_figures_again(files):
    found = run_caption_eval(request(files, "good"), context(files))[0]
    columns = read_samples(found)
    wanted = json.loads((files / "refs.json").read_text())
    assert list(columns["id"]) == list(wanted)
    assert [list(refs) for refs in columns["references"]] == list(wanted.values())
    assert list(columns["candidate"]) == list(json.loads((files / "good.json").read_text()).values())
    again = {name: metric.value for name, metric in metrics_from_samples(columns, FAST, 0).items()}
    assert again == {name: metric.value for name, metric in found.record.metrics.items()}


def test_the_same_call_gives_the_same_bytes_and_another_seed_another_interval(files):
    first = run_caption_eval(request(files, "good"), context(files))[0]
    record, samples = (first.path / "result.json").read_bytes(), first.samples_path.read_bytes()
    second = run_caption_eval(request(files, "good"), context(files))[0]
    assert second.path == first.path
    assert (second.path / "result.json").read_bytes() == record
    assert second.samples_path.read_bytes() == samples
    third = run_caption_eval(request(files, "good"), context(files, seed=1))[0]
    assert third.path != first.path
    assert third.record.metrics["cider"].value == first.record.metrics["cider"].value
    assert third.record.metrics["cider"].low != first.record.metrics["cider"].low


def test_company_does_not_change_a_system(files):
    alone = run_caption_eval(request(files, "bad"), context(files))[0]
    record, samples = (alone.path / "result.json").read_bytes(), alone.samples_path.read_bytes()
    beside = run_caption_eval(request(files, "good", "bad"), context(files))[1]
    assert beside.path == alone.path
    assert (beside.path / "result.json").read_bytes() == record
    assert beside.samples_path.read_bytes() == samples


def test_every_two_systems_are_tested_on_the_same_images(files):
    runs = run_caption_eval(request(files, "good", "bad"), context(files))
    found = {item.metric: item for item in compared(runs, Pairs())}
    assert set(found) == set(FAST)
    for item in found.values():
        sign = 1 if item.first == "good" else -1
        assert sign * item.difference.value > 0
        assert item.difference.low <= item.difference.value <= item.difference.high
        assert 0 < item.difference.p < 0.05
        assert 0 < item.difference.p_swapped < 0.05


def test_order_in_the_file_changes_nothing(files):
    data = json.loads((files / "good.json").read_text())
    (files / "turned.json").write_text(json.dumps(dict(reversed(data.items()))))
    straight, turned = run_caption_eval(request(files, "good", "turned"), context(files))
    assert straight.record.metrics == turned.record.metrics


def test_missing_captions_are_refused_or_left_out_and_counted(files):
    data = json.loads((files / "good.json").read_text())
    del data["3"], data["5"]
    (files / "part.json").write_text(json.dumps({**data, "99": "a stranger"}))
    with pytest.raises(InputError, match="no caption of 2 images"):
        run_caption_eval(request(files, "part"), context(files))
    whole, part = run_caption_eval(request(files, "good", "part", allow_missing=True), context(files))
    assert part.record.n == 10
    assert (part.record.detail.missing, part.record.detail.unknown) == (2, 1)
    columns = read_samples(whole)
    kept = [index for index, image in enumerate(columns["id"]) if image not in ("3", "5")]
    assert np.allclose(read_samples(part)["cider"], columns["cider"][kept])


def test_one_image_has_no_cider_and_says_so(tmp_path):
    (tmp_path / "refs.json").write_text('{"1": ["a dog runs", "the dog"]}')
    (tmp_path / "p.json").write_text('{"1": "a dog"}')
    here = context(tmp_path)
    record = run_caption_eval(request(tmp_path, "p"), here)[0].record
    assert "cider" not in record.metrics
    assert "two images" in record.detail.left_out["cider"]
    assert "cider is left out" in here.reporter.warnings[0]
    with pytest.raises(InputError, match="nothing is left"):
        run_caption_eval(request(tmp_path, "p", metrics=("cider",)), here)


def test_cider_d_with_document_frequencies_of_its_own(files):
    own, other = (
        run_caption_eval(request(files, "good", metrics=("cider_d",), documents=documents), context(files))[0].record
        for documents in (str(files / "refs.json"), None)
    )
    assert own.metrics["cider_d"].value == pytest.approx(other.metrics["cider_d"].value)
    assert own.protocol.df.startswith("refs.json[12]@")


def test_what_captions_are_like_stands_beside_the_scores(files):
    (files / "train.json").write_text(json.dumps({"x": ["A dog sleeping!", "zzz"], "y": ["the cat"]}))
    (files / "said.json").write_text(json.dumps({str(k): "a Dog sleeping." if k < 9 else "red cat" for k in range(12)}))
    common = ["caption-eval", "-r", str(files / "refs.json"), "-p", str(files / "said.json"), "-o", str(files / "out")]
    done = CliRunner().invoke(app, [*common, *NO_METEOR, "--json", "--novel-to", str(files / "train.json")])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    record = json.loads((Path(document["results"][0]["path"]) / "result.json").read_text())
    words, pairs = 9 * 3 + 3 * 2, 9 * 2 + 3
    expected = {"words": words / 12, "vocabulary": 5, "distinct_1": 5 / words, "distinct_2": 3 / pairs}
    assert record["detail"]["text"] == pytest.approx({**expected, "different": 2 / 12, "novel": 3 / 12})
    assert record["detail"]["novel_to"].startswith("3@")
    with open(document["tables"][0], newline="") as file:
        (row,) = csv.DictReader(file)
    assert [float(row[name]) for name in ("words", "vocabulary", "different", "novel")] == [2.75, 5, 16.6667, 25]
    page = (files / "out/tables/captions.md").read_text()
    assert "What the captions are like" in page
    assert "not among the training captions" in page
    assert "novel" not in json.dumps(json.loads(CliRunner().invoke(app, [*common, *NO_METEOR, "--json"]).stdout))
    missing = CliRunner().invoke(app, [*common, "--novel-to", str(files / "none.json")])
    assert missing.exit_code == 4


def test_meteor_without_its_data_is_left_out_with_a_clear_line(files, monkeypatch):
    def absent(*args, **kwargs):
        raise AbsentError("METEOR's data is not installed", fix="pip install pycocoevalcap")

    monkeypatch.setattr("vlmbench.metrics.captions.meteor.score.load_index", absent)
    here = context(files)
    record = run_caption_eval(request(files, "good", metrics=("bleu_1", "meteor")), here)[0].record
    assert set(record.metrics) == {"bleu_1"}
    assert "pip install pycocoevalcap" in record.detail.left_out["meteor"]
    assert "meteor is left out" in here.reporter.warnings[0]
    with pytest.raises(AbsentError):
        run_caption_eval(request(files, "good", metrics=("meteor",)), here)


def test_java_without_java_is_an_error_that_says_how_to_mend_it(files, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AbsentError, match="no java"):
        run_caption_eval(request(files, "good", backend="java"), context(files))


def test_line_ends_and_bars_move_nothing(files):
    """pycocoevalcap 1.2 shifts every caption after one of these to the next image."""
    data = json.loads((files / "good.json").read_text())
    plain = {**data, "4": data["4"] + " x y", "6": data["6"] + " z"}
    odd = {**data, "4": data["4"] + " x\u2028\r\n\x0b\x85y\ud800", "6": "\n" + data["6"] + "\x00\x1b z\u2029"}
    for name, captions in (("plain", plain), ("odd", odd)):
        (files / f"{name}.json").write_text(json.dumps(captions))
    straight, strange = run_caption_eval(request(files, "plain", "odd"), context(files))
    assert strange.record.detail.sanitised == 2
    assert strange.record.metrics == straight.record.metrics
    assert "\ud800" not in "".join(read_samples(strange)["candidate"])


def test_names_of_systems(files):
    named = run_caption_eval(request(files, f"mine={files / 'good.json'}"), context(files))[0]
    assert named.record.system == "mine"
    shutil.copy(files / "good.json", files / "a=b.json")
    found = run_caption_eval(request(files, str(files / "a=b.json")), context(files))[0]
    assert found.record.system == "a=b"
    for systems in (["good", f"good={files / 'bad.json'}"], ["=x"], ["good", "good"]):
        with pytest.raises(UsageError):
            run_caption_eval(request(files, *systems), context(files))


def test_names_of_metrics():
    assert metric_names("cider, BLEU") == ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider")
    assert metric_names("rouge-l") == ("rouge_l",)
    for text in ("", "bleu,spyce", ","):
        with pytest.raises(UsageError, match="metric"):
            metric_names(text)


def test_the_interface_for_captioners(tmp_path):
    references = {"1": ["a dog runs", "the dog"], "2": ["two cats", "cats sit"]}
    systems = {"model": {"2": "two cats", "1": "a dog"}}
    found = score(references, systems, Scoring(("rouge_l",)), context(tmp_path), decoding={"num_beams": 4})[0]
    assert found.record.protocol.num_beams == 4
    assert found.record.metrics["rouge_l"].value > 0.8


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_prints_the_document_of_the_contract(files):
    arguments = ["caption-eval", "-r", f"{files}/refs.json", "-p", f"{files}/good.json", "-p", f"b={files}/bad.json"]
    done = call(*arguments, *NO_METEOR, "-o", files / "out", "--cache-dir", files / "cache", "--json", "-q")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert [result["system"] for result in document["results"]] == ["good", "b"]
    first = document["results"][0]
    assert (first["task"], first["n"], first["model"], first["shots"]) == ("caption-eval", 12, None, None)
    assert set(first["metrics"]["cider"]) == {"value", "low", "high"}
    assert (Path(first["path"]) / "result.json").is_file()
    assert any(path.endswith("captions.csv") for path in document["tables"])


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (["-p", "{}/absent.json"], 4, "absent.json"),
        (["--metrics", "spyce"], 2, "spyce"),
        (["--backend", "rust"], 2, "rust"),
        (["-r", "{}/good.json/x"], 4, "x"),
        (["-o", "{}/good.json"], 3, "good.json"),
        (["-p", "x={}/bad.json", "-p", "x={}/good.json"], 2, "x"),
    ],
)
def test_exit_codes(files, change, code, said):
    arguments = {"-r": [f"{files}/refs.json"], "-p": [f"{files}/good.json"], "-o": [f"{files}/out"]}
    for name in {*change[::2]}:
        arguments[name] = []
    for name, value in zip(change[::2], change[1::2], strict=True):
        arguments[name].append(value.format(files))
    flat = [part for name, values in arguments.items() for value in values for part in (name, value)]
    if "--metrics" not in change:
        flat += NO_METEOR
    done = call("caption-eval", *flat)
    assert done.exit_code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def hostile(rng, index):
    """Captions nobody should write."""
    pieces = [
        *("a dog", "\n", "\r\n", "|||", " ||| SCORE", "\u2028", "\x85", "\x00", "\ud83d", "🐕", "\u202e", "-LRB-"),
        *("0" * 50, "a" * 300, "1,000.5", "http://x.y/z?q=1", "\ufeff", "ﬁ", "½", "£5", "?!?!", "…", "—", "'", '"'),
        *("{}", "%s", "=cmd()", "日本語", "é", "e\u0301", "EVAL ||| 1", "\x1b[31m", " ", "\xa0", ".", "...", "\t"),
        *("\\", "<b>", "don't", "U.S.A.", "''"),
    ]
    return (
        "".join(rng.choice(pieces) + rng.choice(["", " "]) for _ in range(rng.choice([0, 1, 3, 10, 60]))) or f"{index}"
    )


def test_two_hundred_hostile_captions_score_as_their_own_image_does(tmp_path):
    """No traceback, no shift: each image's BLEU and ROUGE are the same among 199 others and nearly alone."""
    rng = random.Random(5)
    references = {str(k): [hostile(rng, k) for _ in range(rng.choice([1, 2, 5]))] for k in range(200)}
    candidates = {str(k): hostile(rng, k) if k % 3 else references[str(k)][0] for k in range(200)}
    scoring = Scoring(FAST, resamples=100, allow_empty=True)
    whole = read_samples(score(references, {"s": candidates}, scoring, context(tmp_path))[0])
    assert list(whole["id"]) == list(references)
    for k in range(0, 200, 12):
        pair = [str(k), str((k + 1) % 200)]
        alone = read_samples(
            score(
                {key: references[key] for key in pair},
                {"s": {key: candidates[key] for key in pair}},
                scoring,
                context(tmp_path),
            )[0]
        )
        for name in FAST[:5]:
            assert alone[name][0] == whole[name][k], (k, name)
    assert np.isfinite(np.stack([whole[name] for name in FAST])).all()


def test_nothing_heavy_is_imported(files):
    """The command has well under a second for a thousand images."""
    code = (
        "import sys; from vlmbench.cli.app import app; app(standalone_mode=False);"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'sklearn', 'matplotlib', 'scipy', 'numba', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    arguments = [
        "caption-eval",
        "-r",
        f"{files}/refs.json",
        "-p",
        f"{files}/good.json",
        "-o",
        f"{files}/out",
        *NO_METEOR,
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "-q"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "[]"


SHARED = Path(__file__).parents[3] / "shared" / "data" / "captions"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the COCO captions beside the checkout are not there")
def test_the_published_figures_of_magic(tmp_path):
    """BLEU-1 56.82, BLEU-4 12.88, ROUGE-L 39.88, CIDEr 49.29: pycocoevalcap's, and the authors' own."""
    references = read_references(SHARED / "coco_karpathy_test_references.json")
    system = read_candidates(SHARED / "coco_karpathy_test_magic.json", "magic")
    request = CaptionEvalRequest(references, [system], Scoring(FAST, resamples=100))
    found = run_caption_eval(request, context(tmp_path))[0].record.metrics
    values = {name: round(100 * metric.value, 2) for name, metric in found.items()}
    assert (values["bleu_1"], values["bleu_4"], values["rouge_l"], values["cider"]) == (56.82, 12.88, 39.88, 49.29)
