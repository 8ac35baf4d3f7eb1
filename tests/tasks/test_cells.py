"""A folder of cells: few labels, patients, merged classes, near-duplicates, a probe that is saved and scored again."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vlmbench
from vlmbench.data.names import DatasetRef, with_option
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import sha256_file
from vlmbench.records.store import read_samples
from vlmbench.tasks.held_out import hold_out
from vlmbench.tasks.probe.data import near_duplicates

NAMES = ("dark_blue", "dark_red", "light_blue", "light_red")
CELLS = 12


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Four classes of twelve images, four patients each; a list of them in which every third has no label."""
    root = tmp_path_factory.mktemp("cells")
    generator = np.random.default_rng(0)
    rows = []
    for name in NAMES:
        (root / name).mkdir()
        strength = 90 if name.startswith("dark") else 220
        for index in range(CELLS):
            pixels = generator.integers(0, 40, (8, 8, 3))
            pixels[..., 0 if name.endswith("red") else 2] += strength - 40
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")
            label = "" if index % 3 == 2 else name
            rows.append([f"{name}/{index}.png", label, f"{name} {index // 3}"])
    with open(root / "cells.csv", "w", newline="") as file:
        csv.writer(file).writerows([["file_name", "label", "patient"], *rows])
    (root / "two.csv").write_text("theirs,ours\n" + "".join(f"{name},{name.split('_')[0]}\n" for name in NAMES))
    return root


@pytest.fixture(scope="module")
def probed(cells, tmp_path_factory) -> tuple[vlmbench.Results, Path, dict]:
    place = tmp_path_factory.mktemp("probed")
    run = {"out": place / "out", "cache_dir": place / "cache", "device": "cpu"}
    found = vlmbench.linear_probe(
        "pixels",
        f"file:{cells}/cells.csv",
        shots="1,2,all",
        seeds=2,
        group="patient",
        save_probe=place / "probe",
        **run,
    )
    return found, place, run


def test_patients_stay_on_one_side_and_lines_without_label_are_counted(cells, probed):
    found, _, _ = probed
    assert any("16 of 48 lines have no label and are left out" in warning for warning in found.warnings)
    rows = csv.DictReader((cells / "cells.csv").read_text().splitlines())
    whole = {row["file_name"]: row["patient"] for row in rows if row["label"]}
    tested = set(map(str, read_samples(found[-1].run)["id"]))
    assert 0 < len(tested) < len(whole)
    patients = {whole[id] for id in tested}
    assert patients.isdisjoint(whole[id] for id in whole if id not in tested)
    assert {name.split("/")[0] for name in tested} == set(NAMES)
    assert [one.run.record.protocol.validation for one in found] == [
        "min(1, 4) images a class out of train, by group",
        "min(2, 4) images a class out of train, by group",
        "a stratified fifth of train, by group",
    ]


def test_a_patient_in_two_splits_is_refused(cells, probed, tmp_path):
    rows = [[cells / f"{name}/{index}.png", name, index // 3, "test" if index > 8 else "train"] for name in NAMES
            for index in (0, 3, 6, 9)]  # fmt: skip
    for patient, refused in (("", False), (0, True)):
        rows[-1][2] = patient
        with open(tmp_path / "list.csv", "w", newline="") as file:
            csv.writer(file).writerows([["file_name", "label", "patient", "split"], *rows])
        call = ("pixels", f"file:{tmp_path}/list.csv")
        if refused:
            with pytest.raises(InputError, match=r"images of the group 0 \(patient\) are in both train and test"):
                vlmbench.linear_probe(*call, group="patient", **probed[2])
        else:
            assert vlmbench.linear_probe(*call, group="patient", **probed[2])[0].n == 4


def test_the_probe_with_the_most_labels_is_kept_and_predicts_the_folders_names(cells, probed):
    _, place, run = probed
    predicted = vlmbench.predict(place / "probe", cells / "cells.csv", cache_dir=run["cache_dir"], device="cpu")
    assert len(predicted) == 16
    assert predicted.classnames == NAMES
    rows = predicted.to_dicts()
    assert [row["label"] for row in rows] == predicted.to_frame()["label"].tolist()
    right = np.mean([row["label"] == Path(row["image"]).parent.name for row in rows])
    assert right == 1.0


def test_a_kept_probe_is_scored_on_labelled_images_and_its_record_verifies(cells, probed, tmp_path):
    _, place, run = probed
    (found,) = vlmbench.linear_probe(datasets=f"folder:{cells}", load_probe=place / "probe", **run)
    predicted = vlmbench.predict(place / "probe", cells, cache_dir=run["cache_dir"], device="cpu")
    right = [row["label"] == Path(row["image"]).parent.name for row in predicted.to_dicts()]
    assert (found.n, found.metrics["accuracy"].value) == (48, pytest.approx(np.mean(right)))
    assert not vlmbench.verify([found]).mismatches
    assert found.run.record.protocol.classes_from == f"file:{cells}/cells.csv?group=patient"
    assert found.run.record.protocol.probe_sha256 == sha256_file(place / "probe")
    (tmp_path / "map.csv").write_text("dark_blue,\n")
    (less,) = vlmbench.linear_probe(
        datasets=f"folder:{cells}", load_probe=place / "probe", class_map=tmp_path / "map.csv", **run
    )
    assert less.n == 36
    (tmp_path / "map.csv").write_text("dark_blue,\ndark_bleu,light_red\n")
    with pytest.raises(InputError, match="classes that no test set has: dark_bleu"):
        vlmbench.linear_probe(
            datasets=f"folder:{cells}", load_probe=place / "probe", class_map=tmp_path / "map.csv", **run
        )
    with pytest.raises(UsageError, match="nothing to score the probe on"):
        vlmbench.linear_probe(load_probe=place / "probe", **run)


def test_classes_are_merged_by_a_file(cells, probed, tmp_path):
    _, _, run = probed
    (found,) = vlmbench.linear_probe("pixels", f"folder:{cells}", class_map=cells / "two.csv", **run)
    record = found.run.record
    assert record.protocol.classnames == ["dark", "light"]
    assert "roc_auc" in record.metrics
    assert [row.n for row in record.detail.per_class] == [6, 6]
    scores = record.detail.validation_scores
    assert (scores.source, np.sum(scores.images)) == ("a stratified fifth of train", 8)
    (line,) = [table for table in vlmbench.compare([found], threshold="youden").tables if table.name == "two_classes"]
    assert line.rows[0][6].text.startswith("Youden's index on 8 validation images (a stratified fifth of train): ")
    for text, what in (("green,dark\n", "names green, no class of"), ("dark_red,x\n" * 2, "occurs twice")):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(InputError, match=what):
            vlmbench.linear_probe("pixels", f"folder:{cells}", class_map=tmp_path / "bad.csv", **run)
    with pytest.raises(UsageError, match="no columns to group its images by"):
        vlmbench.linear_probe("pixels", f"folder:{cells}", group="patient", **run)
    with pytest.raises(InputError, match="no line has a value in the column doctor"):
        vlmbench.linear_probe("pixels", f"file:{cells}/cells.csv", group="doctor", **run)


def test_near_duplicates_across_splits_are_counted(tmp_path):
    generator = np.random.default_rng(1)
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for index in range(3):
                pixels = generator.integers(0, 255, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{index}.png")
    copy = (tmp_path / "data/train/a/0.png").read_bytes()
    (tmp_path / "data/test/a/1.png").write_bytes(copy)
    found = vlmbench.linear_probe(
        "pixels",
        f"folder:{tmp_path}/data",
        head=["prototype", "knn"],
        shots=4,
        seeds=1,
        out=tmp_path,
        cache_dir=tmp_path / "cache",
        device="cpu",
    )
    assert [line for line in found.warnings if "same as a training image" in line] == [
        f"folder:{tmp_path}/data: 1 of 6 test images is the same as a training image, or nearly (a/1.png): figures may "
        "be too high"
    ]
    assert len([line for line in found.warnings if "fewer images than 4 shots" in line]) == 1  # once for both heads


def test_images_of_one_brightness_are_no_duplicates():
    """Features that all point one way, as pixels do."""
    generator = np.random.default_rng(0)
    train, test = (100 + generator.normal(size=(50, 64)).astype(np.float32) for _ in range(2))
    plain = (test @ train.T) / np.outer(np.linalg.norm(test, axis=1), np.linalg.norm(train, axis=1))
    assert plain.min() > 0.999
    assert near_duplicates(train, test).tolist() == []
    test[[3, 7]] = train[:2] + 0.001
    assert near_duplicates(train, test).tolist() == [3, 7]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_divided(seed):
    generator = np.random.default_rng(seed)
    groups = [f"p{number}" for number in generator.integers(0, 20, 200)]
    y = generator.integers(0, 3, 200)
    train, test = hold_out(y, ["a", "b", "c"], 0.25, seed, "d", groups)
    assert sorted([*train, *test]) == list(range(200))
    assert {groups[row] for row in train}.isdisjoint(groups[row] for row in test)
    assert abs(len(test) / 200 - 0.25) < 0.1
    assert {*y[test]} == {*y[train]} == {0, 1, 2}
    with pytest.raises(InputError, match="all images of the class c are of one group"):
        hold_out(np.array([0, 0, 1, 1, 2, 2]), ["a", "b", "c"], 0.5, 0, "d", ["p", "q", "p", "q", "q", "q"])


def test_names_with_options_are_read_as_they_are_written():
    (name,) = with_option(["file:a b/list.csv?corrupt=fog:3"], "group", "patient&id")
    assert name == "file:a b/list.csv?corrupt=fog:3&group=patient%26id"
    ref = DatasetRef.parse(name)
    assert (ref.place, str(ref), ref.option("group")) == ("a b/list.csv", name, "patient&id")
    assert str(ref.clean.unmerged) == "file:a b/list.csv?group=patient%26id"
    odd = DatasetRef.parse("folder:what?&classes=x")
    assert (odd.place, str(odd)) == ("what?", "folder:what?&classes=x")
    with pytest.raises(UsageError, match="an option twice"):
        DatasetRef.parse("folder:x?classes=a&classes=b")
