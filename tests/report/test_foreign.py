"""CLIP_benchmark's results beside ours: recognised with certainty, shown, and never taken for a run or tested.

The JSON is what ``clip_benchmark/cli.py`` dumps (``json.dump`` of dataset, model, pretrained, task, metrics, language);
the CSV has the header of ``benchmark/benchmark.csv`` in LAION-AI/CLIP_benchmark, which ``clip_benchmark build`` made.
"""

import csv
import io
import json
from pathlib import Path

import factory
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.records.foreign import find_foreign, read_foreign
from vlmbench.records.store import find_results, find_runs
from vlmbench.report.table import Table
from vlmbench.report.tables.foreign import dataset_of, left_out, metrics_of
from vlmbench.report.tables.write import build_tables

HEADER = (
    "acc1,acc5,mean_per_class_recall,dataset,model,pretrained,task,mean_average_precision,image_retrieval_recall@5,"
    "text_retrieval_recall@5,model_fullname"
)
BUILT = f"""{HEADER}
0.9364,0.9993,0.9365,vtab/cifar10,ViT-B-32,laion2b_s34b_b79k,zeroshot_classification,,,,ViT-B-32 laion2b_s34b_b79k
0.6225,nan,0.6221,vtab/pcam,ViT-B-32,openai,zeroshot_classification,,,,ViT-B-32 openai
,,,voc2007_multilabel,ViT-B-32,openai,zeroshot_classification,0.7519,,,ViT-B-32 openai
,,,mscoco_captions,ViT-B-32,openai,zeroshot_retrieval,,0.5584,0.7485,ViT-B-32 openai
"""


def dump(path: Path, dataset: str, task: str = "zeroshot_classification", language: str = "en", **metrics) -> Path:
    value = {
        "dataset": dataset,
        "model": "ViT-B-32",
        "pretrained": "openai",
        "task": task,
        "metrics": metrics,
        "language": language,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def compare(*arguments: object):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def lines(table: Table) -> list[dict]:
    return [dict(zip((column.key for column in table.columns), row, strict=True)) for row in factory.systems(table)]


def test_a_result_stands_beside_our_runs_without_interval_mark_or_test(tmp_path: Path) -> None:
    for model, accuracy, seed in (("one", 0.5, 1), ("two", 0.9, 2)):
        factory.write_classification(
            tmp_path / "ours", system=model, dataset="hf:mteb/cifar10", accuracy=accuracy, seed=seed
        )
    theirs = dump(tmp_path / "cb.json", "wds/vtab/cifar10", acc1=0.99, acc5=0.999, mean_per_class_recall=0.98)
    runs, foreign = find_results([tmp_path / "ours", theirs])
    classification, *_, comparisons = build_tables(runs, every_pair=True, foreign=foreign)
    one, two, other = lines(classification)
    assert (one["zero_shot"].mark, two["zero_shot"].mark) == ("", "best")
    assert other["model"].text == "ViT-B-32 openai (CLIP_benchmark)"
    assert other["dataset"].text == one["dataset"].text
    assert (other["n"].text, other["metric"].text) == ("", "accuracy")
    shown = other["zero_shot"]
    assert (shown.value, shown.low, shown.high, shown.mark, shown.runs) == (0.99, None, None, "", ())
    assert shown.source == f"CLIP_benchmark: {theirs}"
    assert any("neither tested nor marked" in note and str(theirs) in note for note in classification.notes)
    assert len(comparisons.rows) == 1
    assert not any("CLIP_benchmark" in cell.text for row in comparisons.rows for cell in row)


def test_the_metric_is_that_of_our_rows_or_the_datasets_own(tmp_path: Path) -> None:
    ours = factory.write_classification(
        tmp_path / "ours", dataset="cifar10", protocol={"metric": "mean_per_class_accuracy"}
    )
    paths = [
        dump(tmp_path / "a.json", "cifar10", acc1=0.9, mean_per_class_recall=0.8),
        dump(tmp_path / "b.json", "vtab/pets", acc1=0.7, mean_per_class_recall=0.6),
        dump(tmp_path / "c.json", "wds/voc2007_multilabel", mean_average_precision=0.75),
    ]
    (table,) = build_tables([ours], foreign=find_foreign(paths))
    found = {line["dataset"].text: line for line in lines(table) if "CLIP_benchmark" in line["model"].text}
    assert {name: (line["metric"].text, line["zero_shot"].value) for name, line in found.items()} == {
        "cifar10": ("mean_per_class_accuracy", 0.8),
        "pets": ("mean_per_class_accuracy", 0.6),
        "voc2007_multilabel": ("map", 0.75),
    }


def test_beside_several_places_the_row_claims_none_of_their_n(tmp_path: Path) -> None:
    for n in (300, 400):
        factory.write_classification(tmp_path / "ours", dataset="cifar10", n=n)
    theirs = dump(tmp_path / "cb.json", "cifar10", acc1=0.9)
    (table,) = build_tables(find_runs([tmp_path / "ours"]), foreign=find_foreign([theirs]))
    assert [line["dataset"].text for line in lines(table)] == ["cifar10 (n 300)", "cifar10 (n 400)", "cifar10"]


def test_zero_shot_and_probe_of_one_model_are_one_row_and_another_language_another(tmp_path: Path) -> None:
    dump(tmp_path / "zero.json", "cifar10", acc1=0.9, acc5=0.99)
    dump(tmp_path / "probe.json", "cifar10", "linear_probe", lp_acc1=0.95, lp_acc5=1.0, fewshot_k=-1, epochs=10)
    dump(tmp_path / "de.json", "cifar10", language="de", acc1=0.7)
    (table,) = build_tables([], foreign=find_foreign([tmp_path]))
    found = [(line["model"].text, line["zero_shot"].value, line["probe"].value) for line in lines(table)]
    assert found == [
        ("ViT-B-32 openai (CLIP_benchmark)", 0.9, 0.95),
        ("ViT-B-32 openai (CLIP_benchmark, de)", 0.7, None),
    ]


def test_two_files_of_one_model_with_other_figures_are_two_rows_and_copies_are_one(tmp_path: Path) -> None:
    dump(tmp_path / "a.json", "cifar10", acc1=0.9)
    dump(tmp_path / "copy.json", "cifar10", acc1=0.9)
    other = dump(tmp_path / "other_prompts.json", "cifar10", acc1=0.8)
    (table,) = build_tables([], foreign=find_foreign([tmp_path]))
    assert [(line["model"].text, line["zero_shot"].value) for line in lines(table)] == [
        ("ViT-B-32 openai (CLIP_benchmark)", 0.9),
        (f"ViT-B-32 openai (CLIP_benchmark, {other})", 0.8),
    ]


def test_the_csv_of_build_gives_every_row(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.csv"
    path.write_text(BUILT)
    found = read_foreign(path)
    assert [dataset_of(one.dataset) for one in found] == [
        "cifar10",
        "patch_camelyon",
        "voc2007_multilabel",
        "mscoco_captions",
    ]
    assert metrics_of(found[0]) == {
        "accuracy": 0.9364,
        "accuracy_top5": 0.9993,
        "mean_per_class_accuracy": 0.9365,
    }
    assert "accuracy_top5" not in metrics_of(found[1])
    assert metrics_of(found[2]) == {"map": 0.7519}
    assert metrics_of(found[3]) == {"text_to_image_recall_5": 0.5584, "image_to_text_recall_5": 0.7485}
    classification, retrieval = build_tables([], foreign=found)
    assert len(classification.rows) == 3
    (line,) = lines(retrieval)
    assert (line["text_to_image_recall_5"].value, line["image_to_text_recall_5"].value) == (0.5584, 0.7485)
    assert "image_to_text_recall_1" not in line


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("wds/vtab/flowers", "flowers102"),
        ("wds/renderedsst2", "rendered_sst2"),
        ("wds/imagenet1k", "imagenet1k"),
        ("imagenet-a", "imagenet-a"),
        ("vtab/clevr_count_all", "clevr_count_all"),
        ("wds/flickr30k", "flickr30k"),
        ("babel_imagenet", "babel_imagenet"),
    ],
)
def test_their_datasets_have_our_names(theirs: str, ours: str) -> None:
    assert dataset_of(theirs) == ours


def test_a_directory_is_searched_and_what_is_of_another_kind_is_passed_over(tmp_path: Path) -> None:
    ours = factory.write_classification(tmp_path, dataset="cifar10")
    dump(tmp_path / "old" / "result.json", "cifar10", acc1=0.9, acc5=float("nan"), mean_per_class_recall=0.9)
    (tmp_path / "other.json").write_text('{"dataset": "x", "model": "y", "metrics": {"acc1": 1}}')
    (tmp_path / "broken.json").write_text('{"dataset", "model", "pretrained", "task", "metrics"')
    (tmp_path / "table.csv").write_text("dataset,model,acc1\na,b,1\n")
    runs, foreign = find_results([tmp_path])
    assert [run.path for run in runs] == [ours.path]
    assert [one.path.name for one in foreign] == ["result.json"]
    assert foreign[0].metrics == {"acc1": 0.9, "mean_per_class_recall": 0.9}
    done = compare(tmp_path, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(found["results"]) == 1
    assert found["foreign"] == [
        {
            "program": "CLIP_benchmark",
            "task": "zeroshot_classification",
            "system": "ViT-B-32 openai",
            "dataset": "cifar10",
            "language": "en",
            "metrics": {
                "accuracy": {"value": 0.9, "low": None, "high": None},
                "mean_per_class_accuracy": {"value": 0.9, "low": None, "high": None},
            },
            "path": str(tmp_path / "old" / "result.json"),
        }
    ]


@pytest.mark.parametrize("name", ["other.json", "other.csv", "other.txt"])
def test_a_file_of_another_kind_that_is_named_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"dataset": "x"}')
    done = compare(path, "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "neither a run nor a result of CLIP_benchmark" in done.stderr
    assert name in done.stderr.replace("\n", "")


def test_check_and_verify_never_take_it_for_a_run(tmp_path: Path) -> None:
    ours = factory.write_classification(tmp_path / "ours", dataset="cifar10")
    theirs = dump(tmp_path / "ours" / "theirs" / "result.json", "cifar10", acc1=0.9)
    baseline = tmp_path / "baseline.json"
    run = CliRunner().invoke
    assert run(app, ["check", "--update", "--baseline", str(baseline), str(tmp_path / "ours")]).exit_code == 0
    assert len(json.loads(baseline.read_text())["runs"]) == 1
    verified = run(app, ["verify", str(tmp_path / "ours"), "--json"])
    assert verified.exit_code == 0
    assert [run.path for run in find_runs([tmp_path / "ours"])] == [ours.path]
    for command in (["verify", str(theirs)], ["check", "--baseline", str(baseline), str(theirs)]):
        named = run(app, command)
        assert named.exit_code == 3
        assert "a result of CLIP_benchmark, not a run" in named.stderr
        assert "vlmbench compare" in named.stderr
    alone = run(app, ["verify", str(theirs.parent)])
    assert alone.exit_code == 3
    assert "no finished run" in alone.stderr


def test_what_no_table_shows_is_said(tmp_path: Path) -> None:
    dump(tmp_path / "a.json", "cifar10", "linear_probe", lp_acc1=0.5, fewshot_k=4)
    dump(tmp_path / "b.json", "winoground", "image_caption_selection", image_acc=0.3, text_acc=0.1, acc=0.05)
    dump(tmp_path / "c.json", "cifar10", unheard_of=0.5)
    said = left_out(find_foreign([tmp_path]))
    assert [line.partition(": ")[2] for line in said] == [
        "a probe on 4 labels per class has no column in a table of probes on all labels",
        "no table of this version shows the task image_caption_selection",
        "it has no metric that vlmbench knows",
    ]
    done = compare(tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "nothing to show" in done.stderr
    assert "is left out: a probe on 4 labels" in done.stderr.replace("\n", " ")


def test_the_files_name_the_source(tmp_path: Path) -> None:
    theirs = dump(tmp_path / "cb.json", "cifar10", acc1=0.9)
    factory.write_classification(tmp_path / "ours", dataset="cifar10")
    out = tmp_path / "out"
    assert compare(tmp_path / "ours", theirs, "--out", out).exit_code == 0
    rows = list(csv.DictReader(io.StringIO((out / "tables" / "classification.csv").read_text())))
    rows = [row for row in rows if not row["model"].startswith("reference: ")]
    assert [row["zero_shot_source"] for row in rows] == ["", f"CLIP_benchmark: {theirs}"]
    assert (rows[1]["zero_shot"], rows[1]["zero_shot_low"], rows[1]["signatures"]) == ("90.0000", "", "")
    for name in ("classification.md", "classification.html", "classification.tex"):
        text = (out / "tables" / name).read_text()
        assert "CLIP" in text
        assert "cb.json" in text
    assert "cb.json" in (out / "report.html").read_text()
