"""The linear-probe run: features files, models and folders, few-shot samples, records that come out the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.metrics.classification import metrics_from_samples
from vlmbench.records.store import read_samples
from vlmbench.session.context import Context
from vlmbench.tasks.predict import find_images, open_predictor
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.run import run_linear_probe


def context(tmp_path: Path, **more) -> Context:
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", **{"reporter": Silent(), **more})


@pytest.fixture(scope="module")
def digits() -> dict[str, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    return {
        "x_train": x[:400],
        "y_train": y[:400],
        "x_val": x[400:550],
        "y_val": y[400:550],
        "x_test": x[550:950],
        "y_test": y[550:950],
    }


def save(tmp_path: Path, arrays: dict, name: str = "f.npz") -> Path:
    np.savez(tmp_path / name, **arrays)
    return tmp_path / name


def test_a_fixed_strength_equals_scikit_learn(digits, tmp_path):
    (run,) = run_linear_probe(ProbeRequest(features=save(tmp_path, digits), c=0.05), context(tmp_path))
    theirs = LogisticRegression(C=0.05, tol=1e-8, max_iter=5000).fit(digits["x_train"].astype(float), digits["y_train"])
    assert read_samples(run)["prediction"].tolist() == theirs.predict(digits["x_test"]).tolist()
    assert run.record.metrics["accuracy"].value == theirs.score(digits["x_test"], digits["y_test"])
    assert run.record.detail.converged is True


def test_a_second_run_fits_nothing_and_gives_the_same_bytes_without_torch(digits, tmp_path):
    path = save(tmp_path, digits)
    first = run_linear_probe(ProbeRequest(features=path, shots=(1, 4, None), seeds=2), context(tmp_path))
    words = ["linear-probe", "--features", path, "--shots", "1,4,all", "--seeds", "2", "--no-figures"]
    words += ["-o", tmp_path / "again", "--cache-dir", tmp_path / "cache"]
    code = (
        f"import sys; sys.argv = {['vlmbench', *map(str, words)]}\n"
        "from vlmbench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "print(*({'torch', 'pandas', 'sklearn', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.splitlines()[-1]
    assert "heads: 0 fitted, 5 from the store (f, logistic)" in done.stderr
    for run, count in zip(first, (2, 2, 1), strict=True):
        again = tmp_path / "again" / "runs" / run.path.name
        for part in ("result.json", "samples.parquet"):
            assert (again / part).read_bytes() == (run.path / part).read_bytes()
        facts = [json.loads((place / "run.json").read_text()) for place in (run.path, again)]
        assert [(one["heads_fitted"], one["heads_from_store"]) for one in facts] == [(count, 0), (0, count)]


def test_native_and_scikit_learn_find_the_same_strength(digits, tmp_path):
    path = save(tmp_path, digits)
    (ours,) = run_linear_probe(ProbeRequest(features=path), context(tmp_path))
    (theirs,) = run_linear_probe(ProbeRequest(features=path, solver="sklearn"), context(tmp_path))
    assert ours.record.detail.c == theirs.record.detail.c
    assert ours.record.metrics["accuracy"] == theirs.record.metrics["accuracy"]
    assert ours.path != theirs.path
    assert len(ours.record.detail.search) >= 12
    assert all(trial.c > 0 and 0 <= trial.score <= 1 and trial.log_loss > 0 for trial in ours.record.detail.search)


def test_validation_comes_out_of_train_where_there_is_none_and_refit_uses_it(digits, tmp_path):
    bare = {name: value for name, value in digits.items() if "val" not in name}
    path = save(tmp_path, bare)
    (plain,) = run_linear_probe(ProbeRequest(features=path), context(tmp_path))
    (again,) = run_linear_probe(ProbeRequest(features=path, refit=True), context(tmp_path))
    assert plain.record.protocol.validation == "a stratified fifth of train"
    assert (plain.record.detail.train_images, again.record.detail.train_images) == (321, 400)
    assert again.record.protocol.refit is True
    assert plain.record.detail.c == again.record.detail.c


def test_the_test_split_is_never_touched_by_the_search(digits, tmp_path):
    (one,) = run_linear_probe(ProbeRequest(features=save(tmp_path, digits)), context(tmp_path))
    changed = {**digits, "y_test": np.roll(digits["y_test"], 1)}
    (two,) = run_linear_probe(ProbeRequest(features=save(tmp_path, changed, "g.npz")), context(tmp_path))
    assert one.record.detail.search == two.record.detail.search
    assert one.record.metrics["accuracy"].value > 0.9 > 0.3 > two.record.metrics["accuracy"].value


def test_few_shot_means_seeds_curve_and_recomputation(digits, tmp_path):
    runs = run_linear_probe(
        ProbeRequest(features=save(tmp_path, digits), shots=(1, 4, None), seeds=3), context(tmp_path)
    )
    assert [run.record.shots for run in runs] == [1, 4, None]
    one, four, full = (run.record for run in runs)
    assert one.metrics["accuracy"].value < four.metrics["accuracy"].value < full.metrics["accuracy"].value
    assert one.metrics["accuracy"].value == pytest.approx(np.mean(one.detail.per_seed))
    assert len(one.detail.per_seed) == 3
    assert one.n == 400
    samples = read_samples(runs[0])
    assert len(samples["id"]) == 1200
    assert metrics_from_samples(samples, list(one.metrics), one.seed) == one.metrics
    points = four.detail.curve.points
    assert [point.shots for point in points] == [1, 4, None]
    assert points[2].labels_per_class == 40
    assert "t over seeds" in one.protocol.intervals


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_sample(digits, tmp_path):
    path = save(tmp_path, digits)
    request = ProbeRequest(features=path, shots=(2,), seeds=2)
    written = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        (run,) = run_linear_probe(request, context(tmp_path / place, seed=seed))
        written.append(run)
    first, again, other = ((run.path / "result.json").read_bytes() for run in written)
    assert first == again
    assert written[0].path.name == written[1].path.name
    assert json.loads(first)["detail"]["per_seed"] != json.loads(other)["detail"]["per_seed"]


def test_a_model_on_a_folder_with_zero_shot_line_and_crossing(checkpoints, colours, tmp_path):
    here = context(tmp_path)
    request = ProbeRequest(
        models=[str(checkpoints("clip"))], datasets=[f"folder:{colours}"], shots=(1, 2, None), seeds=2
    )
    runs = run_linear_probe(request, here)
    assert [run.record.shots for run in runs] == [1, 2, None]
    for run in runs:
        assert run.record.protocol.layer == "pre_proj"
        assert 0 <= run.record.detail.curve.zero_shot <= 1
        assert run.record.detail.labels_to_match.sentence
    assert any(
        "labelled images per class" in note or "is not better than chance" in note for note in here.reporter.notes
    )
    encoded = [note for note in here.reporter.notes if "images encoded" in note]
    run_linear_probe(request, here)
    assert all(" 0 images encoded" in note for note in here.reporter.notes[len(encoded) + 1 :] if "encoded" in note)


def test_starting_from_zero_shot_is_a_probe_of_its_own_name(checkpoints, colours, tmp_path):
    model = str(checkpoints("clip"))
    base = {"models": [model], "datasets": [f"folder:{colours}"], "heads": ["zeroshot-init"]}
    (weak,) = run_linear_probe(ProbeRequest(**base, c=1e-9), context(tmp_path))
    assert weak.record.system.endswith("+zeroshot-init")
    assert weak.record.protocol.probe == "zeroshot-init"
    assert (weak.record.protocol.layer, weak.record.protocol.normalize) == ("proj", True)
    from vlmbench.tasks.zeroshot import ZeroShotRequest as ZeroRequest
    from vlmbench.tasks.zeroshot import run_zeroshot

    (zero,) = run_zeroshot(ZeroRequest(models=[model], datasets=[f"folder:{colours}"]), context(tmp_path))
    shrunk, text = read_samples(weak), read_samples(zero)
    assert shrunk["prediction"].tolist() == text["prediction"].tolist()
    np.testing.assert_allclose(shrunk["probability"], text["probability"], rtol=1e-2)
    with pytest.raises(UsageError, match="projection"):
        run_linear_probe(ProbeRequest(**base, layer="pre_proj"), context(tmp_path))
    with pytest.raises(UsageError, match="text encoder"):
        run_linear_probe(ProbeRequest(features=save(tmp_path, {}), heads=["zeroshot-init"]), context(tmp_path))


def test_a_kept_probe_predicts_what_the_run_predicted(checkpoints, colours, tmp_path):
    kept = tmp_path / "probe.safetensors"
    request = ProbeRequest(
        models=[str(checkpoints("clip"))], datasets=[f"folder:{colours}"], c=1.0, save=kept, normalised=True
    )
    (run,) = run_linear_probe(request, context(tmp_path))
    samples = read_samples(run)
    predictor = open_predictor(kept, context(tmp_path, batch_size=4))
    images = find_images([colours / "test"])
    found = {str(Path(one.image).relative_to(colours / "test")): one for one in predictor.predict(images)}
    assert len(found) == len(samples["id"])
    names = run.record.protocol.classnames
    for name, prediction, confidence in zip(samples["id"], samples["prediction"], samples["confidence"], strict=True):
        one = next(value for key, value in found.items() if name.endswith(key))
        assert one.labels == (names[prediction],)
        assert max(one.probabilities) == pytest.approx(confidence, abs=1e-4)


def test_predict_refuses_other_weights_and_probes_without_a_model(checkpoints, colours, digits, tmp_path):
    kept = tmp_path / "probe.safetensors"
    run_linear_probe(ProbeRequest(features=save(tmp_path, digits), c=1.0, save=kept), context(tmp_path))
    with pytest.raises(InputError, match="features file"):
        open_predictor(kept, context(tmp_path))
    import shutil

    model = shutil.copytree(checkpoints("clip"), tmp_path / "model")
    run_linear_probe(
        ProbeRequest(models=[str(model)], datasets=[f"folder:{colours}"], c=1.0, save=kept), context(tmp_path)
    )
    from safetensors.numpy import load_file, save_file

    weights = load_file(model / "model.safetensors")
    save_file(
        {name: np.asarray(value + 1) for name, value in weights.items()}, model / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match="different weights"):
        open_predictor(kept, context(tmp_path))
    with pytest.raises(AbsentError):
        find_images([tmp_path / "nothing.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        find_images([tmp_path / "empty"])


def test_labels_can_be_text(digits, tmp_path):
    words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    named = {name: words[value] if name.startswith("y") else value for name, value in digits.items()}
    (numbers,) = run_linear_probe(ProbeRequest(features=save(tmp_path, digits), c=0.1), context(tmp_path))
    (text,) = run_linear_probe(ProbeRequest(features=save(tmp_path, named, "words.npz"), c=0.1), context(tmp_path))
    assert text.record.protocol.classnames == sorted(words)
    assert text.record.metrics["accuracy"] == numbers.record.metrics["accuracy"]


def test_safetensors_and_several_labels(tmp_path):
    from safetensors.numpy import save_file

    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 10)).astype(np.float32)
    y = (x[:, :3] + generator.normal(size=(300, 3)) > 0.3).astype(np.uint8)
    path = tmp_path / "several.safetensors"
    save_file({"x_train": x[:200], "y_train": y[:200], "x_test": x[200:], "y_test": y[200:]}, path)
    (run,) = run_linear_probe(ProbeRequest(features=path), context(tmp_path))
    assert set(run.record.metrics) == {"map11", "map", "roc_auc"}
    assert run.record.metrics["map"].value > 0.6
    with pytest.raises(UsageError, match="one label"):
        run_linear_probe(ProbeRequest(features=path, shots=(2,)), context(tmp_path))


def test_a_class_missing_from_train_or_from_test_is_told(digits, tmp_path):
    keep = digits["y_train"] != 3
    less = {**digits, "x_train": digits["x_train"][keep], "y_train": digits["y_train"][keep]}
    here = context(tmp_path)
    (run,) = run_linear_probe(ProbeRequest(features=save(tmp_path, less), c=0.1), here)
    assert run.record.detail.classes_without_training_images == ["3"]
    assert 3 not in read_samples(run)["prediction"]
    assert any("no training image" in warning for warning in here.reporter.warnings)
    keep = digits["y_test"] != 3
    fewer = {**digits, "x_test": digits["x_test"][keep], "y_test": digits["y_test"][keep]}
    (run,) = run_linear_probe(ProbeRequest(features=save(tmp_path, fewer), c=0.1), context(tmp_path))
    assert run.record.detail.per_class[3].recall is None


def test_more_shots_than_images_and_a_single_image_a_class(digits, tmp_path):
    few = np.concatenate([np.flatnonzero(digits["y_train"] == c)[: 1 if c == 0 else 5] for c in range(10)])
    small = {**digits, "x_train": digits["x_train"][few], "y_train": digits["y_train"][few]}
    here = context(tmp_path)
    (run,) = run_linear_probe(ProbeRequest(features=save(tmp_path, small), shots=(16,), seeds=2), here)
    assert len(run.record.detail.classes_with_fewer_images) == 10
    assert any("fewer images than 16 shots" in warning for warning in here.reporter.warnings)
    ones = np.array([np.flatnonzero(digits["y_train"] == c)[0] for c in range(10)])
    single = {**digits, "x_train": digits["x_train"][ones], "y_train": digits["y_train"][ones]}
    (run,) = run_linear_probe(ProbeRequest(features=save(tmp_path, single), shots=(1,), seeds=1), context(tmp_path))
    assert run.record.detail.by_seed[0].c == 1.0
    assert run.record.metrics["accuracy"].value > 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "x_train is missing"),
        ({"x_test": np.zeros((400, 5), np.float32)}, "different numbers"),
        ({"y_test": np.zeros(3, int)}, "rows"),
        ({"x_train": np.full((400, 64), np.nan, np.float32)}, "NaN"),
        ({"x_train": np.full((400, 64), np.inf, np.float32)}, "NaN or infinite"),
        ({"y_train": np.full(400, -1)}, "label is -1"),
        ({"y_train": np.full(400, 0.5)}, "whole numbers"),
        ({"y_train": np.array([["a"]] * 400)}, "shape"),
        ({"y_train": np.array([{}] * 400, dtype=object)}, "pickle"),
        ({"y_train": np.zeros(400, int)}, "the same class"),
    ],
)
def test_a_features_file_that_is_wrong_is_a_clear_error(digits, tmp_path, change, message):
    arrays = {name: value for name, value in {**digits, **change}.items() if value is not None}
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        run_linear_probe(ProbeRequest(features=path), context(tmp_path))
    assert not list((tmp_path / "out").rglob("result.json"))


def test_a_file_that_is_no_features_file(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"neither .safetensors nor an .npz"):
        run_linear_probe(ProbeRequest(features=tmp_path / "text.npz"), context(tmp_path))
    with pytest.raises(UsageError, match="or a features file"):
        run_linear_probe(ProbeRequest(features=tmp_path / "text.npz", datasets=["digits"]), context(tmp_path))
    with pytest.raises(AbsentError, match="no such features file"):
        run_linear_probe(ProbeRequest(features=tmp_path / "none.npz"), context(tmp_path))


@pytest.mark.parametrize(
    "request_",
    [
        ProbeRequest(),
        ProbeRequest(models=["m"]),
        ProbeRequest(models=["m"], datasets=["d"], features=Path("f.npz")),
        ProbeRequest(features=Path("f.npz"), shots=(0,)),
        ProbeRequest(features=Path("f.npz"), heads=("logistic", "knn"), save=Path("p")),
    ],
)
def test_requests_that_cannot_be(request_, tmp_path):
    with pytest.raises(UsageError):
        run_linear_probe(request_, context(tmp_path))


def test_words_of_the_command_line():
    from vlmbench.api.options import shots, strength

    assert shots("1, 2,ALL") == [1, 2, None]
    assert strength("auto") is None
    assert strength("0.316") == 0.316
    for wrong in ("", "0", "1,,2", "-1", "many"):
        with pytest.raises(UsageError):
            shots(wrong)
    for wrong in ("", "0", "-1", "nan", "inf", "x"):
        with pytest.raises(UsageError):
            strength(wrong)


CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10"


@pytest.mark.skipif(not CIFAR.is_dir(), reason="../shared/data/cifar10 is not here")
def test_agrees_with_scikit_learn_on_real_features(tmp_path):
    """tiny-clip's features of 1,000 CIFAR-10 images, before the projection, un-normalised."""
    from vlmbench.heads.logistic import Trainer
    from vlmbench.session.images import Selection
    from vlmbench.session.session import Session

    session = Session(context(tmp_path, batch_size=256))
    train, test = (
        session.features("tiny-clip", Selection(f"folder:{CIFAR}", split, 500), layer="pre_proj")
        for split in ("train", "test")
    )
    for c in (0.01, 1.0):
        ours, _ = Trainer(train.x, train.y).fit(c, tol=1e-8)
        theirs = LogisticRegression(C=c, tol=1e-8, max_iter=20_000).fit(train.x.astype(np.float64), train.y)
        assert ours.converged
        agreed = ours.probabilities(test.x).argmax(axis=1) == theirs.predict(test.x)
        assert agreed.mean() >= 0.999
        np.testing.assert_allclose(ours.coef, theirs.coef_, atol=1e-3 * np.abs(theirs.coef_).max())


def test_the_command_prints_one_json_document(digits, tmp_path, command):
    line = ["linear-probe", "--features", save(tmp_path, digits), "--shots", "1,2", "--seeds", "2"]
    done = command(*line, "--json", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(one["task"], one["shots"], one["n"]) for one in document["results"]] == [
        ("linear-probe", 1, 400),
        ("linear-probe", 2, 400),
    ]
    assert (tmp_path / "out" / "figures" / "few-shot-features-f.npz.svg").is_file()
    wrong = command(*line[:-1], "0", "-o", tmp_path / "out")
    assert wrong.returncode == 2
    missing = command("linear-probe", "--features", "none.npz")
    assert missing.returncode == 4
    assert "Traceback" not in missing.stderr
