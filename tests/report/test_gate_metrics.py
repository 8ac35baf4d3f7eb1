"""Every metric that a run can have, and that the docs promise a paired test for, is really tested by the gate."""

import json
import re
from pathlib import Path

import factory
import numpy as np
import pytest

from vlmbench.metrics.classification import metric_names, metrics_from_samples, sample_columns, softmax
from vlmbench.metrics.classification.brier import brier_errors, brier_steps
from vlmbench.metrics.spec import caption_specs, find, needing, of, specs
from vlmbench.records.store import StoredRun
from vlmbench.report.gate.baseline import GateEntry, entries_from_runs, read_baseline, to_json
from vlmbench.report.gate.run import outcome_table, run_gate

N = 300
UNTESTED = {name for name, spec in specs().items() if spec.test is None and spec.family != "agreement"}
DOCS = (Path(__file__).parents[2] / "docs" / "gate.md").read_text("utf-8")


def classification(out: Path, classes: int, signal: float, *, several: bool = False, shots: int | None = None):
    """A run of every metric for so many classes; the weaker the signal, the worse."""
    truth_of, noise = np.random.default_rng(3), np.random.default_rng(int(100 * signal))
    ids = [f"i{index:04d}" for index in range(N)]
    blocks = []
    truth = (truth_of.random((N, classes)) < 0.3).astype(np.uint8) if several else truth_of.integers(0, classes, N)
    for seed in range(1 if shots is None else 3):
        told = signal * (truth if several else np.eye(classes)[truth])
        values = noise.normal(size=(N, classes)) + told
        block = sample_columns(values if several else softmax(values), truth, ids)
        blocks.append(block if shots is None else block | {"seed": np.full(N, seed)})
    samples = blocks[0] if shots is None else {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    names = metric_names(classes, multilabel=several)
    record = factory.classification_record(
        "linear-probe",
        "tiny-clip",
        f"{classes} classes, {several}",
        N,
        metrics_from_samples(samples, names, 0),
        shots=shots,
        protocol={"metric": names[0]},
    )
    return factory.write_run(out, record, samples, factory.RUN)


def gated(before: StoredRun, now: StoredRun, tmp_path: Path):
    """Every metric of two runs through the gate, the first as a baseline file."""
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(to_json(entries_from_runs([before]))))
    names = dict.fromkeys(before.record.metrics, 0.0)
    outcome = run_gate(read_baseline(path), entries_from_runs([now]), names)
    return {change.metric: change for change in outcome.changes}, outcome


@pytest.mark.parametrize(
    ("classes", "several", "shots"), [(2, False, None), (7, False, None), (4, True, None), (2, False, 4), (7, False, 4)]
)
def test_every_classification_metric_is_tested(classes, several, shots, tmp_path):
    before = classification(tmp_path / "a", classes, 2.0, several=several, shots=shots)
    worse = classification(tmp_path / "b", classes, 0.7, several=several, shots=shots)
    changes, outcome = gated(before, worse, tmp_path)
    assert set(changes) == set(metric_names(classes, multilabel=several))
    for name, change in changes.items():
        if name in UNTESTED:
            assert change.p is None
            continue
        assert change.p is not None, name
        assert change.p < 1e-3, (name, change)
        assert change.verdict == "regression", name
        assert change.low <= change.now - change.before <= change.high, name
    back, _ = gated(worse, before, tmp_path)
    assert {name for name, change in back.items() if change.verdict == "regression"} <= UNTESTED
    same, _ = gated(before, before, tmp_path)
    assert {change.verdict for change in same.values()} == {"same"}
    untold = [row for row in outcome_table(outcome).rows if row[6].text == "no test"]
    assert {row[1].text for row in untold} == set(changes) & UNTESTED


def test_every_caption_and_retrieval_metric_is_tested(tmp_path):
    wanted = tuple(s.name for s in caption_specs() if s.name not in needing("index", "java", "images"))
    runs = [factory.write_captions(tmp_path / str(w), wrong=w, n=150, metrics=wanted) for w in (0.1, 0.9)]
    changes, _ = gated(*runs, tmp_path)
    assert set(changes) == set(wanted)
    assert all(change.p is not None and change.p < 0.01 for change in changes.values())
    runs = [factory.write_retrieval(tmp_path / str(spread), spread=spread) for spread in (2.0, 8.0)]
    changes, _ = gated(*runs, tmp_path)
    assert set(changes) == {spec.name for spec in of("retrieval")}
    assert all(change.p is not None and change.p < 0.01 for change in changes.values())


def test_a_metric_that_only_one_run_has_takes_no_test_from_the_others(tmp_path):
    before = factory.write_captions(tmp_path / "a", wrong=0.1, n=150, metrics=("bleu_4", "cider"))
    now = factory.write_captions(tmp_path / "b", wrong=0.9, n=150, metrics=("bleu_4", "cider", "rouge_l"))
    changes, _ = gated(before, now, tmp_path)
    assert {name: change.p is not None for name, change in changes.items()} == {"bleu_4": True, "cider": True}


def test_each_caption_metric_is_computed_from_columns_of_numbers(tmp_path):
    """Of the scores that need a model or Java, which this test has not: their columns are figures as CIDEr's are."""
    assert [find(name).columns_of({}) for name in ("spice", "clipscore", "refclipscore")] == [
        ("spice",),
        ("clipscore",),
        ("refclipscore",),
    ]
    assert find("meteor").columns_of({}) == ("meteor_statistics",)


def test_a_baseline_of_an_older_version_is_still_tested_in_all_that_it_has(tmp_path):
    """Older baselines had no byte for the Brier score; the accuracy is tested all the same."""
    before, now = classification(tmp_path / "a", 7, 2.0), classification(tmp_path / "b", 7, 0.7)
    (entry,), current = entries_from_runs([before]), entries_from_runs([now])
    kept = {name: column for name, column in entry.columns.items() if name != "brier_steps"}
    old = GateEntry(entry.key, entry.comparable, entry.metrics, entry.main, entry.signature, entry.ids, kept)
    found = {change.metric: change.p for change in run_gate([old], current, {"brier": 0.0}).changes}
    assert found["accuracy"] is not None
    assert found["brier"] is None


def test_a_worse_brier_score_that_may_be_chance_is_no_regression(tmp_path):
    """Before, a tolerance of 0 on it failed for any change at all."""
    first, second = (classification(tmp_path / str(s), 7, s) for s in (1.0, 1.01))
    worse = max((first, second), key=lambda run: run.record.metrics["brier"].value)
    changes, _ = gated(first if worse is second else second, worse, tmp_path)
    assert changes["brier"].drop > 1e-4
    assert changes["brier"].p > 0.05
    assert changes["brier"].verdict == "worse"


def test_the_rounding_of_the_brier_score_is_small_and_without_bias():
    errors = np.random.default_rng(0).beta(0.3, 2, 100_000) * 2
    found = brier_errors(brier_steps(errors))
    assert abs(found - errors).max() < 0.008
    assert abs((found - errors).mean()) < 1e-4
    assert (brier_steps(found) == brier_steps(errors)).all()


def test_the_docs_name_what_is_not_tested_and_nothing_else():
    listed = {spec.name for spec in specs().values() if spec.family in {"classification", "captions"}}
    assert listed >= UNTESTED == {"ece"}
    (sentence,) = re.findall(r"the tolerance alone decides[^.]*\.", DOCS)
    assert {name for name in listed if f"`{name}`" in sentence} == UNTESTED


def test_a_baseline_that_was_written_before_metrics_declared_themselves_has_the_same_tests(tmp_path):
    """``released/baseline-v1.json``: a baseline and the gate's outcome, both by the code before."""
    kept = json.loads((Path(__file__).parent / "released" / "baseline-v1.json").read_text("utf-8"))
    kinds = [(2, False, None), (7, False, None), (4, True, None), (2, False, 4), (7, False, 4)]
    now = [classification(tmp_path / "now", c, 1.8, several=several, shots=shots) for c, several, shots in kinds]
    now += [factory.write_captions(tmp_path / "now", wrong=0.2, n=150)]
    now += [factory.write_retrieval(tmp_path / "now", spread=2.4)]
    (tmp_path / "baseline.json").write_text(json.dumps(kept["baseline"]))
    names = dict.fromkeys({name for run in now for name in run.record.metrics}, 0.0)
    outcome = run_gate(read_baseline(tmp_path / "baseline.json"), entries_from_runs(now), names)
    assert len(outcome.changes) == len(kept["outcome"]) == 35
    for change in outcome.changes:
        before, after, low, high, p, verdict = kept["outcome"][f"{change.key} {change.metric}"]
        found = [change.before, change.now, change.low, change.high, change.p]
        assert found == [
            item if item is None else pytest.approx(item, abs=1e-9) for item in (before, after, low, high, p)
        ]
        assert change.verdict == verdict
