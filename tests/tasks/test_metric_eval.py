"""metric-eval from files to tables."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.data.captions.read import Candidates, References
from vlmbench.data.judgements.base import Judgement, Judgements
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.tasks.captions.evaluate import CaptionEvalRequest, run_caption_eval
from vlmbench.tasks.captions.scoring import Scoring
from vlmbench.tasks.judgements.scores import score_judgements

FAST = ("bleu_1", "bleu_4", "rouge_l", "cider")
THINGS = ["dog", "cat", "man", "woman", "horse", "car", "bus", "train", "plate", "pizza", "beach", "street"]
HOSTILE = ["a dog\na cat\r\n", "x\u2028y\x85z", "a ||| b ||| c", "\x00\x1b[31m", "half \ud800 a dog", "SCORE ||| dog"]


def sentence(rng):
    return f"A {rng.choice(THINGS)} near the {rng.choice(THINGS)}, and a {rng.choice(THINGS)}."


def judged(pairs):
    items = tuple(Judgement(image, text, float(rating), "line 1") for image, text, rating in pairs)
    return Judgements("j", "csv", items, None)


@pytest.fixture
def references():
    rng = random.Random(0)
    return {str(image): [sentence(rng) for _ in range(5)] for image in range(12)}


@pytest.fixture
def context(tmp_path):
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent())


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "candidate", "rating"), *rows])


def run(*arguments):
    return CliRunner().invoke(app, ["metric-eval", *map(str, arguments), "--quiet"])


def test_several_candidates_of_an_image_score_as_each_does_alone(references, context):
    rng = random.Random(1)
    first, second = ({image: sentence(rng) for image in references} for _ in range(2))
    both = judged([(image, system[image], 1) for image in references for system in (first, second, first)])
    scores = score_judgements(both, references, FAST, context)
    for place, system in enumerate((first, second, first)):
        files = References("r", "", references, "r"), [Candidates("s", "", system, "s")]
        alone = run_caption_eval(CaptionEvalRequest(*files, Scoring(FAST, resamples=100)), context)
        from vlmbench.records.store import read_samples

        samples = read_samples(alone[0])
        for name in FAST:
            np.testing.assert_allclose(scores[name][place::3], samples[name], rtol=1e-12, atol=1e-300)


def test_hostile_captions_shift_nothing(references, context):
    rng = random.Random(2)
    plain = [(image, sentence(rng), 1) for image in references]
    mixed = [row for number, item in enumerate(plain) for row in (item, (item[0], HOSTILE[number % len(HOSTILE)], 0))]
    clean, among = (score_judgements(judged(rows), references, FAST, context) for rows in (plain, mixed))
    for name in FAST:
        np.testing.assert_allclose(among[name][::2], clean[name], rtol=1e-12, atol=1e-300)


def test_from_files_to_tables_and_json(tmp_path, references):
    rng = random.Random(3)
    rows = []
    for image, found in references.items():
        rows += [(image, rng.choice(found), 4), (image, sentence(rng), 2), (image, "zzz qqq", 1)]
    write(tmp_path / "j.csv", rows)
    (tmp_path / "r.json").write_text(json.dumps(references))
    common = ("-j", tmp_path / "j.csv", "-r", tmp_path / "r.json", "-o", tmp_path / "out", "--resamples", 100)
    done = run(*common, "--metrics", "bleu,rouge_l,cider", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    names = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"]
    assert [item["system"] for item in document["results"]] == names
    for item in document["results"]:
        assert (item["task"], item["dataset"], item["n"]) == ("metric-eval", "j.csv", 12)
        assert set(item["metrics"]) == {"kendall_tau_b", "kendall_tau_c"}
        for tau in item["metrics"].values():
            assert tau["low"] <= tau["value"] <= tau["high"]
        assert item["metrics"]["kendall_tau_b"]["value"] > 0.6
        record = json.loads((Path(item["path"]) / "result.json").read_text())
        assert (record["protocol"]["judgements"], record["protocol"]["format"]) == (36, "csv")
    sheet, page = document["tables"][:2]
    with open(sheet, newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["metric"] for row in table] == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"]
    tau_b = document["results"][0]["metrics"]["kendall_tau_b"]
    assert float(table[0]["kendall_tau_b"]) == pytest.approx(100 * tau_b["value"], abs=1e-3)
    assert "metric-eval" in table[0]["signatures"]
    assert "Kendall τ-c" in Path(page).read_text()
    verified = CliRunner().invoke(app, ["verify", str(tmp_path / "out")])
    assert verified.exit_code == 0, verified.output
    compared = CliRunner().invoke(app, ["compare", str(tmp_path / "out"), "-o", str(tmp_path / "again")])
    assert compared.exit_code == 0, compared.output
    assert "Agreement of metrics with people" in (tmp_path / "again/report.html").read_text()
    assert json.loads(run(*common, "--metrics", "bleu,rouge_l,cider", "--json").stdout) == document
    shown = run(*common, "--metrics", "rouge_l")
    assert shown.exit_code == 0
    assert "ROUGE-L" in shown.stdout


def test_verify_finds_a_score_that_was_changed(tmp_path, references):
    import pyarrow.parquet as pq

    write(tmp_path / "j.csv", [(image, found[0], place % 3) for place, (image, found) in enumerate(references.items())])
    (tmp_path / "r.json").write_text(json.dumps({image: found[1:] for image, found in references.items()}))
    done = run("-j", tmp_path / "j.csv", "-r", tmp_path / "r.json", "-o", tmp_path / "out", "--metrics", "rouge_l",
               "--resamples", 100, "--json")  # fmt: skip
    samples = Path(json.loads(done.stdout)["results"][0]["path"]) / "samples.parquet"
    table = pq.read_table(samples)
    ratings = table.column("rating").to_pylist()
    pq.write_table(table.set_column(2, "rating", [[ratings[1], ratings[0], *ratings[2:]]]), samples)
    verified = CliRunner().invoke(app, ["verify", str(tmp_path / "out")])
    assert verified.exit_code == 3
    assert "kendall_tau" in verified.output


def test_flickr8k_files(tmp_path):
    rng = random.Random(4)
    tokens = {f"{image}.jpg#{k}": sentence(rng) for image in "abcdef" for k in range(5)}
    (tmp_path / "t.txt").write_text("".join(f"{name}\t{text}\n" for name, text in tokens.items()))
    names = list(tokens)
    expert = [(f"{image}.jpg", rng.choice(names), *rng.choices("1234", k=3)) for image in "abcdef" for _ in range(4)]
    (tmp_path / "e.txt").write_text("".join("\t".join(row) + "\n" for row in expert))
    done = run("-j", tmp_path / "e.txt", "-r", tmp_path / "t.txt", "-o", tmp_path / "out", "--json",
               "--resamples", 100, "--metrics", "cider,rouge_l")  # fmt: skip
    assert done.exit_code == 0, done.output
    for item in json.loads(done.stdout)["results"]:
        protocol = json.loads((Path(item["path"]) / "result.json").read_text())["protocol"]
        assert (protocol["format"], protocol["tau"]) == ("expert", "c")
        assert protocol["judgements"] + protocol["left_out"] == 72
        assert protocol.get("df") == ("judgements" if item["system"] == "cider" else None)
    assert "papers report τ-c" in (tmp_path / "out/tables/metric_eval.md").read_text()


def test_cider_on_a_published_set_is_pycocoevalcaps_over_all_judgements(tmp_path):
    """Every judgement is an item with its references, as in the evaluation of CLIPScore."""
    scorer = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    from scipy.stats import kendalltau

    from vlmbench.data.judgements.read import read_judgements
    from vlmbench.metrics.captions.ptb.tokenizer import tokenize

    rng = random.Random(6)
    tokens = {f"{image}.jpg#{k}": sentence(rng) for image in "abcdefgh" for k in range(5)}
    (tmp_path / "t.txt").write_text("".join(f"{name}\t{text}\n" for name, text in tokens.items()))
    expert = [(f"{i}.jpg", rng.choice(list(tokens)), *rng.choices("1234", k=3)) for i in "aabcddddefgh" for _ in "xyz"]
    (tmp_path / "e.txt").write_text("".join("\t".join(row) + "\n" for row in expert))
    done = run("-j", tmp_path / "e.txt", "-r", tmp_path / "t.txt", "-o", tmp_path / "out", "--json",
               "--resamples", 100, "--metrics", "cider")  # fmt: skip
    found = read_judgements([tmp_path / "e.txt"], captions=[tmp_path / "t.txt"])
    said = [" ".join(words) for words in tokenize([item.candidate for item in found.items])]
    known = {i: [" ".join(words) for words in tokenize(captions)] for i, captions in found.references.items()}
    _, scores = scorer.compute_score(
        {k: known[item.image] for k, item in enumerate(found.items)}, {k: [text] for k, text in enumerate(said)}
    )
    (result,) = json.loads(done.stdout)["results"]
    for variant in "bc":
        tau = kendalltau(scores.round(12), [item.rating for item in found.items], variant=variant).statistic
        assert result["metrics"][f"kendall_tau_{variant}"]["value"] == pytest.approx(tau, abs=1e-9)


def test_composite_files_with_references_of_both_kinds(tmp_path):
    rng = random.Random(7)
    flickr = {f"{n}_ab": [sentence(rng) for _ in range(5)] for n in range(4)}
    coco = {n: [sentence(rng) for _ in range(5)] for n in range(30, 34)}
    (tmp_path / "t.token").write_text(
        "".join(f"{name}.jpg#{k}\t{text}\n" for name, found in flickr.items() for k, text in enumerate(found))
    )
    (tmp_path / "coco.json").write_text(
        json.dumps(
            {
                "images": [{"id": n} for n in coco],
                "annotations": [{"image_id": n, "caption": text} for n, found in coco.items() for text in found],
            }
        )
    )
    for name, count, images in (
        ("8k", 3, {f"{name}.jpg": found for name, found in flickr.items()}),
        ("coco", 4, {f"COCO_val2014_{n:012}.jpg": found for n, found in coco.items()}),
    ):
        header = ["HITId", "Input.image_url", *(f"Input.text{k + 1}" for k in range(count))]
        header += [f"Answer.Q{k + 1}Answer" for k in range(count)]
        lines = [";".join(header)]
        for image, found in images.items():
            said = [found[2].lower(), *(sentence(rng) for _ in range(count - 1))]
            lines.append(";".join(["h", f"http://x/{image}", *said, "5", *(rng.choice("123") for _ in said[1:])]))
        (tmp_path / f"{name}_correctness.csv").write_text("\n".join(lines) + "\n;;;\n")
    both = ("-j", tmp_path / "8k_correctness.csv", "-j", tmp_path / "coco_correctness.csv")
    more = ("-o", tmp_path / "out", "--metrics", "rouge_l", "--resamples", 100, "--json")
    done = run(*both, "-r", tmp_path / "t.token", "-r", tmp_path / "coco.json", *more)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    protocol = json.loads((Path(result["path"]) / "result.json").read_text())["protocol"]
    assert (result["n"], protocol["judgements"], protocol["left_out"]) == (8, 24, 4)
    assert (protocol["format"], protocol["tau"], protocol["references"]) == ("composite", "c", "4")
    lacking = run(*both, "-r", tmp_path / "t.token", *more)
    assert lacking.exit_code == 3
    assert "no references for 4 of 8 images" in lacking.output


@pytest.mark.parametrize(
    ("rows", "more", "code", "message"),
    [
        ([("0", "a dog", "good"), ("1", "a cat", 2)], (), 3, "line 2"),
        ([("0", "a dog", 1), ("99", "a cat", 2)], (), 3, "no references for 1 of 2 images"),
        ([("0", "a dog", 2), ("1", "a cat", 2)], (), 3, "ratings are equal"),
        ([("0", "a dog", 1), ("1", "a cat", 2)], ("--metrics", "clipscore"), 2, "--images DIR"),
        ([("0", "a dog", 1), ("1", "a cat", 2)], ("--metrics", "nonsense"), 2, "no such metric"),
        ([("0", "a dog", 1), ("0", "a cat", 2)], ("--metrics", "cider"), 3, "at least two images"),
    ],
)
def test_errors_have_their_exit_code(tmp_path, references, rows, more, code, message):
    write(tmp_path / "j.csv", rows)
    (tmp_path / "r.json").write_text(json.dumps(references))
    done = run("-j", tmp_path / "j.csv", "-r", tmp_path / "r.json", "-o", tmp_path / "out",
               *(more or ("--metrics", "rouge_l")))  # fmt: skip
    assert done.exit_code == code, done.output
    assert message in done.output
    assert not (tmp_path / "out" / "tables").exists()


def test_references_must_come_from_one_place(tmp_path):
    (tmp_path / "j.csv").write_text("image_id,candidate,rating,reference_1\n1,a dog,1,a dog\n2,a cat,2,a cat\n")
    arguments = ("-j", tmp_path / "j.csv", "-o", tmp_path / "out", "--metrics", "rouge_l", "--resamples", 100)
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "-r", tmp_path / "j.csv").exit_code == 2
    write(tmp_path / "k.csv", [("1", "a dog", 1), ("2", "a cat", 2)])
    assert run("-j", tmp_path / "k.csv", "-o", tmp_path / "out").exit_code == 2


def test_what_has_no_tau_or_no_interval_says_so(tmp_path, references):
    (tmp_path / "r.json").write_text(json.dumps(references))
    common = ("-r", tmp_path / "r.json", "-o", tmp_path / "out", "--resamples", 100, "--json", "--metrics")
    write(tmp_path / "same.csv", [("0", "zzz", 1), ("1", "qqq", 2), ("2", "xxx", 3)])
    done = run("-j", tmp_path / "same.csv", *common, "rouge_l")
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    assert result["metrics"] == {}
    record = json.loads((Path(result["path"]) / "result.json").read_text())
    assert "same score" in record["detail"]["not_defined"]
    assert "not defined" in (tmp_path / "out/tables/metric_eval.md").read_text()
    write(tmp_path / "one.csv", [("0", references["0"][0], 2), ("0", "zzz", 1)])
    done = run("-j", tmp_path / "one.csv", *common, "rouge_l")
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    assert result["metrics"]["kendall_tau_b"] == {"value": 1.0, "low": None, "high": None}
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "out")]).exit_code == 0
