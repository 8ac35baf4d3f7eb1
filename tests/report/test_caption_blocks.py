"""Caption systems with unequal images: compared on those they have in common, whatever the reference file is called."""

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.records.store import StoredRun, find_runs
from vlmbench.report.pairs import Pairs
from vlmbench.report.reading import read_tables
from vlmbench.report.table import Table
from vlmbench.report.tables.caption_blocks import caption_blocks
from vlmbench.report.tables.write import build_tables

COLOURS = ("red", "green", "blue", "white", "black")
THINGS = ("dog", "cat", "horse", "car", "bus", "plate", "kite", "pizza")
METRICS = "bleu,rouge_l,cider"
N = 60


def references(number: int = 0) -> dict[str, list[str]]:
    """Five references of each of sixty images; another number gives others."""
    rng = random.Random(number)
    found = {}
    for image in range(N):
        colour, thing = rng.choice(COLOURS), rng.choice(THINGS)
        other = rng.choice(THINGS)
        found[f"i{image:02d}"] = [
            f"A {colour} {thing} near a {other}.",
            f"there is a {colour} {thing}",
            f"one {thing}, which is {colour}",
            f"a {thing} and a {other} outside",
            f"the {colour} {thing} stands beside the {other}",
        ]
    return found


def captions(wrong: float, seed: int, drop: int = 0) -> dict[str, str]:
    """A system's captions, a share of them of another image; `drop` images from the end on (or, below 0, from the
    start) have none."""
    rng, truth = random.Random(seed), references()
    ids = list(truth)
    made = {image: truth[rng.choice(ids) if rng.random() < wrong else image][seed % 5] for image in ids}
    kept = ids[:-drop] if drop > 0 else ids[-drop:]
    return {image: made[image] for image in kept}


def score(
    folder: Path, out: str, given: dict[str, list[str]], *, name: str = "refs", **systems: dict[str, str]
) -> Path:
    """Runs ``caption-eval`` and gives its results directory."""
    from vlmbench.foundations.atomic import write_json

    arguments = ["caption-eval", "-r", str(folder / f"{name}.json")]
    write_json(folder / f"{name}.json", given)
    for system, found in systems.items():
        write_json(folder / f"{out}-{system}.json", found)
        arguments += ["-p", f"{system}={folder / f'{out}-{system}.json'}"]
    arguments += ["--allow-missing", "--metrics", METRICS, "--resamples", "200", "--out", str(folder / out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return folder / out


def table(*outs: Path, every_pair: bool = False) -> list[Table]:
    return build_tables(find_runs(outs), every_pair=every_pair)


def lines(one: Table) -> dict[str, dict]:
    rows = [dict(zip((column.key for column in one.columns), row, strict=True)) for row in one.rows]
    return {row["system"].text: row for row in rows}


def figures(run: StoredRun) -> dict[str, float]:
    return {name: metric.value for name, metric in run.record.metrics.items()}


def test_systems_on_unequal_images_are_compared_on_the_common_ones(tmp_path: Path) -> None:
    full, part = captions(0.6, 1), captions(0.2, 2, drop=3)
    out = score(tmp_path, "out", references(), full=full, part=part)
    one, pairs = table(out, every_pair=True)
    found = lines(one)
    assert {name: (row["n"].text, row["n_own"].text) for name, row in found.items()} == {
        "full": ("57", "60"),
        "part": ("57", "57"),
    }
    assert found["part"]["cider"].mark == "best"
    assert found["full"]["cider"].mark == ""
    assert len({row["dataset"].text for row in found.values()}) == 1
    assert any("57 images" in note for note in one.notes)

    cut = {image: caption for image, caption in full.items() if image in part}
    alone = score(tmp_path, "alone", references(), full=cut)
    (again,) = find_runs([alone])
    for name, value in figures(again).items():
        assert found["full"][name].value == pytest.approx(value, abs=1e-12), name
        metric = again.record.metrics[name]
        assert (found["full"][name].low, found["full"][name].high) == pytest.approx((metric.low, metric.high))
    own = next(run for run in find_runs([out]) if run.record.system == "full")
    assert own.record.n == N
    assert f"{own.record.metrics['cider'].value * 100:.1f}" in found["full"]["cider"].remark

    gaps = {row[2].text: row for row in pairs.rows}
    assert {row[5].text for row in gaps.values()} == {"57"}
    assert gaps["CIDEr"][6].value == pytest.approx(
        found["full"]["cider"].value - found["part"]["cider"].value, abs=1e-12
    )
    assert gaps["CIDEr"][6].p < 0.05


def test_as_many_but_other_images_are_no_error(tmp_path: Path) -> None:
    out = score(tmp_path, "out", references(), first=captions(0.5, 1, drop=4), last=captions(0.1, 2, drop=-4))
    found = lines(table(out)[0])
    assert {row["n"].text for row in found.values()} == {str(N - 8)}
    assert {row["n_own"].text for row in found.values()} == {str(N - 4)}
    assert found["last"]["bleu_4"].mark == "best"


def test_without_missing_images_nothing_is_said_of_them_and_the_figures_are_the_records(tmp_path: Path) -> None:
    out = score(tmp_path, "out", references(), one=captions(0.5, 1), two=captions(0.1, 2))
    one = table(out)[0]
    assert "n_own" not in [column.key for column in one.columns]
    assert not any("every system" in note or "the same references" in note for note in one.notes)
    for run in find_runs([out]):
        assert {name: lines(one)[run.record.system][name].value for name in run.record.metrics} == figures(run)


def test_the_content_of_references_decides_across_calls_not_the_files_name_or_order(tmp_path: Path) -> None:
    first = score(tmp_path, "first", references(), one=captions(0.5, 1))
    turned = dict(reversed([(image, found[::-1]) for image, found in references().items()]))
    second = score(tmp_path, "second", turned, name="other", two=captions(0.1, 2, drop=5))
    one, pairs = table(first, second, every_pair=True)
    found = lines(one)
    assert {row["dataset"].text for row in found.values()} == {"refs.json"}
    assert found["two"]["cider"].mark == "best"
    assert any("refs.json and other.json have the same references" in note for note in one.notes)
    assert "CIDEr" in [row[2].text for row in pairs.rows]
    assert not one.refused


def test_other_references_of_the_same_ids_are_another_block(tmp_path: Path) -> None:
    first = score(tmp_path, "first", references(), one=captions(0.5, 1))
    second = score(tmp_path, "second", references(9), two=captions(0.1, 2))
    tables = table(first, second, every_pair=True)
    assert [one.name for one in tables] == ["captions"]
    assert {row["cider"].mark for row in lines(tables[0]).values()} == {""}
    assert len({row["dataset"].text for row in lines(tables[0]).values()}) == 2
    assert any("they differ in content" in line for line in tables[0].refused)


def test_with_fewer_references_all_but_cider_is_compared(tmp_path: Path) -> None:
    """CIDEr weighs words by all the references of a file, so a shorter file makes it another measure."""
    first = score(tmp_path, "first", references(), one=captions(0.6, 1))
    fewer = dict(list(references().items())[: N - 6])
    second = score(tmp_path, "second", fewer, name="fewer", two=captions(0.1, 2))
    one, pairs = table(first, second, every_pair=True)
    found = lines(one)
    assert {row["n"].text for row in found.values()} == {str(N - 6)}
    assert {name: row["bleu_4"].mark for name, row in found.items()} == {"one": "", "two": "best"}
    assert {row["cider"].mark for row in found.values()} == {""}
    assert "CIDEr" not in [row[2].text for row in pairs.rows]
    assert any("CIDEr is not compared" in note for note in one.notes)
    assert read_tables([one]).endswith("not tested.")


def test_records_of_an_older_version_say_no_digest_and_are_compared_all_the_same(tmp_path: Path) -> None:
    out = score(tmp_path, "out", references(), one=captions(0.5, 1), two=captions(0.1, 2))
    other = score(tmp_path, "other", references(), name="renamed", three=captions(0.3, 3))
    for path in (*out.rglob("result.json"), *other.rglob("result.json")):
        data = json.loads(path.read_text())
        del data["detail"]["references_sha256"]
        path.write_text(json.dumps(data))
    one = table(out, other)[0]
    assert lines(one)["two"]["cider"].mark == "best"
    assert not any("CIDEr is not compared" in note for note in one.notes)


def test_a_trial_on_few_images_does_not_take_theirs_from_all_others(tmp_path: Path) -> None:
    full = score(tmp_path, "full", references(), one=captions(0.5, 1), two=captions(0.1, 2))
    trial = score(tmp_path, "trial", references(), name="refs", one=captions(0.5, 1, drop=N - 10))
    one = table(full, trial)[0]
    assert sorted(row[2].text for row in one.rows) == ["10", str(N), str(N)]
    assert any("they differ in n (10, 60)" in line for line in one.refused)


def test_records_without_their_per_sample_files_stand_by_what_the_records_say(tmp_path: Path) -> None:
    out = score(tmp_path, "out", references(), one=captions(0.5, 1), two=captions(0.1, 2), three=captions(0.2, 3, 4))
    for path in out.rglob("samples.parquet"):
        path.unlink()
    one = table(out)[0]
    assert [row[2].text for row in one.rows] == ["56", "60", "60"]
    assert {cell.mark for row in one.rows for cell in row} == {""}
    assert any("No paired tests" in note for note in one.notes)


def test_a_record_without_its_per_sample_file_keeps_its_own_figures_in_a_block(tmp_path: Path) -> None:
    out = score(tmp_path, "out", references(), one=captions(0.5, 1), two=captions(0.1, 2), three=captions(0.2, 3, 4))
    lost = next(run for run in find_runs([out]) if run.record.system == "one")
    lost.samples_path.unlink()
    found = lines(table(out)[0])
    assert {name: row["n"].text for name, row in found.items()} == {"one": "60", "two": "56", "three": "56"}
    assert found["one"]["cider"].value == lost.record.metrics["cider"].value
    assert found["one"]["cider"].mark == ""
    assert "best" in {row["cider"].mark for row in found.values()}


def test_disjoint_images_of_one_set_are_two_blocks_with_names_of_their_own(tmp_path: Path) -> None:
    out = score(tmp_path, "out", references(), one=captions(0.5, 1, drop=30), two=captions(0.1, 2, drop=-30))
    blocks = caption_blocks(find_runs([out]), Pairs())
    assert [len(block.systems) for block in blocks] == [1, 1]
    one = table(out)[0]
    assert len({row[0].text for row in one.rows}) == 2


def test_compare_is_strict_about_other_references_only(tmp_path: Path) -> None:
    first = score(tmp_path, "first", references(), one=captions(0.5, 1), part=captions(0.1, 2, drop=5))
    ask = ["compare", "--strict", "--no-report", "-q", "--out", str(tmp_path / "o")]
    assert CliRunner().invoke(app, [*ask, str(first)]).exit_code == 0
    second = score(tmp_path, "second", references(9), two=captions(0.1, 2))
    done = CliRunner().invoke(app, [*ask, str(first), str(second)])
    assert done.exit_code == 3
    assert "differ in" in done.stderr


def test_the_terminal_shows_the_best_against_each_other_and_the_files_all(tmp_path: Path) -> None:
    systems = {f"s{number}": captions(number / 10, number) for number in range(6)}
    out = score(tmp_path, "out", references(), **systems)
    done = CliRunner().invoke(app, ["compare", "--no-report", str(out), "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert "the other pairs and metrics are in comparisons.csv" in done.stdout
    assert len((tmp_path / "o" / "tables" / "comparisons.csv").read_text().splitlines()) == 1 + 15 * 6
