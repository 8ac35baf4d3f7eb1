"""metric-eval from files to tables."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.data.judgements import Judgement, Judgements
from vlmbench.foundations.progress import Silent
from vlmbench.runs.caption_scoring import Protocol, score_captions
from vlmbench.runs.context import Context
from vlmbench.runs.metric_eval import score_judgements

FAST = ("bleu_1", "bleu_4", "rouge_l", "cider")
THINGS = ["dog", "cat", "man", "woman", "horse", "car", "bus", "train", "plate", "pizza", "beach", "street"]
HOSTILE = ["a dog\na cat\r\n", "x\u2028y\x85z", "a ||| b ||| c", "\x00\x1b[31m", "half \ud800 a dog", "SCORE ||| dog"]


def sentence(rng):
    return f"A {rng.choice(THINGS)} near the {rng.choice(THINGS)}, and a {rng.choice(THINGS)}."


def judged(pairs):
    items = tuple(Judgement(image, text, float(rating), "line 1") for image, text, rating in pairs)
    return Judgements("j", "csv", "j.csv", items, None)


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
        alone = score_captions(references, {"s": system}, context, protocol=Protocol(metrics=FAST, resamples=100))
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
    assert [item["metric"] for item in document["results"]] == [
        "bleu_1",
        "bleu_2",
        "bleu_3",
        "bleu_4",
        "rouge_l",
        "cider",
    ]
    for item in document["results"]:
        assert (item["task"], item["n"], item["images"]) == ("metric-eval", 36, 12)
        for name in ("kendall_tau_b", "kendall_tau_c"):
            assert item[name]["low"] <= item[name]["value"] <= item[name]["high"]
        assert item["kendall_tau_b"]["value"] > 0.6
    sheet, page = document["tables"]
    with open(sheet, newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["metric"] for row in table] == [item["metric"] for item in document["results"]]
    assert float(table[0]["tau_b"]) == pytest.approx(document["results"][0]["kendall_tau_b"]["value"], abs=1e-4)
    assert len([line for line in Path(page).read_text().splitlines() if line.startswith("| ")]) == 7
    assert json.loads(run(*common, "--metrics", "bleu,rouge_l,cider", "--json").stdout) == document
    shown = run(*common, "--metrics", "rouge_l")
    assert shown.exit_code == 0
    assert "rouge_l" in shown.stdout


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
        assert item["format"] == "expert"
        assert item["n"] + item["left_out"] == 72


@pytest.mark.parametrize(
    ("rows", "more", "code", "message"),
    [
        ([("0", "a dog", "good"), ("1", "a cat", 2)], (), 3, "line 2"),
        ([("0", "a dog", 1), ("99", "a cat", 2)], (), 3, "line 3"),
        ([("0", "a dog", 2), ("1", "a cat", 2)], (), 3, "all the same"),
        ([("0", "a dog", 1), ("1", "a cat", 2)], ("--metrics", "clipscore"), 2, "needs the images"),
        ([("0", "a dog", 1), ("1", "a cat", 2)], ("--metrics", "nonsense"), 2, "no such metric"),
        ([("0", "a dog", 1), ("0", "a cat", 2)], ("--metrics", "cider"), 3, "nothing is left"),
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
