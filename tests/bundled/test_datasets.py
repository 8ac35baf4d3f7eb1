"""The bundled data sets: counts, splits, and what they hold out."""

import json

import numpy as np
import pytest

PER_CLASS = {"shapes": {"train": 40, "val": 10, "test": 50}, "counting": {"train": 200, "val": 50, "test": 200}}


@pytest.fixture(params=sorted(PER_CLASS))
def name(request):
    return request.param


def test_counts_are_as_stated(bundled, read, name):
    meta = json.loads((bundled / "datasets" / name / "dataset.json").read_text())
    assert len(meta["classnames"]) == len(set(meta["classnames"])) == {"shapes": 24, "counting": 5}[name]
    assert "a photo of a {}." in meta["templates"]
    assert meta["metric"] == "accuracy"
    for split, per_class in PER_CLASS[name].items():
        labels = [r["label"] for r in read(name, split)]
        assert np.bincount(labels).tolist() == [per_class] * len(meta["classnames"])
        assert meta["splits"][split] == len(labels)


def test_splits_share_no_image(read, name):
    seen = [r["png"] for split in ("train", "val", "test") for r in read(name, split)]
    assert len(seen) == len(set(seen)) > 2000


def test_datasets_reads_the_features_from_the_file(bundled, name, tmp_path):
    from datasets import Dataset

    found = Dataset.from_parquet(str(bundled / "datasets" / name / "val.parquet"), cache_dir=str(tmp_path))
    meta = json.loads((bundled / "datasets" / name / "dataset.json").read_text())
    assert found.features["label"].names == meta["classnames"]
    assert found[0]["image"].size == (48, 48)


def test_the_classes_of_shapes_are_the_held_out_pairs(bundled):
    from benchmarks.pretraining import captions as c

    meta = json.loads((bundled / "datasets" / "shapes" / "dataset.json").read_text())
    assert set(meta["classnames"]) == {f"{c.COLOURS[k]} {c.SHAPES[s]}" for s, k in c.HELD_OUT}
    assert len(c.HELD_OUT) == 24
    assert {sum(k == colour for _, k in c.HELD_OUT) for colour in range(c.N_SHAPE_COLOURS)} == {3}


def test_the_painted_area_does_not_give_the_count_away(read):
    area: dict[int, list[float]] = {k: [] for k in range(5)}
    for row in read("counting", "test"):
        pixels = np.asarray(row["image"]).astype(int)
        ground = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), 0)
        area[row["label"]].append(float((np.abs(pixels - ground).sum(2) > 90).mean()))
    means = np.array([np.mean(v) for v in area.values()])
    assert means.min() > 0.05
    assert means.max() / means.min() < 1.15
    everything = np.concatenate([np.array(v) for v in area.values()])
    assert np.corrcoef(everything, np.repeat(np.arange(5), 200))[0, 1] ** 2 < 0.02


def test_digits_are_split_by_a_stored_list(bundled):
    from sklearn.datasets import load_digits

    from vlmbench.bundled.digits import load_digits_split

    meta = json.loads((bundled / "datasets" / "digits" / "dataset.json").read_text())
    parts = meta["indices"]
    assert {s: len(rows) for s, rows in parts.items()} == meta["splits"] == {"train": 797, "val": 200, "test": 800}
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == list(range(1797))
    bunch = load_digits()
    for split, rows in parts.items():
        images, labels = load_digits_split(split)
        assert labels == bunch.target[rows].tolist()
        assert images[0].mode == "L"
        assert images[0].size == (8, 8)
        assert np.allclose(np.stack([np.asarray(i) for i in images]) / 255 * 16, bunch.images[rows], atol=0.05)
    assert np.bincount(bunch.target[parts["test"]]).tolist() == [80] * 10
    with pytest.raises(KeyError):
        load_digits_split("dev")


def test_scenes_have_five_different_captions(bundled, read):
    meta = json.loads((bundled / "datasets" / "scenes" / "dataset.json").read_text())
    ids, pngs = [], []
    for split, n in {"train": 2000, "val": 200, "test": 300}.items():
        rows = read("scenes", split)
        assert len(rows) == n == meta["splits"][split]
        assert all(len(set(r["captions"])) == 5 for r in rows)
        ids += [r["image_id"] for r in rows]
        pngs += [r["png"] for r in rows]
    assert len(set(ids)) == len(set(pngs)) == 2500


def test_scenes_hold_out_pairs_and_phrasings(read):
    from benchmarks.pretraining import captions as c
    from benchmarks.pretraining.scenes import UNSEEN

    held = {f"{c.COLOURS[k]} {noun}" for s, k in c.HELD_OUT for noun in (c.SHAPES[s], c.PLURALS[s])}

    def with_held(rows):
        return sum(any(f"{p} " in f"{t} " for p in held for t in r["captions"]) for r in rows)

    assert with_held(read("scenes", "train")) == 0
    test = read("scenes", "test")
    assert with_held(test) > 100
    openings = tuple(p.split("{")[0] for forms in UNSEEN.values() for p in forms if p.split("{")[0] not in ("", "a "))
    assert len(openings) > 4
    assert sum(any(t.startswith(openings) for t in r["captions"]) for r in test) > 150
