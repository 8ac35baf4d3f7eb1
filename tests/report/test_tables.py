"""Every figure in every table file is a record's, and carries its interval, n and signature."""

import csv
import io
import re
from pathlib import Path

import factory
import parsing
import pytest

from vlmbench.records.signature import parse_signature
from vlmbench.records.store import StoredRun, find_runs
from vlmbench.report.tables.classification import DIFFERENCE, MEAN
from vlmbench.report.tables.published import published
from vlmbench.report.tables.write import build_tables, write_tables


@pytest.fixture(scope="module")
def written(demo_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, StoredRun], Path]:
    out = tmp_path_factory.mktemp("tables")
    runs = find_runs([demo_once])
    write_tables(build_tables(runs), out)
    return {run.path.name: run for run in runs}, out / "tables"


def record_of(runs: dict[str, StoredRun], task: str, model: str, dataset: str, shots: int | None) -> StoredRun:
    return next(
        run
        for run in runs.values()
        if (run.record.task, run.record.system, run.record.dataset.id, run.record.shots)
        == (task, model, dataset, shots)
    )


def figures_of(runs: dict[str, StoredRun], model: str, dataset: str) -> dict[str, tuple[float, float, float]]:
    found = {}
    for key, task, shots in (
        ("zero-shot", "zeroshot", None),
        ("probe, all labels", "linear-probe", None),
        *((f"{k}-shot", "linear-probe", k) for k in (1, 2, 4, 8, 16)),
    ):
        metric = record_of(runs, task, model, dataset, shots).record.metrics["accuracy"]
        found[key] = (metric.value * 100, metric.low * 100, metric.high * 100)
    return found


def test_every_figure_of_the_csv_is_a_records(written: tuple[dict[str, StoredRun], Path]) -> None:
    runs, tables = written
    rows = list(csv.DictReader(io.StringIO((tables / "classification.csv").read_text())))
    references = [row for row in rows if row["model"].startswith("reference: ")]
    assert {(row["zero_shot"], row["probe_mark"], row["p_holm"]) for row in references if "chance" in row["model"]} == {
        ("10.0000", "", "")
    }
    rows = [row for row in rows if row not in references]
    assert (len(rows), len(references)) == (6, 4)
    checked = 0
    for row in rows:
        behind = [runs[name] for name in row["runs"].split()]
        assert [run.record.signature for run in behind] == row["signatures"].split()
        if row["dataset"].startswith("mean"):
            continue
        figures = figures_of(runs, row["model"], row["dataset"])
        keys = {
            "zero_shot": "zero-shot",
            "probe": "probe, all labels",
            **{f"shots_{k}": f"{k}-shot" for k in (1, 2, 4, 8, 16)},
        }
        for key, name in keys.items():
            assert tuple(float(row[key + end]) for end in ("", "_low", "_high")) == pytest.approx(
                figures[name], abs=1e-4
            )
            checked += 1
        assert float(row["difference"]) == pytest.approx(
            figures["zero-shot"][0] - figures["probe, all labels"][0], abs=1e-3
        )
        assert float(row["difference_low"]) < float(row["difference"]) < float(row["difference_high"])
        assert int(row["n"]) == behind[0].record.n
    assert checked == 4 * 7


def assert_rows(runs: dict[str, StoredRun], header: list[str], rows: list[list[str]]) -> int:
    checked = 0
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        if cells["dataset"].startswith("mean") or cells["model"].startswith("reference: "):
            continue
        figures = figures_of(runs, cells["model"], cells["dataset"])
        for name, cell in cells.items():
            if name in figures:
                assert parsing.figures(cell) == pytest.approx(figures[name], abs=0.0500001)
                checked += 1
    return checked


def test_every_figure_of_the_markdown_is_a_records(written: tuple[dict[str, StoredRun], Path]) -> None:
    runs, tables = written
    text = (tables / "classification.md").read_text()
    tables_there = parsing.markdown_tables(text)
    checked = sum(assert_rows(runs, table[0], table[1:]) for table in tables_there)
    assert checked == 4 * 8
    signatures = dict(re.findall(r"^(\d+)\. (\S*:.*)$", text, re.MULTILINE))
    (common,) = re.findall(r"^all: (.*)$", text, re.MULTILINE)
    shared = parse_signature(common)
    assert shared, "what all rows have in common stands once"
    found = [{**parse_signature(line), **shared} for line in signatures.values()]
    whole = [parse_signature(run.record.signature) for run in runs.values()]
    assert sorted(map(sorted, map(dict.items, found))) == sorted(map(sorted, map(dict.items, whole)))
    assert not any(set(parse_signature(line)) & set(shared) for line in signatures.values())
    for line in (row for table in tables_there for row in table):
        if line[0] in {"digits", "counting"}:
            for number in line[-1].split(", "):
                assert f"data:{line[0]}/" in signatures[number]
                assert line[1].startswith("reference: ") or f"system:{line[1]}|" in signatures[number]


def test_every_figure_of_the_latex_is_a_records(written: tuple[dict[str, StoredRun], Path]) -> None:
    runs, tables = written
    text = (tables / "classification.tex").read_text()
    checked = sum(assert_rows(runs, table[0], table[1:]) for table in parsing.latex_tables(text))
    assert checked == 4 * 8


def test_every_figure_of_the_html_is_a_records(written: tuple[dict[str, StoredRun], Path]) -> None:
    runs, tables = written
    checked = 0
    for table in parsing.html_rows((tables / "classification.html").read_text()):
        header = [text for text, _ in table[0]]
        checked += assert_rows(runs, header, [[text for text, _ in row] for row in table[1:]])
        for row in table[1:]:
            for text, attributes in row:
                if attributes.get("class") == "figure" and parsing.CELL.fullmatch(text.strip()):
                    for line in attributes["title"].splitlines():
                        name, _, signature = line.partition(": ")
                        assert runs[name].record.signature == signature
    assert checked == 4 * 8


def test_a_mean_is_over_all_datasets_or_absent(demo: Path) -> None:
    factory.write_classification(demo, "zeroshot", "third-clip", "digits", accuracy=0.7)
    table = build_tables(find_runs([demo]))[0]
    means = {row[1].text: row for row in table.rows if row[0].text.startswith("mean")}
    assert set(means) == {"tiny-clip", "other-clip"}
    zero = [
        record_of(dict(enumerate(find_runs([demo]))), "zeroshot", "tiny-clip", d, None) for d in ("digits", "counting")
    ]
    expected = sum(run.record.metrics["accuracy"].value for run in zero) / 2
    assert means["tiny-clip"][4].value == pytest.approx(expected)


def test_the_best_is_marked_and_those_not_significantly_worse(tmp_path: Path) -> None:
    for model, accuracy, seed in (("good", 0.9, 1), ("near", 0.89, 2), ("bad", 0.5, 3)):
        factory.write_classification(tmp_path, "zeroshot", model, accuracy=accuracy, seed=seed, n=600)
    runs = find_runs([tmp_path])
    table = build_tables(runs)[0]
    marks = {row[1].text: row[4].mark for row in factory.systems(table)}
    values = {run.record.system: run.record.metrics["accuracy"].value for run in runs}
    best = max(values, key=values.__getitem__)
    assert marks.pop(best) == "best"
    assert marks.pop("bad") == ""
    assert list(marks.values()) == ["tied"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n": 300}, "n (300, 400)"),
        ({"dataset_facts": {"split": "val"}}, "split (test, val)"),
        ({"protocol": {"metric": "mean_per_class_accuracy"}}, "metric (accuracy, mean_per_class_accuracy)"),
        ({"dataset_facts": {"fingerprint": "ff" * 32}}, "content ("),
    ],
)
def test_what_is_not_comparable_is_not_put_side_by_side(tmp_path: Path, change: dict, word: str) -> None:
    factory.write_classification(tmp_path, "zeroshot")
    factory.write_classification(tmp_path, "linear-probe", **change)
    table = build_tables(find_runs([tmp_path]))[0]
    rows = factory.systems(table)
    assert len(rows) == 2
    assert "difference" not in [column.key for column in table.columns]
    assert any(word in note for note in table.notes), table.notes
    assert rows[0][0].text != rows[1][0].text


def test_of_many_places_there_is_one_line_and_it_stands_beside_its_own_dataset_only(tmp_path: Path) -> None:
    for n in (300, 400, 500):
        factory.write_classification(tmp_path, n=n)
    factory.write_classification(tmp_path, dataset="other")
    factory.write_classification(tmp_path, dataset="third")
    runs = find_runs([tmp_path])
    table = build_tables(runs)[0]
    lines = [note for note in table.notes if "side by side" in note]
    assert lines == ["digits: not all runs are shown side by side, because they differ in n (300, 400, 500)"]
    alone = table.with_runs([run for run in runs if run.record.dataset.id == "other"])
    assert len(factory.systems(alone)) == 1
    assert len(alone.rows) == 3
    assert alone.notes == tuple(note for note in table.notes if note not in {*lines, MEAN})


def test_what_explains_a_column_stands_below_it_only(tmp_path: Path) -> None:
    factory.write_classification(tmp_path, "linear-probe", accuracy=0.9)
    for dataset in ("digits", "other"):
        factory.write_classification(tmp_path, dataset=dataset)
    runs = find_runs([tmp_path])
    table = build_tables(runs)[0]
    shown = [table.with_runs([run for run in runs if run.record.dataset.id == name]) for name in ("digits", "other")]
    assert [DIFFERENCE in one.notes for one in shown] == [True, False]


@pytest.mark.parametrize("field", ["prompts", "classnames_sha256"])
def test_zero_shot_with_other_prompts_or_class_names_is_tested_against(tmp_path: Path, field: str) -> None:
    for name, accuracy, seed in (("simple", 0.6, 1), ("many", 0.8, 2), ("more", 0.79, 3)):
        factory.write_classification(tmp_path, "zeroshot", accuracy=accuracy, seed=seed, protocol={field: name})
    classification, *_, comparisons = build_tables(find_runs([tmp_path]), every_pair=True)
    marks = {row[1].text: row[4].mark for row in factory.systems(classification)}
    assert marks[f"tiny-clip ({field} simple)"] == ""
    assert sorted(marks.values()) == ["", "best", "tied"]
    assert not any("not tested" in note for note in classification.notes)
    cells = [dict(zip((column.key for column in comparisons.columns), row, strict=True)) for row in comparisons.rows]
    assert len(cells) == 3
    gaps = {(line["first"].text, line["second"].text): line["difference"] for line in cells}
    gap = gaps[f"tiny-clip ({field} many)", f"tiny-clip ({field} simple)"]
    one, two = (run.record.metrics["accuracy"].value for run in gap.runs)
    assert gap.value == pytest.approx(one - two)
    assert gap.p < 0.001


def test_holms_correction_is_over_both_columns(tmp_path: Path) -> None:
    from vlmbench.report.pairs import Pairs

    for task in ("zeroshot", "linear-probe"):
        for model, accuracy, seed in (("good", 0.86, 1), ("near", 0.81, 5)):
            factory.write_classification(tmp_path, task, model, accuracy=accuracy, seed=seed, n=600)
    runs = find_runs([tmp_path])
    pairs = Pairs()
    ps = [
        pairs.differences(one, two, ["accuracy"])["accuracy"].p
        for task in ("zeroshot", "linear-probe")
        for one, two in [[run for run in runs if run.record.task == task]]
    ]
    assert all(0.025 < p < 0.05 for p in ps), "each would be significant alone, and neither is of two"
    table = build_tables(runs)[0]
    assert {row[at].mark for row in factory.systems(table) for at in (4, 5)} == {"best", "tied"}


def test_variants_of_one_model_are_rows_named_by_what_differs(tmp_path: Path) -> None:
    for prompts in ("simple", "many"):
        factory.write_classification(tmp_path, "zeroshot", protocol={"prompts": prompts})
    factory.write_classification(tmp_path, "linear-probe", accuracy=0.9)
    rows = factory.systems(build_tables(find_runs([tmp_path]))[0])
    assert {row[1].text for row in rows} == {"tiny-clip (prompts simple)", "tiny-clip (prompts many)"}
    assert all(row[5].is_figure for row in rows)


def test_a_probe_that_stands_in_two_rows_has_its_mark_in_both(tmp_path: Path) -> None:
    for prompts in ("simple", "many"):
        factory.write_classification(tmp_path, "zeroshot", protocol={"prompts": prompts})
    factory.write_classification(tmp_path, "linear-probe", accuracy=0.9)
    factory.write_classification(tmp_path, "linear-probe", "other", accuracy=0.5, seed=2)
    rows = factory.systems(build_tables(find_runs([tmp_path]))[0])
    assert {(row[1].text.split()[0], row[5].mark) for row in rows} == {("tiny-clip", "best"), ("other", "")}


def test_a_copy_of_a_run_in_another_directory_is_one_row(demo_once: Path, demo: Path) -> None:
    once = build_tables(find_runs([demo_once]), tests=False)[0]
    twice = build_tables(find_runs([demo_once, demo]), tests=False)[0]
    assert len(once.rows) == len(twice.rows)


def test_tables_are_the_same_bytes_again(demo: Path, tmp_path: Path) -> None:
    first = write_tables(build_tables(find_runs([demo])), tmp_path / "a")
    second = write_tables(build_tables(find_runs([demo])), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@parsing.needs_pdflatex
def test_the_latex_compiles(written: tuple[dict[str, StoredRun], Path], tmp_path: Path) -> None:
    _, tables = written
    parsing.assert_compiles((tables / "classification.tex").read_text(), tmp_path)


def published_of(out: Path, protocol: dict, dataset: str = "hf:uoft-cs/cifar10", n: int = 10_000):
    """The published cell and the notes beside a run of CLIP ViT-B/32."""
    factory.write_classification(out, "zeroshot", "openai/clip-vit-base-patch32", dataset, n=n, protocol=protocol)
    (table,) = build_tables(find_runs([out]))
    return dict(zip((column.key for column in table.columns), table.rows[0], strict=True)).get("published"), table


ONE = {"prompts": "default", "templates": ["a photo of a {}."]}
OWN = {"prompts": "dataset", "templates": ["a photo of a {}.", "a blurry photo of a {}."]}


def test_published_figures_stand_only_beside_the_same_images(tmp_path: Path) -> None:
    assert published_of(tmp_path / "all", ONE)[0].value == pytest.approx(0.8831)
    assert published_of(tmp_path / "few", ONE, n=200)[0] is None
    assert published_of(tmp_path / "other", ONE, "hf:nobody/cifar10")[0] is None


def test_published_figures_stand_beside_prompts_of_the_same_kind(tmp_path: Path) -> None:
    one, table = published_of(tmp_path / "one", ONE)
    assert one.value == pytest.approx(0.8831)
    assert "one template: mteb single template" in one.source
    assert any("Published, with one template" in note for note in table.notes)
    own, _ = published_of(tmp_path / "own", OWN, "cifar10")
    assert own.value == pytest.approx(0.8983)
    assert "the dataset's templates: DataComp" in own.source
    assert "open_clip" in own.source
    fallen_back, _ = published_of(tmp_path / "fallen", {"prompts": "dataset", "templates": ["a photo of a {}."]})
    assert fallen_back.value == pytest.approx(0.8831)


def test_of_other_templates_the_published_cell_says_the_difference(tmp_path: Path) -> None:
    cell, table = published_of(tmp_path / "clip7", {"prompts": "clip7", "templates": ["{}"] * 7})
    assert cell.value == pytest.approx(0.8983)
    assert "(the run shown here: prompts clip7)" in cell.source
    assert any("shown here: prompts clip7" in note for note in table.notes)
    written, _ = published_of(tmp_path / "cupl", {"prompts": "cupl.json", "templates": "class-specific"})
    assert "shown here: prompts cupl.json" in written.source


def test_beside_one_template_no_figure_of_several_stands(tmp_path: Path) -> None:
    """Of SVHN's 26,032 test images only CLIP ViT-B/32 with the dataset's own templates is published."""
    kinds = published()["openai/clip-vit-base-patch32", "svhn", "accuracy", 26_032]
    assert set(kinds) == {"the dataset's templates"}
    assert published_of(tmp_path / "own", OWN, "svhn", n=26_032)[0].is_figure
    assert published_of(tmp_path / "one", ONE, "svhn", n=26_032)[0] is None


def test_the_best_of_each_recall_is_marked_and_those_not_significantly_worse(tmp_path: Path) -> None:
    for model, spread, seed in (("good", 2.0, 1), ("near", 2.05, 2), ("bad", 9.0, 3)):
        factory.write_retrieval(tmp_path, model, spread=spread, seed=seed, n=400)
    (table,) = build_tables(find_runs([tmp_path]))
    rows = {row[1].text: row for row in table.rows}
    for place in range(3, 9):
        marks = {name: row[place].mark for name, row in rows.items()}
        assert marks.pop("bad") == ""
        assert sorted(marks.values()) == ["best", "tied"]
        best = max(rows.values(), key=lambda row: row[place].value)
        assert best[place].mark == "best"
    assert any("Holm-corrected" in note for note in table.notes)
    (plain,) = build_tables(find_runs([tmp_path]), tests=False)
    assert {cell.mark for row in plain.rows for cell in row} == {""}
