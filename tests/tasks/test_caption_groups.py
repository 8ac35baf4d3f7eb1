"""Groups of images (nocaps' domains) as rows of their own; one file for both sides; drawn images; other languages."""

import csv
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import find_runs, read_samples
from vlmbench.report.verify import verify_run
from vlmbench.session.context import Context
from vlmbench.tasks.captions.evaluate import CaptionEvalRequest, open_references, run_caption_eval, training_captions
from vlmbench.tasks.captions.scoring import Scoring

METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider", "cider_d")
FAST = ("bleu_4", "rouge_l", "cider")
DOMAINS = ("in-domain", "near-domain", "out-domain")
THINGS = ["dog", "cat", "man", "woman", "horse", "car", "bus", "train", "plate", "pizza", "beach", "street", "kite"]


def sentence(rng: random.Random) -> str:
    return f"A {rng.choice(THINGS)} near the {rng.choice(THINGS)} and a {rng.choice(THINGS)}."


def context(folder: Path, cache: Path | None = None) -> Context:
    return Context(out=folder / "out", cache_dir=cache or folder / "cache", reporter=Silent())


@pytest.fixture
def nocaps(tmp_path: Path) -> Path:
    """``nocaps_val_4500_captions.json`` in small: 24 images, ten captions each, three domains; and two systems."""
    rng = random.Random(0)
    images = [
        {
            "id": n,
            "open_images_id": f"{n:016x}",
            "height": 10,
            "width": 10,
            "coco_url": f"https://s3.amazonaws.com/nocaps/val/{n:016x}.jpg",
            "file_name": f"{n:016x}.jpg",
            "license": 0,
            "domain": DOMAINS[n % 4 % 3],
        }
        for n in range(24)
    ]
    annotations = [
        {"image_id": image["id"], "id": 10 * image["id"] + k, "caption": sentence(rng)}
        for image in images
        for k in range(10)
    ]
    data = {"licenses": [], "info": {"url": "http://nocaps.org"}, "images": images, "annotations": annotations}
    (tmp_path / "nocaps.json").write_text(json.dumps(data))
    for name in ("one", "two"):
        results = [{"image_id": image["id"], "caption": sentence(rng)} for image in images]
        (tmp_path / f"{name}.json").write_text(json.dumps(results))
    return tmp_path


def cut(folder: Path, domain: str) -> None:
    """The same files with the images of one domain."""
    data = json.loads((folder / "nocaps.json").read_text())
    kept = {image["id"] for image in data["images"] if image["domain"] == domain}
    part = {
        "images": [{"id": image["id"]} for image in data["images"] if image["id"] in kept],
        "annotations": [item for item in data["annotations"] if item["image_id"] in kept],
    }
    (folder / "cut.json").write_text(json.dumps(part))
    for name in ("one", "two"):
        results = [item for item in json.loads((folder / f"{name}.json").read_text()) if item["image_id"] in kept]
        (folder / f"cut-{name}.json").write_text(json.dumps(results))


def ask(folder: Path, references: str, *systems: str, limit: int | None = None, **more: object) -> CaptionEvalRequest:
    return CaptionEvalRequest(
        str(folder / references),
        [f"{name.removeprefix('cut-')}={folder / name}.json" for name in systems],
        Scoring(**{"metrics": METRICS, "resamples": 100, **more}),
        limit=limit,
    )


@pytest.mark.parametrize("documents", [None, "nocaps.json"])
def test_a_domain_is_scored_as_a_file_cut_to_it(
    nocaps: Path, documents: str | None, pytestconfig: pytest.Config
) -> None:
    assert pytestconfig.cache is not None
    here = context(nocaps, Path(pytestconfig.cache.mkdir("meteor")))
    more = {"documents": str(nocaps / documents), "metrics": FAST} if documents else {}
    runs = run_caption_eval(ask(nocaps, "nocaps.json", "one", "two", **more), here)
    assert [run.record.dataset.id for run in runs] == ["nocaps.json"] * 2 + [
        f"nocaps.json {domain}" for domain in DOMAINS for _ in "ab"
    ]
    assert [run.record.n for run in runs] == [24, 24, 12, 12, 6, 6, 6, 6]
    for place, domain in enumerate(DOMAINS):
        cut(nocaps, domain)
        alone = run_caption_eval(ask(nocaps, "cut.json", "cut-one", "cut-two", **more), here)
        for run, other in zip(runs[2 + 2 * place : 4 + 2 * place], alone, strict=True):
            for name, metric in run.record.metrics.items():
                assert metric.model_dump() == pytest.approx(other.record.metrics[name].model_dump(), rel=1e-12)
            assert run.record.detail.text == other.record.detail.text
            assert run.record.protocol.group == domain
            assert list(read_samples(run)["id"]) == list(read_samples(other)["id"])
    for run in runs:
        assert verify_run(run) == []


def test_every_domain_is_a_row_with_n_and_interval(nocaps: Path) -> None:
    arguments = ["caption-eval", "-r", str(nocaps / "nocaps.json"), "--metrics", "cider", "--resamples", "100"]
    for name in ("one", "two"):
        arguments += ["-p", str(nocaps / f"{name}.json")]
    done = CliRunner().invoke(app, [*arguments, "-o", str(nocaps / "out"), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert len(document["results"]) == 8
    assert all(item["metrics"]["cider"]["low"] is not None for item in document["results"])
    with open(nocaps / "out/tables/captions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["dataset"], row["n"]) for row in rows} == {
        ("nocaps.json", "24"),
        ("nocaps.json in-domain", "12"),
        ("nocaps.json near-domain", "6"),
        ("nocaps.json out-domain", "6"),
    }
    assert "not all runs are shown side by side" not in (nocaps / "out/tables/captions.md").read_text()


def test_a_group_of_one_image_says_what_it_lacks_and_missing_captions_are_counted_in_their_group(nocaps: Path) -> None:
    data = json.loads((nocaps / "nocaps.json").read_text())
    for image in data["images"][1:]:
        image["domain"] = "rest"
    (nocaps / "r.json").write_text(json.dumps(data))
    results = json.loads((nocaps / "two.json").read_text())
    (nocaps / "two.json").write_text(json.dumps(results[3:]))
    more = {"allow_missing": True, "metrics": ("rouge_l", "cider")}
    runs = run_caption_eval(ask(nocaps, "r.json", "one", "two", **more), context(nocaps))
    told = [(run.record.system, run.record.dataset.id, run.record.n) for run in runs]
    assert told == [
        ("one", "r.json", 24),
        ("two", "r.json", 21),
        ("one", "r.json in-domain", 1),
        ("one", "r.json rest", 23),
        ("two", "r.json rest", 21),
    ]
    assert set(runs[2].record.metrics) == {"rouge_l"}
    assert "two images" in runs[2].record.detail.left_out["cider"]
    assert runs[4].record.detail.missing == 2
    only = run_caption_eval(ask(nocaps, "r.json", "one", metrics=("cider",)), context(nocaps))
    assert [run.record.dataset.id for run in only] == ["r.json", "r.json rest"]


def test_one_group_is_the_whole(nocaps: Path) -> None:
    (nocaps / "r.json").write_text((nocaps / "nocaps.json").read_text().replace("near-", "in-").replace("out-", "in-"))
    assert len(run_caption_eval(ask(nocaps, "r.json", "one", metrics=FAST), context(nocaps))) == 1


def test_one_file_of_objects_is_both_sides(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [{"file": f"{n}.jpg", "refs": [sentence(rng), sentence(rng)], "out": sentence(rng)} for n in range(6)]
    (tmp_path / "both.json").write_text(json.dumps(rows))
    (tmp_path / "r.json").write_text(json.dumps({row["file"]: row["refs"] for row in rows}))
    (tmp_path / "p.json").write_text(json.dumps({row["file"]: row["out"] for row in rows}))
    both = str(tmp_path / "both.json")
    found = run_caption_eval(
        CaptionEvalRequest(
            f"file:{both}",
            [f"m=file:{both}"],
            Scoring(FAST, resamples=100),
            columns="image=file,captions=refs,prediction=out",
        ),
        context(tmp_path),
    )
    plain = run_caption_eval(
        CaptionEvalRequest(str(tmp_path / "r.json"), [f"m={tmp_path / 'p.json'}"], Scoring(FAST, resamples=100)),
        context(tmp_path),
    )
    assert found[0].record.metrics == plain[0].record.metrics


def test_a_limit_draws_images_and_leaves_the_captions_of_others_out(nocaps: Path) -> None:
    (drawn, *_), (again, *_) = (
        run_caption_eval(ask(nocaps, "nocaps.json", "one", metrics=FAST, limit=5), context(nocaps)) for _ in "ab"
    )
    assert (drawn.record.n, drawn.record.protocol.limit) == (5, 5)
    assert drawn.path == again.path
    whole = run_caption_eval(ask(nocaps, "nocaps.json", "one", metrics=FAST, limit=99), context(nocaps))
    assert whole[0].record.n == 24
    assert whole[0].record.protocol.limit is None
    results = [*json.loads((nocaps / "one.json").read_text()), {"image_id": 77, "caption": "a stranger"}]
    (nocaps / "one.json").write_text(json.dumps(results))
    with pytest.raises(InputError, match="no references of 1 image"):
        run_caption_eval(ask(nocaps, "nocaps.json", "one", metrics=FAST, limit=5), context(nocaps))


def test_a_limit_draws_the_images_that_it_draws_of_a_dataset_elsewhere(tmp_path: Path) -> None:
    arguments = ["-o", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache"), "-q", "--metrics", "rouge_l"]
    made = CliRunner().invoke(
        app, ["caption-eval", "--captioner", "tiny-captioner", "-d", "scenes", "--limit", "7", *arguments]
    )
    assert made.exit_code == 0, made.output
    (results,) = (tmp_path / "out/captions").glob("*.json")
    files = CliRunner().invoke(app, ["caption-eval", "-r", "scenes", "-p", str(results), "--limit", "7", *arguments])
    assert files.exit_code == 0, files.output
    one, two = (list(read_samples(run)["id"]) for run in find_runs([tmp_path / "out"]))
    assert one == two


def test_training_captions_of_karpathys_file_have_restval_when_asked(tmp_path: Path) -> None:
    images = [
        {"cocoid": n, "filename": f"{n}.jpg", "split": split, "sentences": [{"raw": split}]}
        for n, split in enumerate(("train", "restval", "val", "test"))
    ]
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))
    here = context(tmp_path)
    assert training_captions(str(path), here) == ["train"]
    assert training_captions(f"{path}?restval=yes", here) == ["train", "restval"]
    assert training_captions(f"coco:{path}?restval=yes", here) == ["train", "restval"]
    assert training_captions(f"coco:{path}", here) == ["train"]
    assert open_references(str(path), here).captions == {"3": ["test"]}
    coco = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "x"}]}
    (tmp_path / "captions_train2014.json").write_text(json.dumps(coco))
    for spec in ("", "coco:"):
        assert training_captions(f"{spec}{tmp_path / 'captions_train2014.json'}", here) == ["x"]


GERMAN = [
    "Ein Hund rennt mit einem Ball",
    "Eine Frau mit dem roten Hut",
    "Zwei Kinder auf der Wiese",
    "Das ist ein Haus",
]


def test_captions_that_are_not_english_are_told_of_once(tmp_path: Path) -> None:
    references = {str(n): ["a dog runs on the grass with a ball", "two dogs and the man"] for n in range(8)}
    (tmp_path / "r.json").write_text(json.dumps(references))
    (tmp_path / "english.json").write_text(json.dumps({str(n): f"a dog with {n} balls" for n in range(8)}))
    (tmp_path / "german.json").write_text(json.dumps({str(n): GERMAN[n % 4] for n in range(8)}))
    here = context(tmp_path)
    english, german = run_caption_eval(ask(tmp_path, "r.json", "english", "german", metrics=FAST), here)
    (said,) = here.reporter.warnings
    assert "german: " in said
    assert "english: " not in said
    assert english.record.detail.not_english is None
    assert "function words of other languages" in german.record.detail.not_english
    table = CliRunner().invoke(app, ["compare", str(tmp_path / "out"), "-o", str(tmp_path / "out"), "--no-report"])
    assert table.exit_code == 0, table.output
    assert "do not look English: german" in (tmp_path / "out/tables/captions.md").read_text()
    (tmp_path / "r.json").write_text(json.dumps({str(n): [GERMAN[n % 4]] for n in range(8)}))
    here = context(tmp_path)
    run_caption_eval(ask(tmp_path, "r.json", "english", "german", metrics=FAST), here)
    (said,) = here.reporter.warnings
    assert "the references: " in said


def test_a_split_may_be_that_of_the_images_clipscore_looks_at(tmp_path: Path) -> None:
    from vlmbench.data.open import open_dataset
    from vlmbench.session.session import Session
    from vlmbench.tasks.captions.evaluate import check_caption_eval

    split = open_dataset("scenes", tmp_path).split("val")
    (tmp_path / "r.json").write_text(json.dumps(dict(zip(split.ids, map(list, split.captions), strict=True))))
    said = {id: found[0] for id, found in zip(split.ids, split.captions, strict=True)}
    (tmp_path / "p.json").write_text(json.dumps(said))
    files = {"references": str(tmp_path / "r.json"), "candidates": [str(tmp_path / "p.json")], "split": "val"}
    session = Session(context(tmp_path))
    scoring = Scoring(("clipscore",), clip="tiny-clip")
    check_caption_eval(CaptionEvalRequest(**files, scoring=scoring, images="scenes"), session)
    with pytest.raises(UsageError, match="does not say which split"):
        check_caption_eval(CaptionEvalRequest(**files, scoring=Scoring(("rouge_l",))), session)
