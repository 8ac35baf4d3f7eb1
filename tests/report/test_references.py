"""Reference rows, what they forbid to say, and runs shown by another metric."""

from pathlib import Path

import factory
import numpy as np
import pytest

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.classification import metric_names, metrics_from_samples, sample_columns, softmax
from vlmbench.records.classification import ClassFigures, ClassificationDetail
from vlmbench.records.store import StoredRun, find_runs
from vlmbench.report.gate.baseline import entries_from_runs
from vlmbench.report.reading import read_tables
from vlmbench.report.tables.chosen import by_metric
from vlmbench.report.tables.write import build_tables

N = 1400


def write(
    out: Path,
    task: str,
    signal: float,
    shares: list[float],
    *,
    bias: float = 0.0,
    shots: int | None = None,
    system: str = "tiny-clip",
    train: list[int] | None = None,
    metric: str = "accuracy",
) -> StoredRun:
    """A run on classes of these shares; `bias` makes it answer class 0, `signal` what is there."""
    classes = len(shares)
    truth = np.repeat(np.arange(classes), np.round(np.array(shares) * N).astype(int))[:N]
    blocks = []
    for seed in range(1 if shots is None else 3):
        generator = np.random.default_rng([seed, shots or 0, round(1000 * signal) + 10_000])
        logits = generator.normal(size=(len(truth), classes)) + signal * np.eye(classes)[truth]
        logits[:, 0] += bias
        block = sample_columns(softmax(logits), truth, [f"i{index:04d}" for index in range(len(truth))])
        blocks.append(block if shots is None else block | {"seed": np.full(len(truth), seed)})
    samples = blocks[0] if shots is None else {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    detail = {"per_seed": [metrics_from_samples(b, [metric], 0, resamples=0)[metric].value for b in blocks]}
    detail |= {} if train is None else {"train_class_counts": train, "search_metric": metric}
    names = [f"grade {index}" for index in range(classes)]
    record = factory.classification_record(
        task,
        system,
        "cells",
        len(truth),
        metrics_from_samples(samples, metric_names(classes), 0),
        shots=shots,
        detail=detail if task == "linear-probe" else {},
        protocol={"metric": metric, "classnames": names},
    )
    return factory.write_run(out, record, samples, factory.RUN)


@pytest.fixture
def cells(tmp_path: Path) -> list[StoredRun]:
    """77 % abnormal; zero-shot answers abnormal to nearly all, few-shot probes are lower, all labels are better."""
    shares = [0.77, 0.23]
    write(tmp_path, "zeroshot", -0.2, shares, bias=5.0)
    write(tmp_path, "linear-probe", 0.0, shares, shots=1, train=[154, 46])
    write(tmp_path, "linear-probe", 1.2, shares, shots=4, train=[154, 46])
    write(tmp_path, "linear-probe", 5.0, shares, train=[154, 46])
    return find_runs([tmp_path])


def lines(table):
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, row, strict=True)) for row in table.rows]


def test_zero_shot_no_better_than_the_majority_is_worth_no_labels(cells):
    """Before: "the probe wins, once there are about 2 labels a class"."""
    tables = build_tables(cells)
    assert "labels_to_match" not in [column.key for column in tables[0].columns]
    assert (
        "zero-shot is not better than always answering the most frequent class (77.0), the probe wins."
        in read_tables(tables)
    )
    assert "labels per class." not in read_tables(tables)
    told = [note for note in tables[0].notes if "labels per class to match it are not given" in note]
    assert len(told) == 1
    assert told[0].startswith("cells: zero-shot of tiny-clip is not better than always")


def test_the_rows_are_exact_marked_and_no_systems(cells):
    write(cells[0].path.parents[1], "zeroshot", 3.0, [0.77, 0.23], system="other")
    runs = find_runs([cells[0].path.parents[1]])
    table = build_tables(runs, every_pair=True)[0]
    references = [line for line in lines(table) if line["zero_shot"].reference]
    assert {line["model"].text: line["zero_shot"].value for line in references} == {
        "reference: majority class of train": 0.77,
        "reference: chance": 0.5,
    }
    for line in references:
        assert line["probe"].value == line["zero_shot"].value
        assert not line["zero_shot"].mark
        assert not any(cell.is_figure or cell.text for key, cell in line.items() if key in {"difference", "p_holm"})
    best = [key for line in lines(table) for key in ("zero_shot", "probe") if line[key].mark == "best"]
    assert best == ["probe"]
    pairs = build_tables(runs, every_pair=True)[-1]
    assert not any("reference" in cell.text for row in pairs.rows for cell in row)
    assert not any("reference" in entry.key for entry in entries_from_runs(runs))


def test_the_most_frequent_class_is_that_of_the_training_split_where_there_is_one(tmp_path):
    shares = [0.6, 0.3, 0.1]
    write(tmp_path / "a", "zeroshot", 3.0, shares)
    write(tmp_path / "b", "linear-probe", 3.0, shares, train=[10, 50, 20])
    labels = {}
    for name in "ab":
        table = build_tables(find_runs([tmp_path / name]))[0]
        for row in table.rows:
            labels |= {row[1].text: row[4].value for row in table.rows if row[4].reference == "majority"}
    assert labels == {"reference: majority class": 0.6, "reference: majority class of train": 0.3}


def test_zero_shot_alone_is_told_too(tmp_path):
    write(tmp_path, "zeroshot", 0.0, [1 / 7] * 7)
    tables = build_tables(find_runs([tmp_path]))
    assert read_tables(tables).endswith("not better than chance (14.3).")
    write(tmp_path, "zeroshot", 2.0, [1 / 7] * 7, system="good")
    assert "good" not in read_tables(build_tables(find_runs([tmp_path])))


def test_neither_is_better(tmp_path):
    """Before: "no significant difference, zero-shot is enough"."""
    write(tmp_path, "zeroshot", 0.0, [1 / 7] * 7)
    write(tmp_path, "linear-probe", 0.01, [1 / 7] * 7, train=[10] * 7)
    assert read_tables(build_tables(find_runs([tmp_path]))).endswith(": neither is better than chance (14.3).")


@pytest.mark.parametrize(
    ("shares", "proposed"),
    [
        ([0.77, 0.23], "mean_per_class_accuracy or roc_auc"),
        ([0.6, 0.2, 0.2], "mean_per_class_accuracy "),
        ([0.5, 0.5], ""),
    ],
)
def test_unbalanced_classes_have_another_metric_proposed(tmp_path, shares, proposed):
    write(tmp_path, "zeroshot", 2.0, shares)
    notes = " ".join(build_tables(find_runs([tmp_path]))[0].notes)
    assert ("unbalanced" in notes) == bool(proposed)
    assert proposed in notes
    runs, _ = by_metric(find_runs([tmp_path]), "mean_per_class_accuracy")
    assert "unbalanced" not in " ".join(build_tables(runs)[0].notes)


@pytest.mark.parametrize("metric", ["map", "map11"])
def test_images_of_several_labels_have_the_share_of_each_class(tmp_path, metric):
    factory.write_ranked(tmp_path, metric=metric)
    run = find_runs([tmp_path])[0]
    table = build_tables([run])[0]
    truth = np.random.default_rng(5).random((200, 4)) < 0.3
    references = [line for line in lines(table) if line["zero_shot"].reference]
    assert [line["model"].text for line in references] == ["reference: chance"]
    assert references[0]["zero_shot"].value == pytest.approx(truth.mean())


def test_records_without_per_sample_files_have_the_rows_that_their_figures_by_class_give(tmp_path):
    run = write(tmp_path, "zeroshot", 2.0, [0.5, 0.3, 0.2])
    shares = {"recall": 0.5, "precision": 0.5}
    counts = [ClassFigures(**{"class": f"grade {k}", "n": n, **shares}) for k, n in enumerate((700, 420, 280))]
    told = run.record.model_copy(update={"detail": ClassificationDetail(per_class=counts)})
    run.samples_path.unlink()
    assert not any(cell.reference for row in build_tables([run])[0].rows for cell in row)
    table = build_tables([StoredRun(run.path, told)])[0]
    assert [row[4].value for row in table.rows][1:] == [0.5, pytest.approx(1 / 3)]


def test_a_chosen_metric_is_that_of_runs_made_with_it(cells, tmp_path):
    metric, shares = "roc_auc", [0.77, 0.23]
    out = tmp_path / "made"
    write(out, "zeroshot", -0.2, shares, bias=5.0, metric=metric)
    for shots, signal in ((1, 0.0), (4, 1.2), (None, 5.0)):
        write(out, "linear-probe", signal, shares, shots=shots, train=[154, 46], metric=metric)
    shown, notes = by_metric(cells, metric)
    assert notes == []
    made, chosen = (build_tables(runs)[0] for runs in (find_runs([out]), shown))
    assert [[(cell.text, cell.value, cell.low, cell.high, cell.p) for cell in row] for row in made.rows] == [
        [(cell.text, cell.value, cell.low, cell.high, cell.p) for cell in row] for row in chosen.rows
    ]
    assert made.extra[0].rows[0][4].value == chosen.extra[0].rows[0][4].value
    assert any("chosen by accuracy" in note for note in chosen.notes)
    assert not any("was chosen by" in note for note in made.notes)
    per_seed = [[getattr(run.record.detail, "per_seed", None) for run in runs] for runs in (shown, find_runs([out]))]
    assert per_seed[0] == per_seed[1]


def test_a_metric_that_no_run_has_is_an_error_and_one_that_some_lack_a_note(cells, tmp_path):
    with pytest.raises(InputError, match="no run has the metric map11"):
        by_metric(cells, "map11")
    seven = write(tmp_path / "seven", "zeroshot", 2.0, [1 / 7] * 7)
    shown, notes = by_metric([*cells, seven], "roc_auc")
    assert notes == [f"without roc_auc, so shown by accuracy: {seven.path.name}"]
    assert shown[-1] is seven
