from types import SimpleNamespace

import factory
import pytest

from vlmbench.records.store import find_runs
from vlmbench.report.reading import _head, read_tables
from vlmbench.report.table import Cell, Column, Table
from vlmbench.report.tables.write import build_tables


def test_a_sentence_on_shift_names_the_head(tmp_path):
    def said(system, head):
        protocol = {"probe": head} if head else {}
        run = factory.write_classification(tmp_path, "linear-probe", system, accuracy=0.8, protocol=protocol)
        return _head({"model": Cell(text=f"{system} (layer proj)"), "extra_loss": Cell(runs=(run,))})

    assert said("tiny-clip", "logistic") == ("tiny-clip (layer proj)", "the probe")
    assert said("tiny-clip+knn?k=5", "knn") == ("tiny-clip (layer proj)", "the head knn?k=5")


def classification(zero, probe, difference, p, match):
    columns = tuple(
        Column(key, key) for key in ("dataset", "model", "zero_shot", "probe", "difference", "labels_to_match")
    )
    run = (SimpleNamespace(record=SimpleNamespace(protocol=None)),)
    row = (
        Cell(text="digits"),
        Cell(text="tiny-clip"),
        Cell(value=zero, runs=run),
        Cell(value=probe, runs=run),
        Cell(value=difference, p=p),
        Cell(text=match),
    )
    return Table("classification", "", columns, (row,))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((0.9, 0.97, -0.07, 0.001, "4.2"), "the probe wins from about 4 labels per class."),
        ((0.9, 0.97, -0.07, 0.001, "< 1"), "the probe wins from fewer than 1 label per class."),
        ((0.9, 0.97, -0.07, 0.001, "> 32"), "the probe wins from more than 32 labels per class."),
        ((0.9, 0.91, -0.01, 0.4, "> 32"), "no significant difference, so zero-shot is enough."),
        ((0.9, 0.8, 0.1, 0.001, "> 32"), "zero-shot is better, so it is enough."),
    ],
)
def test_the_verdict_follows_the_table(arguments, says):
    text = read_tables([classification(*arguments)])
    assert text.startswith(f"On digits zero-shot reaches 90.0 and a probe on all labels {arguments[1] * 100:.1f}")
    assert text.endswith(says)


@pytest.mark.parametrize(
    ("metric", "words"),
    [("accuracy", "90.0 and"), ("roc_auc", "90.0 ROC AUC and"), ("map11", "90.0 mAP (11 points) and")],
)
def test_a_figure_that_is_no_accuracy_says_what_it_is(metric, words):
    table = classification(0.9, 0.97, -0.07, 0.001, "4.2")
    named = Table("classification", "", (*table.columns, Column("metric", "")), ((*table.rows[0], Cell(text=metric)),))
    assert f"zero-shot reaches {words} a probe on all labels 97.0: the probe wins" in read_tables([named])


@pytest.mark.parametrize(
    ("mark", "says"), [("", "significantly better."), ("tied", "not significantly better than b.")]
)
def test_captioners_are_compared_by_cider(mark, says):
    columns = tuple(Column(key, key) for key in ("dataset", "system", "cider"))
    rows = (
        (Cell(text="scenes"), Cell(text="a"), Cell(value=1.2, mark="best")),
        (Cell(text="scenes"), Cell(text="b"), Cell(value=0.9, mark=mark)),
    )
    text = read_tables([Table("captions", "", columns, rows)])
    assert "the captions of a have the higher CIDEr: 120.0 against b 90.0, " + says in text


def test_nothing_to_compare_says_nothing():
    assert read_tables([]) == ""


def test_several_captioners_stand_in_order_of_their_cider():
    columns = tuple(Column(key, key) for key in ("dataset", "system", "cider"))
    rows = tuple(
        (Cell(text="scenes"), Cell(text=name), Cell(value=value, mark=mark))
        for name, value, mark in (("a", 0.2, ""), ("b", 0.9, "best"), ("c", 0.5, ""))
    )
    text = read_tables([Table("captions", "", columns, rows)])
    assert "the captions of b have the highest CIDEr: 90.0 against c 50.0, a 20.0, significantly better." in text


def test_captioners_that_were_not_tested_are_not_called_significantly_better():
    columns = tuple(Column(key, key) for key in ("dataset", "system", "cider"))
    rows = tuple((Cell(text="scenes"), Cell(text=name), Cell(value=value)) for name, value in (("a", 0.2), ("b", 0.9)))
    text = read_tables([Table("captions", "", columns, rows)])
    assert text.endswith("the captions of b have the higher CIDEr: 90.0 against a 20.0, not tested.")


def test_prompts_of_one_model_are_compared_in_words(tmp_path):
    for name, accuracy, seed in (("simple", 0.6, 1), ("many", 0.8, 2), ("more", 0.79, 3)):
        factory.write_classification(tmp_path, accuracy=accuracy, seed=seed, protocol={"prompts": name})
    factory.write_classification(tmp_path, system="other", accuracy=0.9, seed=4)
    runs = find_runs([tmp_path])
    shown = {run.record.protocol.prompts: f"{run.record.metrics['accuracy'].value * 100:.1f}" for run in runs}
    text = read_tables(build_tables(runs, every_pair=True))
    best, second = sorted(("many", "more"), key=lambda name: -float(shown[name]))
    assert text == (
        f"Zero-shot with tiny-clip on digits is best with prompts {best}: {shown[best]}, significantly better than "
        f"prompts simple ({shown['simple']}), not significantly better than prompts {second} ({shown[second]})."
    )
