"""Every head against a second implementation, in NumPy from its paper's equations or scikit-learn's own."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from vlmbench.heads import tip_adapter
from vlmbench.heads.spec import HeadData, load_head, probabilities
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.metrics.rows import normalise

C, D, SCALE = 4, 12, 20.0


def softmax(z):
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def features(per_class: int, seed: int, noise: float = 0.35):
    """Unit features near their class's text, and labels in a mixed order."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(C), per_class))
    return normalise(TEXT[y] + noise * rng.normal(size=(len(y), D))).astype(np.float32), y


TEXT = normalise(np.random.default_rng(9).normal(size=(C, D))).astype(np.float32)
ZERO_SHOT = ZeroShotWeights(TEXT, SCALE, 0.0, ("{}",), ("a", "b", "c", "d"), "")
X, Y = features(5, 1)
X_VAL, Y_VAL = features(3, 2)
X_TEST, Y_TEST = features(25, 3)


def data(name: str, *, validation: bool = True, **settings) -> HeadData:
    spec = load_head(name)
    return HeadData(
        x=X,
        y=Y,
        classes=C,
        x_val=X_VAL if spec.validation and validation else None,
        y_val=Y_VAL if spec.validation and validation else None,
        metric="accuracy",
        zero_shot=ZERO_SHOT if spec.text else None,
        settings={**spec.settings, **settings},
        seed=3,
    )


def fit(name: str, **more):
    return load_head(name).fit(data(name, **more))


def best(candidates):
    """The candidate with the highest validation accuracy, among ties the lowest log-loss, then the first."""
    rank = []
    for key, logits in candidates:
        p = softmax(np.asarray(logits, dtype=np.float64))
        loss = -np.log(p[np.arange(len(Y_VAL)), Y_VAL]).mean()
        rank.append(((p.argmax(axis=1) == Y_VAL).mean(), -round(loss, 6), key))
    return max(rank, key=lambda one: one[:2])[2]


def test_prototype_is_scikit_learns_nearest_centroid_with_unit_means():
    theirs = NearestCentroid().fit(X, Y)
    head = fit("prototype", temperature=0.1)
    centres = normalise(theirs.centroids_.astype(np.float64))
    np.testing.assert_allclose(head.coef * 0.1, centres, atol=1e-6)
    np.testing.assert_array_equal(head.logits(X_TEST).argmax(axis=1), pairwise_distances_argmin(X_TEST, centres))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn_is_scikit_learns(k):
    def weights(distances):
        return np.exp(-distances / 0.07)

    theirs = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights).fit(X.astype(float), Y)
    head = fit("knn", k=k)
    np.testing.assert_allclose(probabilities(head, X_TEST, multilabel=False), theirs.predict_proba(X_TEST), atol=1e-4)


def test_knn_chooses_k_on_validation_images():
    tried = [(k, fit("knn", k=k).logits(X_VAL)) for k in (1, 2, 5, 10, 20)]
    head = fit("knn")
    right = {k: (logits.argmax(axis=1) == Y_VAL).mean() for k, logits in tried}
    assert right[head.k] == max(right.values()) == head.detail["validation_score"]
    assert fit("knn", validation=False).k == 1


def tip(x, alpha, beta, keys=X, labels=Y):
    """Zhang et al. 2022."""
    return alpha * np.exp(-beta * (1 - x @ keys.T)) @ np.eye(C)[labels] + SCALE * x @ TEXT.T


def test_tip_adapter_equals_its_equations_and_searches_the_grid():
    np.testing.assert_allclose(fit("tip-adapter", validation=False).logits(X_TEST), tip(X_TEST, 1, 5.5), atol=1e-4)
    head = fit("tip-adapter")
    grid = [((a, b), tip(X_VAL, a, b)) for a in tip_adapter.ALPHAS for b in tip_adapter.BETAS]
    assert (head.alpha, head.beta) == best(grid)
    np.testing.assert_allclose(head.logits(X_TEST), tip(X_TEST, head.alpha, head.beta), atol=2e-3)
    assert fit("tip-adapter", alpha=2.5).alpha == 2.5


def test_tip_adapter_f_trains_its_keys_by_adamw(monkeypatch):
    """AdamW by hand, with the gradient by hand, in the same batches."""
    monkeypatch.setattr("vlmbench.heads.tip_adapter_f.BATCH", 8)
    epochs, lr, alpha, beta = 3, 0.01, 2.0, 4.0
    order = np.argsort(Y, kind="stable")
    keys, labels = X[order].astype(np.float64), Y[order]
    one_hot, mean, square, step, shuffled = np.eye(C)[labels], 0.0, 0.0, 0, np.random.default_rng(3)
    steps = epochs * -(-len(X) // 8)
    for _ in range(epochs):
        rows = shuffled.permutation(len(X))
        for first in range(0, len(X), 8):
            x, y = X[rows[first : first + 8]], Y[rows[first : first + 8]]
            affinity = np.exp(-beta * (1 - x @ keys.T))
            residual = (softmax(alpha * affinity @ one_hot + SCALE * x @ TEXT.T) - np.eye(C)[y]) / len(x)
            gradient = (alpha * beta * affinity * (residual @ one_hot.T)).T @ x
            rate = lr * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
            corrected = np.sqrt(square / (1 - 0.999**step)) + 1e-4
            keys = keys * (1 - rate * 0.01) - rate * mean / (1 - 0.9**step) / corrected
    head = fit("tip-adapter-f", validation=False, alpha=alpha, beta=beta, epochs=epochs, lr=lr)
    np.testing.assert_allclose(head.keys, keys, atol=1e-4)
    assert np.abs(head.keys - X[order]).max() > 0.01
    np.testing.assert_allclose(head.logits(X_TEST), tip(X_TEST, alpha, beta, keys, labels), atol=1e-3)


def test_tip_adapter_f_takes_the_best_epoch_and_then_chooses():
    head = fit("tip-adapter-f", epochs=4, lr=0.05)
    assert 1 <= head.detail["epoch"] <= 4
    assert {"alpha", "beta", "validation_score"} <= set(head.detail)
    assert fit("tip-adapter-f", validation=False, epochs=4).detail["epoch"] == 4


def lp_plus_plus(steps):
    """Huang et al. 2024: the parameters after each step."""
    one_hot = np.eye(C)[Y]
    cosines = X.astype(np.float64) @ TEXT.T
    w, b = one_hot.T @ X, np.zeros(C)
    a = np.full(C, 250 * np.mean([cosines[c == Y, c].mean() for c in range(C)]))
    step = 4 * len(X) / np.linalg.eigvalsh(X.T.astype(np.float64) @ X).max()
    step_a = len(X) / (4 * (cosines**2).sum(axis=0).max())
    moved, moved_b = 0, 0
    for number in range(1, steps + 1):
        residual = (softmax(X @ w.T + b + a * cosines) - one_hot) / len(X)
        moved, moved_b = 0.9 * moved + residual.T @ X, 0.9 * moved_b + residual.sum(axis=0)
        w, b = w - step * moved, b - step * moved_b
        if number % 10 == 0:
            a = a - step_a * (residual * cosines).sum(axis=0)
        yield number, w + a[:, None] * TEXT, b


def test_lp_plus_plus_equals_its_equations_and_takes_the_best_step():
    double = replace(data("lp++", validation=False, steps=40), x=X.astype(np.float64))
    head = load_head("lp++").fit(double)
    steps = list(lp_plus_plus(40))
    np.testing.assert_allclose(head.coef, steps[-1][1], rtol=1e-8)
    np.testing.assert_allclose(head.intercept, steps[-1][2], atol=1e-8)
    chosen = fit("lp++", steps=40)
    reached = {n: ((X_VAL @ coef.T + b).argmax(axis=1) == Y_VAL).mean() for n, coef, b in steps}
    assert reached[chosen.detail["step"]] == max(reached.values()) == chosen.detail["validation_score"]


def test_clap_equals_its_equations(monkeypatch):
    monkeypatch.setattr("vlmbench.heads.clap.BATCH", 8)
    own = softmax(SCALE * X @ TEXT.T)[np.arange(len(Y)), Y]
    multipliers = np.array([own[c == Y].mean() for c in range(C)])
    w, moved, shuffled = TEXT.astype(np.float64), 0, np.random.default_rng(3)
    for epoch in range(5):
        rate = 1e-5 if epoch == 0 else 0.1 * 0.5 * (1 + np.cos(np.pi * epoch / 5))
        rows = shuffled.permutation(len(X))
        for first in range(0, len(X), 8):
            x, y = X[rows[first : first + 8]], Y[rows[first : first + 8]]
            length = np.linalg.norm(w, axis=1, keepdims=True)
            unit = w / length
            outer = SCALE * (softmax(SCALE * x @ unit.T) - np.eye(C)[y]).T @ x / len(x)
            gradient = (outer - (outer * unit).sum(axis=1, keepdims=True) * unit) / length
            gradient = gradient + 2 * multipliers[:, None] * (w - TEXT) / C
            moved = 0.9 * moved + gradient
            w = w - rate * moved
    head = fit("clap", epochs=5)
    np.testing.assert_allclose(head.coef, SCALE * normalise(w), atol=2e-3)
    np.testing.assert_allclose(head.detail["multipliers"], [multipliers.min(), multipliers.max()], rtol=1e-4)


def test_blend_mixes_the_weights_of_zero_shot_and_of_scikit_learns_probe():
    head = fit("blend")
    alpha, c = head.detail["alpha"], head.detail["c"]
    theirs = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(X.astype(np.float64), Y)
    ours, text = theirs.decision_function(X_TEST), SCALE * X_TEST @ TEXT.T
    np.testing.assert_allclose(
        head.logits(X_TEST), (1 - alpha) * text + alpha * ours, atol=2e-3 * max(1.0, np.abs(ours).max())
    )
    logits = theirs.decision_function(X_VAL)
    right = {a / 20: ((1 - a / 20) * SCALE * X_VAL @ TEXT.T + a / 20 * logits) for a in range(1, 21)}
    right = {a: (value.argmax(axis=1) == Y_VAL).mean() for a, value in right.items()}
    assert right[alpha] == max(right.values())
    assert fit("blend", validation=False).detail["alpha"] == 0.5


TEXT_HEADS = ("tip-adapter", "tip-adapter-f", "lp++", "clap", "blend", "zeroshot-init")


@pytest.mark.parametrize("name", ["prototype", "knn", *TEXT_HEADS])
def test_few_images_are_enough_and_the_same_seed_gives_the_same_head(name):
    """One image per class, none of the last class, no validation images; and two fits are one."""
    spec = load_head(name)
    rows = [int(np.flatnonzero(label == Y)[0]) for label in range(C - 1)]
    short = {"epochs": 5, "steps": 20}
    settings = {key: short.get(key, value) for key, value in spec.settings.items()}
    one = replace(data(name, validation=False), x=X[rows], y=Y[rows], settings=settings)
    first, second = spec.fit(one).logits(X_TEST), spec.fit(one).logits(X_TEST)
    np.testing.assert_array_equal(first, second)
    found = probabilities(spec.fit(one), X_TEST, multilabel=False)
    assert found.shape == (len(X_TEST), C)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    known = Y_TEST < C - 1
    assert (found.argmax(axis=1) == Y_TEST)[known].mean() > 0.6
    if name in ("tip-adapter", "tip-adapter-f", "clap"):
        assert (found.argmax(axis=1) == Y_TEST)[~known].mean() > 0.6


SHORT = ("tip-adapter", "tip-adapter-f?epochs=2", "lp++?steps=10", "clap?epochs=2", "blend", "zeroshot-init", "knn")


def test_nothing_of_the_test_set_reaches_training_or_a_choice(tmp_path, monkeypatch):
    """The test split is poisoned: every choice stays as it was. A leak planted into the validation split is found."""
    from vlmbench.session.context import Context
    from vlmbench.tasks.probe import run as probe_run
    from vlmbench.tasks.probe.data import TEST, VAL
    from vlmbench.tasks.probe.fit import ProbeRequest

    honest = probe_run.from_session

    def fits(change, *heads):
        def poisoned(*arguments):
            found = honest(*arguments)
            x = {**found.x, TEST: np.roll(found.x[TEST], 1, axis=0)}
            y = {**found.y, TEST: found.y[TEST][::-1].copy()}
            if change == "leak":
                x[VAL], y[VAL] = x[TEST], y[TEST]
            return found if change is None else replace(found, x=x, y=y)

        monkeypatch.setattr(probe_run, "from_session", poisoned)
        request = ProbeRequest(["tiny-clip"], ["digits"], heads=heads, limit=60)
        runs = probe_run.run_linear_probe(
            request, Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu")
        )
        details = [run.record.detail for run in runs]
        return [(one.head or {"c": one.c}, one.search) for one in details], runs

    clean, runs = fits(None, *SHORT)
    assert clean == fits("poison", *SHORT)[0]
    leaked = fits("leak", *SHORT)[0]
    assert [one == other for one, other in zip(clean, leaked, strict=True)] == [
        name.startswith("clap") for name in SHORT
    ]
    assert {run.record.protocol.validation for run in runs} == {"own split", "none"}

    on_test = ("tip-adapter?choose=test", "tip-adapter-f?epochs=2&choose=test")
    clean, runs = fits(None, *on_test)
    assert all(one != other for one, other in zip(clean, fits("poison", *on_test)[0], strict=True))
    for run in runs:
        assert run.record.protocol.validation == "the test split"
        assert run.record.protocol.settings["choose"] == "test"
        assert run.record.system.endswith("choose=test")
