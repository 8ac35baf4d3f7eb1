"""Train here, test there: records, restricted classes, zero-shot beside the probe, tables, and that nothing leaks."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import OpenDataset
from vlmbench.data.bundled import Arrays
from vlmbench.data.catalogue import family
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.heads.prompts import prompt_sets
from vlmbench.heads.spec import probabilities
from vlmbench.records.store import read_samples
from vlmbench.report.gate.baseline import entries_from_runs
from vlmbench.report.page.figures import robustness_figures
from vlmbench.report.page.write import render_report
from vlmbench.report.reading import read_tables
from vlmbench.report.tables.write import build_tables
from vlmbench.report.verify import verify_run
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.probe import run as probe_run
from vlmbench.tasks.probe import shift
from vlmbench.tasks.probe.data import TEST, TRAIN, VAL
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.run import check_linear_probe, run_linear_probe
from vlmbench.tasks.probe.shift import Restricted, shift_plans
from vlmbench.tasks.zeroshot import ZeroShotRequest, run_zeroshot


def context(tmp_path: Path) -> Context:
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", reporter=Silent())


def folder(root: Path, source: Path, names: dict[str, str]) -> Path:
    """A test set of some of a folder's classes under other names; classes with one name are put together."""
    for ours, theirs in names.items():
        (root / theirs).mkdir(parents=True, exist_ok=True)
        for path in sorted((source / ours).iterdir()):
            shutil.copyfile(path, root / theirs / f"{ours}-{path.name}")
    return root


@pytest.fixture(scope="module")
def shifted(colours, checkpoints, tmp_path_factory):
    """A probe and zero-shot trained on three colours, tested on two of them, and on all three by a map."""
    root = tmp_path_factory.mktemp("shift")
    two = folder(root / "two", colours / "train", {"red": "RED", "blue": "Blue_"})
    mapped = folder(root / "mapped", colours / "train", {"red": "crimson", "green": "Green", "blue": "navy"})
    folder(root / "mapped", colours / "test", {"blue": "sky", "red": "unknown"})
    (root / "map.csv").write_text("theirs,ours\ncrimson,red\nnavy,blue\nsky,blue\nunknown,\n")
    request = ProbeRequest(
        [str(checkpoints("clip"))],
        [f"folder:{colours}"],
        shots=(1, 2, None),
        seeds=2,
        c=1.0,
        test_on=[f"folder:{two}", f"folder:{mapped}"],
        class_map=root / "map.csv",
    )
    here = context(root)
    session = Session(here)
    return request, here, session, run_linear_probe(request, here, session)


def of(runs, dataset: str, task: str, shots: int | None = None):
    """The run of a task on a dataset that is not restricted to some classes of its own."""
    return next(
        run
        for run in runs
        if (run.record.dataset.id.endswith(dataset), run.record.task, run.record.shots) == (True, task, shots)
        and (run.record.protocol.classes_from or not run.record.protocol.left_out_classes)
    )


def test_there_is_a_record_for_each_classifier_and_test_set(shifted, colours):
    _, _, session, runs = shifted
    assert len(runs) == 4 * 4
    train = f"folder:{colours}"
    probe, zero = (of(runs, "two", task).record for task in ("linear-probe", "zeroshot"))
    assert probe.system.endswith(f" trained on {train}")
    assert zero.system.endswith(f" with the classes of {train}")
    for record in (probe, zero):
        assert record.protocol.classes_from == train
        assert (record.protocol.classnames, record.protocol.left_out_classes) == (["blue", "red"], ["green"])
        assert (record.n, record.dataset.split) == (16, "all")
    assert "classes_from:" in probe.signature
    mapped = of(runs, "mapped", "linear-probe", 2).record
    assert mapped.protocol.class_map == {"crimson": "red", "navy": "blue", "sky": "blue", "unknown": None}
    assert (mapped.n, mapped.protocol.left_out_classes) == (29, None)
    assert [mapped.detail.per_class[i].n for i in range(3)] == [26, 16, 16]  # over two seeds
    assert [verify_run(run) for run in runs] == [[]] * len(runs)
    keys = [entry.key for entry in entries_from_runs(runs)]
    assert len(set(keys)) == len(keys) == len(runs)
    assert sum(f"trained on {train}" in key for key in keys) == 6
    assert sum(tally.decoded for tally in session._features.tallies) == 24 + 15 + 16 + 34  # each image once


def test_in_distribution_is_what_the_commands_themselves_give(shifted, colours, tmp_path):
    request, here, session, runs = shifted
    again = replace(here, out=tmp_path)
    plain = run_linear_probe(replace(request, test_on=(), class_map=None), again, session)
    plain += run_zeroshot(ZeroShotRequest(request.models, request.datasets), again, session)
    for run in plain:
        other = next(one for one in runs if one.path.name == run.path.name)
        assert (other.path / "result.json").read_bytes() == (run.path / "result.json").read_bytes()


def test_the_logits_of_classes_that_are_not_there_are_left_out(shifted, colours):
    request, here, session, runs = shifted
    model = request.models[0]
    columns = read_samples(of(runs, "two", "zeroshot"))
    plan = next(
        plan for plan in shift_plans(session, *_refs(request), request) if plan.images.dataset.place.endswith("two")
    )
    assert plan.match.columns.tolist() == [0, 2]  # blue, green, red
    x = session.features(model, plan.images, layer="proj").x
    names = [(name,) for name in ("blue", "green", "red")]
    head = session.text_weights(
        model, names, prompt_sets((), session.dataset(request.datasets[0]).info, here.cache_dir)[0]
    )
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (unit @ head.weights.T)[:, [0, 2]]
    assert np.array_equal(columns["prediction"], cosines.argmax(axis=1))
    powers = np.exp((cosines[:, 1] - cosines[:, 0]) * head.logit_scale)
    assert np.allclose(columns["score"], powers / (1 + powers), atol=1e-5)
    assert columns["label"].tolist() == [0] * 8 + [1] * 8  # Blue_, RED

    class Never:
        def logits(self, x):
            return np.array([[0.0, 5.0, -np.inf], [-np.inf, 1.0, -np.inf]])

    found = probabilities(Restricted(Never(), np.array([0, 2])), np.zeros((2, 1)), multilabel=False)
    assert found.tolist() == [[1.0, 0.0], [0.5, 0.5]]


def _refs(request):
    return [DatasetRef.parse(name) for name in request.datasets]


def test_tables_figure_and_words_say_what_is_lost(shifted, colours, tmp_path):
    _, _, _, runs = shifted
    tables = {table.name: table for table in build_tables(runs)}
    table = tables["robustness"]
    keys = [column.key for column in table.columns]
    lines = [dict(zip(keys, row, strict=True)) for row in table.rows]
    assert [line["classifier"].text for line in lines[:4]] == [
        "zero-shot",
        "probe, 1 label per class",
        "probe, 2 labels per class",
        "probe, all labels",
    ]
    assert len(lines) == 8
    for line in lines:
        shifted_run, own = line["loss"].runs
        accuracy = [run.record.metrics["accuracy"].value for run in (own, shifted_run)]
        assert (line["in_distribution"].value, line["shifted"].value) == tuple(accuracy)
        assert line["loss"].value == pytest.approx(accuracy[0] - accuracy[1])
        assert line["loss"].low <= line["loss"].value <= line["loss"].high
        assert own.record.protocol.classnames == shifted_run.record.protocol.classnames
    for block in (lines[:4], lines[4:]):
        zero, probe = block[0], block[3]
        assert probe["extra_loss"].value == pytest.approx(probe["loss"].value - zero["loss"].value)
        assert not zero["extra_loss"].is_figure
    words = read_tables(list(tables.values()))
    assert words.count("under shift the probe ") == 2
    assert f"Trained on folder:{colours}, tested on folder:" in words
    assert "on 2 of 3 classes" not in words
    page = render_report(runs, list(tables.values()))
    assert page.count("Accuracy under shift") == 2  # in the contents, and as a heading
    assert {path.suffix for path in robustness_figures(runs, tmp_path)} == {".png", ".svg", ".pdf"}
    classified = {row[1].text for row in tables["classification"].rows}
    assert classified == {"random-clip", "reference: majority class of train", "reference: chance"}


def test_corruptions_of_the_test_images_are_decoded_once_and_stand_beside_zero_shot(colours, checkpoints, tmp_path):
    request = ProbeRequest([str(checkpoints("clip"))], [f"folder:{colours}"], c=1.0, corrupt="contrast:4-5,pixelate:4")
    session = Session(context(tmp_path))
    runs = run_linear_probe(request, session.context, session)
    assert len(runs) == 2 * 4
    assert sum(tally.decoded for tally in session._features.tallies) == 24 + 15  # train and test, each image once
    (table,) = (table for table in build_tables(runs) if table.name == "corruptions")
    keys = [column.key for column in table.columns]
    lines = [dict(zip(keys, row, strict=True)) for row in table.rows]
    found = [(line["model"].text, line["classifier"].text, line["corruption"].text) for line in lines]
    assert sorted(found) == [
        ("random-clip", classifier, kind)
        for classifier in ("probe, all labels", "zero-shot")
        for kind in ("contrast", "mean", "pixelate")
    ]
    clean = {run.record.task: run.record.metrics["accuracy"].value for run in runs if "?" not in run.record.dataset.id}
    for line in lines:
        task = "zeroshot" if line["classifier"].text == "zero-shot" else "linear-probe"
        assert line["clean"].value == clean[task]
    with pytest.raises(UsageError, match="corrupt"):
        replace(request, models=(), datasets=(), features=tmp_path / "x.npz").check()


def fitted(request: ProbeRequest, here: Context) -> list[bytes]:
    """What was fitted and chosen: for each fit the training and validation data that it got, and its logits."""
    found: list[bytes] = []
    real = probe_run.fit_split

    def recorded(split, *args, **more):
        fit = real(split, *args, **more)
        parts = [part[name] for part in (split.x, split.y) for name in (TRAIN, VAL) if name in part]
        assert set(split.x) <= {TRAIN, VAL, TEST}
        found.append(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
        found.append(fit.detail.model_dump_json().encode() + fit.head.logits(split.x[TRAIN]).tobytes())
        return fit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe_run, "fit_split", recorded)
        run_linear_probe(request, here)
    return found


def leaks(request: ProbeRequest, here: Context, tests: list[str]) -> bool:
    """Whether what is fitted depends on the test sets: on having any, on their images or on their labels."""
    first = fitted(replace(request, test_on=()), here)
    return any(fitted(replace(request, test_on=[test]), here) != first for test in tests)


def test_nothing_of_a_test_set_reaches_training_or_the_choice_of_a_strength(colours, tmp_path, monkeypatch):
    one = folder(tmp_path / "one", colours / "test", {"red": "red", "green": "green", "blue": "blue"})
    swapped = folder(tmp_path / "swapped", colours / "test", {"red": "blue", "green": "red", "blue": "green"})
    request = ProbeRequest(["pixels"], [f"folder:{colours}"], shots=(2, None), seeds=1)
    tests = [f"folder:{one}", f"folder:{swapped}"]
    assert not leaks(request, context(tmp_path), tests)

    def leaky(session, model, data, **more):
        """A planted leak: the first test set's images are added to the training images."""
        found = real(session, model, data, **more)
        for test in found[:1]:
            data.x[TRAIN] = np.concatenate([data.x[TRAIN], test.data.x[TEST]])
            data.y[TRAIN] = np.concatenate([data.y[TRAIN], test.data.y[TEST]])
        return found

    def chooses(session, model, data, **more):
        """Another: the strength is chosen on the first test set."""
        found = real(session, model, data, **more)
        for test in found[:1]:
            data.x[VAL], data.y[VAL] = test.data.x[TEST], test.data.y[TEST]
        return found

    real = probe_run.shifted_tests
    for planted in (leaky, chooses):
        monkeypatch.setattr(probe_run, "shifted_tests", planted)
        assert leaks(request, context(tmp_path), tests)


def test_a_changed_copy_of_a_single_split_is_tested_on_the_held_out_images(colours, tmp_path):
    """``folder:PATH?corrupt=…`` after training on ``folder:PATH``: its other images were trained on."""
    session = Session(context(tmp_path))
    ours = _single(session, "d", colours / "train")
    request = ProbeRequest(["pixels"], ["d"], test_on=["d?label=label"])
    session.images.adopt("d?label=label", _changed(ours))
    (plan,) = shift_plans(session, *_refs(request), request)
    data = probe_run.from_session(session, "pixels", request.datasets[0], request)
    tested = plan.features(session, "pixels", "pre_proj")
    assert tested.ids == data.ids
    assert len(tested.ids) == 6


def _single(session, name, root):
    whole = session.dataset(f"folder:{root}")
    dataset = OpenDataset(replace(whole.info, id=name), whole.split)
    session.images.adopt(name, dataset)
    return dataset


def _changed(dataset):
    """The same images, flipped."""

    def split(name):
        whole = dataset.split(name)
        pictures = (Image.open(io.BytesIO(whole.images.read(i))) for i in range(len(whole)))
        raws = tuple(np.asarray(picture)[::-1].copy() for picture in pictures)
        return replace(whole, images=Arrays(raws))

    return OpenDataset(replace(dataset.info, id="d?label=label"), split)


def test_a_family_is_its_other_members_and_one_that_does_not_fit_is_left_out(colours, tmp_path, monkeypatch):
    assert [str(ref) for ref in family(DatasetRef.parse("mnist"))] == ["svhn", "usps"]
    assert {"imagenetv2", "imagenet-r"} <= {str(ref) for ref in family(DatasetRef.parse("imagenet1k"))}
    other = folder(tmp_path / "other", colours / "test", {"red": "Red", "green": "GREEN"})
    members = [DatasetRef.parse(name) for name in (f"folder:{other}", "shapes")]
    monkeypatch.setattr(shift, "family", lambda ref: members)
    here = context(tmp_path)
    request = ProbeRequest(["pixels"], [f"folder:{colours}"], test_on=["family"])
    plans = shift_plans(Session(here), *_refs(request), request, warn=True)
    assert [plan.images.dataset for plan in plans if not plan.own] == members[:1]
    assert [line.partition(": no class")[0] for line in here.reporter.warnings] == ["shapes of the family is left out"]
    members.pop(0)
    with pytest.raises(InputError, match="no class in common"):
        shift_plans(Session(here), *_refs(request), request)


def test_what_is_wrong_is_said_before_an_image_is_encoded(colours, tmp_path):
    here = context(tmp_path)
    data = f"folder:{colours}"

    def refused(kind, message, **more):
        session = Session(here)
        with pytest.raises(kind, match=message):
            check_linear_probe(ProbeRequest(["pixels"], [data], **more), session)
        assert not session._features.tallies

    refused(UsageError, "is the training set; its own test split is scored anyway", test_on=[data])
    refused(UsageError, "is in no family of datasets", test_on=["family"])
    refused(InputError, "no class in common: shapes has", test_on=["shapes"])
    refused(InputError, "scenes has no classes", test_on=["scenes"])
    refused(UsageError, "class_map= is for the classes of test_on=", class_map=tmp_path / "map.csv")
    copy = folder(tmp_path / "copy", colours / "train", {name: name for name in ("red", "green", "blue")})
    for path in copy.rglob("*.png"):
        path.rename(path.with_name(path.name.partition("-")[2]))
    refused(InputError, "are those that the probe is trained on", test_on=[f"folder:{copy}"])
    refused(InputError, "are those that the probe is trained on", test_on=[f"folder:{copy}?corrupt=fog:3"])
    (tmp_path / "map.json").write_text('{"cow": "red"}')
    refused(InputError, "no test set has: cow", test_on=[f"folder:{copy}"], class_map=tmp_path / "map.json")
    empty = folder(tmp_path / "empty" / "test", colours / "test", {"red": "crimson"})
    folder(tmp_path / "empty" / "train", colours / "test", {"red": "crimson", "green": "green", "blue": "blue"})
    (tmp_path / "map.json").write_text('{"crimson": null}')
    more = {"test_on": [f"folder:{empty.parent}"], "class_map": tmp_path / "map.json"}
    refused(InputError, r"no image of folder:.* is left", **more)
    with pytest.raises(UsageError, match="needs a model and a dataset"):
        ProbeRequest(features=tmp_path / "f.npz", test_on=["digits"]).check()
    assert Selection(data, "test")  # the training set itself is fine
