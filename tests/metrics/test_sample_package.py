"""A package that declares two metrics by entry points: they are everywhere, and vlmbench is not touched."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent / "sample_package"
REFERENCES = {f"{k}": [f"a red ball {k}", f"a ball that is red {k}"] for k in range(60)}


@pytest.fixture(scope="module")
def vlmbench(with_package):
    return partial(with_package, SAMPLE)


def captions(path: Path, wrong: int) -> Path:
    """Captions of which so many are no reference."""
    said = {key: found[0] if int(key) >= wrong else f"a green ball {key}" for key, found in REFERENCES.items()}
    path.write_text(json.dumps(said))
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory, vlmbench) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    out, cache = folder / "out", folder / "cache"
    vlmbench(
        "zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", 120, "--prompts", "a drawing of a {}.",
        "--prompts", "{}", "--metric", "cohen_kappa", "-o", out, "--cache-dir", cache, "--device", "cpu", "-q",
    )  # fmt: skip
    (folder / "references.json").write_text(json.dumps(REFERENCES))
    given = [f"{name}={captions(folder / f'{name}.json', wrong)}" for name, wrong in (("good", 5), ("bad", 45))]
    vlmbench(
        "caption-eval", "-r", folder / "references.json", "-p", given[0], "-p", given[1], "--metrics",
        "cider,exact-match", "-o", out, "--cache-dir", cache, "-q",
    )  # fmt: skip
    return out


def test_they_are_listed_and_offered(vlmbench):
    rows = {row["name"]: row for row in json.loads(vlmbench("list", "metrics", "--json"))["metrics"]}
    assert rows["cohen_kappa"]["of"] == "classification"
    assert rows["exact_match"]["what"] == "share of captions that are one of the references"
    assert "cohen_kappa" in vlmbench("zeroshot", "--help")
    assert "exact_match" in vlmbench("caption-eval", "--help")


def test_records_tables_and_tests_have_them(out, vlmbench):
    found = json.loads(vlmbench("compare", out, "-o", out, "--json"))
    kappas = [run["metrics"]["cohen_kappa"] for run in found["results"] if run["task"] == "zeroshot"]
    assert len(kappas) == 2
    assert all(-1 <= kappa["low"] <= kappa["value"] <= kappa["high"] <= 1 for kappa in kappas)
    tested = {row["metric"]: row for row in found["comparisons"]}
    kappa, exact = tested["cohen_kappa"], tested["Exact match"]
    assert kappa["low"] <= kappa["difference"] <= kappa["high"]
    assert 0 < kappa["p_holm"] <= 1
    assert exact["difference"] == pytest.approx(-40 / 60)
    assert "bad" in exact["first"]
    assert exact["p_holm"] < 0.001
    table = list(csv.DictReader((out / "tables" / "classification.csv").open()))
    assert {row["metric"] for row in table} == {"cohen_kappa"}
    assert [row["zero_shot"] for row in table if "chance" in row["model"]] == ["0.0000"]
    shown = {row["system"]: row for row in csv.DictReader((out / "tables" / "captions.csv").open())}
    assert float(shown["good"]["exact_match"]) == pytest.approx(100 * 55 / 60, abs=1e-4)
    assert (shown["good"]["exact_match_mark"], shown["bad"]["exact_match_mark"]) == ("best", "")
    assert "Cohen's kappa" in (out / "report.html").read_text().replace("&#39;", "'")


def test_they_are_recomputed(out, vlmbench):
    vlmbench("verify", out)
    for path in out.glob("runs/caption-eval-good*/result.json"):
        record = json.loads(path.read_text())
        record["metrics"]["exact_match"]["value"] -= 0.01
        (out.parent / "changed" / path.parent.name).mkdir(parents=True)
        changed = out.parent / "changed" / path.parent.name / "result.json"
        changed.write_text(json.dumps(record))
        (changed.parent / "samples.parquet").write_bytes((path.parent / "samples.parquet").read_bytes())
    assert "exact_match: the record says" in vlmbench("verify", out.parent / "changed", code=3, stream="stderr")


def test_they_are_gated(out, tmp_path, vlmbench):
    """The same runs pass, each with a test; captions that got worse do not."""
    baseline = tmp_path / "baseline.json"
    vlmbench("check", out, "--baseline", baseline, "--update")
    call = ["check", "--baseline", baseline, "--tolerance", "cohen_kappa=0", "--json"]
    same = json.loads(vlmbench(*call, out))["changes"]
    assert {change["metric"] for change in same} == {"cohen_kappa", "cider", "exact_match"}
    assert all(change["p"] is not None and change["verdict"] == "same" for change in same)
    worse = captions(tmp_path / "worse.json", 40)
    references = out.parent / "references.json"
    vlmbench(
        "caption-eval", "-r", references, "-p", f"good={worse}", "--metrics", "exact_match", "-o", tmp_path, "-q",
        "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    changes = json.loads(vlmbench(*call, "--allow-missing", tmp_path, code=1))["changes"]
    (change,) = [change for change in changes if change["metric"] == "exact_match"]
    assert (change["verdict"], change["p"] < 0.001) == ("regression", True)


def test_without_the_package_its_records_are_still_shown(out, tmp_path, with_package):
    """By the name that they hold; nobody can compute or test them."""
    runs = out.glob("runs/caption-eval*")
    found = json.loads(with_package(tmp_path, "compare", *runs, "-o", tmp_path, "--json"))
    assert {row["metric"] for row in found["comparisons"]} == {"CIDEr"}
    assert "exact_match" in (tmp_path / "tables" / "captions.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("broken:SPEC", "cannot be loaded"),
        ("broken:OTHER", "is not a MetricSpec"),
        ("broken:TWICE", "there is a metric cider"),
    ],
)
def test_a_package_that_declares_nonsense_is_named(entry, words, with_package, broken_package):
    code = "from vlmbench.metrics.captions.cider import SPECS as TWICE\nOTHER = [3]\n"
    package = broken_package(f"[vlmbench.metrics]\nx = {entry}\n", code)
    said = with_package(package, "list", "metrics", code=3, stream="stderr")
    assert words in said
    assert "broken" in said
