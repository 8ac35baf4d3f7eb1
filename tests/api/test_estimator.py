"""`LinearProbe` against scikit-learn's contract, its own logistic regression, and the command."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import vlmbench
from vlmbench import LinearProbe


@parametrize_with_checks([LinearProbe(), LinearProbe(C=1.0)])
def test_scikit_learns_contract(estimator, check):
    check(estimator)


def features(classes, *, images=40, width=12, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    y = np.arange(images * classes) % classes
    centres = rng.normal(size=(classes, width)) * spread
    return (centres[y] + rng.normal(size=(len(y), width))).astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_coefficients_are_scikit_learns(classes, c):
    x, y = features(classes)
    mine = LinearProbe(C=c, tol=1e-8).fit(x, y)
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x.astype(np.float64), y)
    assert mine.coef_.shape == theirs.coef_.shape
    assert mine.intercept_.shape == theirs.intercept_.shape
    np.testing.assert_allclose(mine.coef_, theirs.coef_, atol=2e-5)
    np.testing.assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), atol=2e-5)
    np.testing.assert_allclose(mine.decision_function(x), theirs.decision_function(x), atol=2e-4)
    assert (mine.predict(x) == theirs.predict(x)).all()
    assert mine.score(x, y) == theirs.score(x, y)


@pytest.mark.parametrize("labels", [["b", "a", "c"], [-3, 40, 7], [1.0, 0.0, 2.0], [True, False]])
def test_labels_of_any_kind(labels):
    x, y = features(len(labels), spread=6)
    named = np.array(labels)[y]
    probe = LinearProbe(C=1.0).fit(x, named)
    assert list(probe.classes_) == sorted(set(labels))
    assert (probe.predict(x) == named).all()
    plain = LinearProbe(C=1.0).fit(x, np.searchsorted(probe.classes_, named))
    np.testing.assert_array_equal(plain.coef_, probe.coef_)


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("refit", [True, False])
def test_it_is_the_commands_probe(validation, normalize, refit, tmp_path):
    x, y = features(4, spread=0.8)
    train, val, test = slice(0, 80), slice(80, 120), slice(120, 160)
    arrays = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
    arrays |= {"x_val": x[val], "y_val": y[val]} if validation else {}
    np.savez(tmp_path / "f.npz", **arrays)
    (run,) = vlmbench.linear_probe(
        features=tmp_path / "f.npz", normalize=normalize, refit=refit, out=tmp_path, cache_dir=tmp_path, seed=3
    )
    given = (x[val], y[val]) if validation else ()
    probe = LinearProbe(normalize=normalize, refit=refit, random_state=3).fit(x[train], y[train], *given)
    assert run.record.detail.c == probe.C_
    assert probe.score(x[test], y[test]) == pytest.approx(run.metrics["accuracy"].value, abs=1e-12)
    samples = run.samples()
    np.testing.assert_array_equal(samples["prediction"], probe.predict(x[test]))
    np.testing.assert_allclose(samples["confidence"], probe.predict_proba(x[test]).max(axis=1), atol=1e-6)


def test_it_goes_into_pipelines_and_searches():
    x, y = features(3, spread=0.7)
    search = GridSearchCV(make_pipeline(StandardScaler(), LinearProbe()), {"linearprobe__C": [1e-4, 1e-1]}, cv=3)
    assert search.fit(x, y).best_params_ == {"linearprobe__C": 1e-1}
    kept = pickle.loads(pickle.dumps(search.best_estimator_))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(kept.predict(x), search.predict(x))
    assert clone(LinearProbe(C=2.0, refit=True)).get_params()["refit"] is True


def test_seeds_and_generators():
    x, y = features(4, spread=0.5)
    again = [LinearProbe(random_state=seed).fit(x, y).coef_ for seed in (1, 1, np.random.RandomState(5))]
    np.testing.assert_array_equal(again[0], again[1])
    assert np.isfinite(again[2]).all()


def test_arrays_that_cannot_be_written_are_taken_in_silence():
    x, y = features(3)
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LinearProbe(C=1.0).fit(x, y)


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        ({"C": "best"}, {}, "'auto' or a number above 0, not 'best'"),
        ({"C": 0}, {}, "above 0"),
        ({"C": True}, {}, "above 0"),
        ({"C": float("nan")}, {}, "above 0"),
        ({}, {"X_val": [[0.0] * 12]}, "X_val and y_val must be given together"),
        ({}, {"X_val": [[0.0] * 12], "y_val": [9]}, "labels that y does not have: 9"),
        ({}, {"X_val": [[0.0] * 3], "y_val": [1]}, "3 features"),
    ],
)
def test_wrong_arguments(options, more, said):
    x, y = features(3)
    with pytest.raises(ValueError, match=said):
        LinearProbe(**options).fit(x, y, **more)


def test_what_does_not_converge_is_said():
    x, y = features(3)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        LinearProbe(C=1e6, max_iter=1).fit(x, y)


def test_one_image_per_class_has_nothing_to_choose_the_strength_with():
    x, y = features(3, images=1)
    assert LinearProbe().fit(x, y).C_ == 1.0
