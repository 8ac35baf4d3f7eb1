import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from vlmbench.features.table import Table
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.heads import axes, logistic
from vlmbench.heads.logistic import MAX_ITER, TOLERANCE, Trainer


def fit_logistic(x, y, *, c, tol=TOLERANCE, max_iter=MAX_ITER, **more):
    return Trainer(x, y, **more).fit(c, tol=tol, max_iter=max_iter)[0]


COEFFICIENTS = 2e-3
LOG_LOSS = 1e-5


def problem(seed):
    """A random problem: sizes, conditioning (down to 1e-3), imbalance, distance of the classes, offset all vary."""
    generator = np.random.default_rng(seed)
    n, d, classes = int(generator.integers(30, 320)), int(generator.integers(2, 70)), int(generator.integers(2, 8))
    shares = generator.dirichlet(np.full(classes, generator.choice([0.5, 5.0])))
    scale = np.logspace(0, -generator.uniform(0, 3), d)
    centres = generator.normal(size=(classes, d)) * generator.uniform(0.1, 1) * scale
    offset = generator.normal(size=d) * generator.uniform(0, 5)

    def draw(count):
        y = np.concatenate([np.arange(classes), generator.choice(classes, count - classes, p=shares)])
        return (generator.normal(size=(count, d)) * scale + centres[y] + offset).astype(np.float32), y

    return *draw(n), *draw(1000), float(10 ** generator.uniform(-3, 2))


def rows(model):
    return model.coef_ if len(model.coef_) > 1 else np.concatenate([-model.coef_, model.coef_]) / 2


def test_agrees_with_scikit_learn_on_thirty_random_problems():
    """At tol 1e-8 and the same C: predictions on 99.9 % of 30,000 images, coefficients to 2e-3 of the largest, log-loss
    to 1e-5 (scikit-learn stops on its function's change before it reaches its own tolerance where C is large)."""
    agreed = 0
    for seed in range(30):
        x, y, x_test, _, c = problem(seed)
        ours = fit_logistic(x, y, c=c, tol=1e-8)
        theirs = LogisticRegression(C=c, tol=1e-8, max_iter=20_000).fit(x.astype(np.float64), y)
        assert ours.converged
        assert ours.grad_norm <= 1e-8
        assert np.abs(ours.coef - rows(theirs)).max() <= COEFFICIENTS * np.abs(theirs.coef_).max(), seed
        assert log_loss(y, ours.probabilities(x)) == pytest.approx(log_loss(y, theirs.predict_proba(x)), abs=LOG_LOSS)
        agreed += (ours.probabilities(x_test).argmax(axis=1) == theirs.predict(x_test)).sum()
    assert agreed >= 0.999 * 30_000


def test_the_answer_does_not_depend_on_the_start():
    x, y, x_test, _, _ = problem(3)
    trainer = Trainer(x, y)
    _, start = trainer.fit(1e-6)
    for c in (1e-2, 1.0, 1e2, 1e4):
        cold, _ = trainer.fit(c)
        warm, start = trainer.fit(c, start=start)
        assert warm.loss == pytest.approx(cold.loss, rel=1e-4)
        same = warm.probabilities(x_test).argmax(axis=1) == cold.probabilities(x_test).argmax(axis=1)
        assert same.mean() >= 0.995


def test_chunks_do_not_change_the_answer(monkeypatch):
    x, y, _, _, _ = problem(5)
    whole = fit_logistic(x, y, c=1.0, tol=1e-8)
    monkeypatch.setattr(logistic, "_CPU_CELLS", 1)
    trainer = Trainer(np.tile(x, (5, 1)), np.tile(y, 5))
    assert trainer.n > trainer._chunk
    tiled, _ = trainer.fit(1.0 / 5, tol=1e-8)
    np.testing.assert_allclose(tiled.coef, whole.coef, atol=1e-4 * np.abs(whole.coef).max())


def test_several_labels_an_image_are_one_sigmoid_a_class():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 12)).astype(np.float32)
    y = (x[:, :4] + generator.normal(size=(200, 4)) > 0.5).astype(np.uint8)
    ours = fit_logistic(x, y, c=0.7, tol=1e-8)
    for index in range(4):
        theirs = LogisticRegression(C=0.7, tol=1e-8, max_iter=5000).fit(x.astype(np.float64), y[:, index])
        np.testing.assert_allclose(ours.coef[index], theirs.coef_[0], atol=1e-4)
        np.testing.assert_allclose(ours.probabilities(x)[:, index], theirs.predict_proba(x)[:, 1], atol=1e-4)


def test_a_label_that_no_image_or_every_image_has_keeps_its_share():
    x = np.random.default_rng(1).normal(size=(50, 3))
    y = np.zeros((50, 3), dtype=np.uint8)
    y[:, 1] = 1
    y[:25, 2] = 1
    probabilities = fit_logistic(x, y, c=1.0).probabilities(x)
    assert probabilities[:, 0].max() < 0.02
    assert probabilities[:, 1].min() > 0.98


def test_shrinks_towards_the_prior_and_from_it():
    x, y, _, _, _ = problem(8)
    classes = int(y.max()) + 1
    prior = np.random.default_rng(1).normal(size=(classes, x.shape[1])) * 0.3
    strong = fit_logistic(x, y, c=1e-9, prior=prior)
    np.testing.assert_allclose(strong.coef, prior, atol=1e-5)
    np.testing.assert_allclose(strong.intercept, 0, atol=1e-5)
    weak, plain = fit_logistic(x, y, c=1.0, prior=prior), fit_logistic(x, y, c=1.0)
    mean = x.astype(np.float64).mean(axis=0)

    def objective(fit):
        moved = fit.coef - prior
        shift = fit.intercept + moved @ mean
        shift -= shift.mean()
        loss = log_loss(y, fit.probabilities(x), labels=range(classes))
        return loss + ((moved**2).sum() + (shift**2).sum()) / (2 * len(y))

    assert objective(weak) == pytest.approx(weak.loss, rel=1e-5)
    assert objective(weak) < objective(plain)


def test_two_classes_shrink_towards_the_prior_too():
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(60, 5)), np.arange(60) % 2
    prior = generator.normal(size=(2, 5))
    fit = fit_logistic(x, y, c=1e-9, prior=prior)
    np.testing.assert_allclose(fit.coef, prior, atol=1e-5)


def test_one_class_is_an_error():
    with pytest.raises(InputError, match="all training images have the same class"):
        fit_logistic(np.ones((4, 2)), np.zeros(4, dtype=int), c=1.0)
    with pytest.raises(InputError, match="all training images have the same class"):
        fit_logistic(np.ones((4, 2)), np.ones((4, 3), dtype=int), c=1.0)


def test_a_class_missing_from_train_is_never_predicted():
    x, y, x_test, _, _ = problem(8)
    assert y.max() >= 2
    fit = fit_logistic(x, np.where(y == 1, 0, y) + 1, c=1.0, classes=int(y.max()) + 3)
    probabilities = fit.probabilities(x_test)
    assert (probabilities[:, [0, 2, -1]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(("n", "d", "classes"), [(5, 3, 8), (12, 200, 4), (2, 1, 2), (3, 50, 3)])
def test_fewer_images_than_classes_or_features(n, d, classes):
    generator = np.random.default_rng(n)
    x, y = generator.normal(size=(n, d)), np.arange(n) % classes
    ours = fit_logistic(x, y, c=0.5, classes=classes, tol=1e-8)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours.coef[np.unique(y)], rows(theirs), atol=1e-4)


def test_constant_and_duplicate_features():
    x, y, x_test, _, _ = problem(9)
    wide, wide_test = (
        np.concatenate([part, part[:, :3], np.full((len(part), 2), 7.0)], axis=1) for part in (x, x_test)
    )
    ours = fit_logistic(wide, y, c=0.3, tol=1e-8)
    theirs = LogisticRegression(C=0.3, tol=1e-8, max_iter=20_000).fit(wide.astype(np.float64), y)
    assert ours.converged
    np.testing.assert_allclose(ours.coef[:, -2:], 0, atol=1e-9)
    np.testing.assert_allclose(ours.coef[:, :3], ours.coef[:, -5:-2], atol=1e-7 * np.abs(ours.coef).max())
    assert (ours.probabilities(wide_test).argmax(axis=1) == theirs.predict(wide_test)).mean() >= 0.999


def test_only_constant_features_give_the_classes_shares():
    fit = fit_logistic(np.ones((10, 3)), np.array([0] * 7 + [1] * 2 + [2]), c=1.0)
    np.testing.assert_allclose(fit.probabilities(np.ones((1, 3)))[0], [0.7, 0.2, 0.1], atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error_that_names_the_image(value):
    x = np.ones((6, 2))
    x[4, 1] = value
    with pytest.raises(InputError) as caught:
        fit_logistic(x, np.arange(6) % 2, c=1.0)
    assert "image 4" in caught.value.where


@pytest.mark.parametrize("y", [np.array(["a", "b"]), np.array([0.0, 1.0]), np.array([-1, 1]), np.array([0, 1, 1])])
def test_labels_that_are_no_class_are_an_error(y):
    with pytest.raises(InputError, match="labels"):
        fit_logistic(np.eye(2), y, c=1.0)


@pytest.mark.parametrize("c", [0.0, -1.0, np.nan, np.inf])
def test_a_strength_that_is_none_is_an_error(c):
    with pytest.raises(UsageError):
        fit_logistic(np.eye(2), np.array([0, 1]), c=c)


def test_what_did_not_converge_is_marked():
    x, y, _, _, _ = problem(4)
    fit = fit_logistic(x, y, c=100.0, max_iter=2)
    assert not fit.converged
    assert fit.iterations <= 2


def test_separable_data_ends_with_sure_answers():
    x, y = np.array([[-1.0], [-0.9], [0.9], [1.0]]), np.array([0, 0, 1, 1])
    fit = fit_logistic(x, y, c=1e6)
    assert fit.converged
    assert fit.probabilities(x)[[0, 1, 2, 3], y].min() > 0.999


def test_a_gpu_gives_the_same_probe():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    x, y, x_test, _, c = problem(6)
    here, there = fit_logistic(x, y, c=c, tol=1e-8), fit_logistic(x, y, c=c, tol=1e-8, device="cuda")
    np.testing.assert_allclose(there.coef, here.coef, atol=1e-3 * np.abs(here.coef).max())
    agreed = there.probabilities(x_test).argmax(axis=1) == here.probabilities(x_test).argmax(axis=1)
    assert agreed.mean() >= 0.999


def test_features_on_disk_give_the_same_probe_and_are_read_a_block_at_a_time(tmp_path, monkeypatch):
    most = []

    class Recorded(Table):
        def __array__(self, dtype=None, copy=None):
            most.append(len(self))
            return super().__array__(dtype, copy)

    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 20_000)
    x = generator.normal(size=(20_000, 16)).astype(np.float32) * np.logspace(0, -3, 16, dtype=np.float32)
    x[:, 3] += 0.01 * y
    np.save(tmp_path / "x.npy", x + 30)  # a large offset, as features of encoders have
    table = Recorded([np.load(tmp_path / "x.npy", mmap_mode="r")])
    monkeypatch.setattr(axes, "_ROWS", 1000)
    monkeypatch.setattr(logistic, "_CPU_CELLS", 3000)
    held, _ = Trainer(table, y).fit(1.0)
    monkeypatch.setattr(axes, "HELD", 0)
    trainer = Trainer(table, y)
    found, start = trainer.fit(1.0)
    assert trainer.axes.z is None
    assert max(most) == 1024
    assert found.converged
    np.testing.assert_allclose(found.logits(x[:100] + 30), held.logits(x[:100] + 30), atol=2e-3)
    exact, _ = trainer.fit(1.0, start=start, tol=1e-9)  # continues in float64
    assert exact.converged
    assert abs(exact.loss - found.loss) < 1e-6
