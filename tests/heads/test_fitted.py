"""Fitted heads in the cache: what is read equals what was fitted, and whatever decides a fit is part of its key."""

from dataclasses import fields, replace

import numpy as np
import pytest

from vlmbench.foundations.progress import Silent
from vlmbench.heads import fitted
from vlmbench.heads.fitted import fit_once, head_key
from vlmbench.heads.spec import HeadData, LinearHead, heads, load_head
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.metrics.rows import normalise


@pytest.fixture
def data() -> HeadData:
    generator = np.random.default_rng(0)
    x = normalise(generator.normal(size=(40, 6)) + np.repeat(np.eye(4, 6), 10, axis=0)).astype(np.float32)
    y = np.repeat(np.arange(4), 10)
    text = ZeroShotWeights(np.eye(4, 6, dtype=np.float32), 20.0, 0.0, ("{}",), tuple("abcd"), "0")
    return HeadData(
        x=x[::2], y=y[::2], classes=4, x_val=x[1::2], y_val=y[1::2], metric="accuracy", zero_shot=text, label="m on d"
    )


def settings(name: str) -> dict:
    spec = load_head(name)
    return {key: min(value, 3) if key in ("epochs", "steps") else value for key, value in spec.settings.items()}


@pytest.mark.parametrize("name", [name for name in heads() if name != "knn"])
def test_a_head_that_is_read_is_the_one_that_was_fitted(name, data, tmp_path):
    data = replace(data, settings=settings(name))
    first, stored = fit_once(load_head(name), data, tmp_path)
    again, read = fit_once(load_head(name), data, tmp_path)
    assert (stored, read) == (False, True)
    assert again.logits(data.x).tobytes() == first.logits(data.x).tobytes()
    assert again.detail == first.detail


def other(values: np.ndarray) -> np.ndarray:
    """The same but for the last bit of the last number."""
    raw = bytearray(np.ascontiguousarray(values).tobytes())
    raw[-values.dtype.itemsize] ^= 1
    return np.frombuffer(bytes(raw), values.dtype).reshape(values.shape)


CHANGES = {
    "x": lambda data: {"x": other(data.x)},
    "y": lambda data: {"y": other(data.y)},
    "classes": lambda data: {"classes": 5},
    "x_val": lambda data: {"x_val": other(data.x_val)},
    "y_val": lambda data: {"y_val": other(data.y_val)},
    "metric": lambda data: {"metric": "mean_per_class_accuracy"},
    "zero_shot": lambda data: {"zero_shot": replace(data.zero_shot, weights=other(data.zero_shot.weights))},
    "scale": lambda data: {"zero_shot": replace(data.zero_shot, logit_scale=21.0)},
    "bias": lambda data: {"zero_shot": replace(data.zero_shot, logit_bias=-10.0)},
    "settings": lambda data: {"settings": {"c": 2.0}},
    "seed": lambda data: {"seed": 1},
    "device": lambda data: {"device": "cuda"},
    "label": lambda data: {"label": "another"},
}


def test_a_change_of_anything_that_decides_a_fit_is_another_key(data, monkeypatch):
    spec, base = load_head("logistic"), head_key(load_head("logistic"), data)
    keys = [base] + [head_key(spec, replace(data, **change(data))) for change in CHANGES.values()]
    keys += [head_key(load_head("blend"), data), head_key(spec, replace(data, x=data.x.astype(np.float64)))]
    for package in ("numpy", "scipy", "torch", "vlmbench-eval"):
        with monkeypatch.context() as patch:
            patch.setattr(
                fitted, "package_versions", lambda *names, one=package: dict.fromkeys(names, "1") | {one: "2"}
            )
            keys.append(head_key(spec, data))
    with monkeypatch.context() as patch:
        patch.setattr(fitted, "_code", lambda: "other")
        keys.append(head_key(spec, data))
    assert len({str(key) for key in keys}) == len(keys)
    assert {item.name for item in fields(HeadData)} - set(CHANGES) == {"reporter"}
    same = {"weights", "logit_scale", "logit_bias"}  # templates, class names and digest only made these
    assert {item.name for item in fields(ZeroShotWeights)} - same == {"templates", "classnames", "sha256"}
    assert head_key(spec, replace(data, device="cuda:1")) == head_key(spec, replace(data, device="cuda"))
    sklearn = replace(data, settings={"solver": "sklearn"})
    assert "scikit-learn" in head_key(spec, sklearn)["versions"]


@pytest.mark.parametrize("place", [-1, 12, 200])
def test_a_damaged_one_is_fitted_again(place, data, tmp_path, caplog):
    first, _ = fit_once(load_head("prototype"), replace(data, settings=settings("prototype")), tmp_path)
    (path,) = tmp_path.glob("heads/*.safetensors")
    sound = path.read_bytes()
    raw = bytearray(sound)
    raw[place] ^= 1
    path.write_bytes(bytes(raw))
    again, stored = fit_once(load_head("prototype"), replace(data, settings=settings("prototype")), tmp_path)
    assert not stored
    assert f"damaged in the cache, recomputed: {path}" in caplog.text
    assert again.logits(data.x).tobytes() == first.logits(data.x).tobytes()
    assert path.read_bytes() == sound


def test_one_under_anothers_name_is_not_used(data, tmp_path, caplog):
    data = replace(data, settings=settings("prototype"))
    fit_once(load_head("prototype"), data, tmp_path)
    (path,) = tmp_path.glob("heads/*.safetensors")
    fit_once(load_head("prototype"), replace(data, seed=1), tmp_path)
    (second,) = set(tmp_path.glob("heads/*.safetensors")) - {path}
    second.write_bytes(path.read_bytes())
    assert not fit_once(load_head("prototype"), replace(data, seed=1), tmp_path)[1]
    assert "damaged" in caplog.text


def test_warnings_of_a_fit_are_given_again(data, tmp_path):
    data = replace(data, settings={"c": 1e6, "max_iter": 1}, zero_shot=None)
    said = []
    for _ in range(2):
        reporter = Silent()
        fit_once(load_head("logistic"), replace(data, reporter=reporter), tmp_path)
        said.append(reporter.warnings)
    assert said[0] == said[1]
    assert "did not converge" in said[0][0]


def test_a_head_of_another_package_is_always_fitted(data, tmp_path):
    def fit(data: HeadData) -> LinearHead:
        return LinearHead(np.zeros((data.classes, 6)), np.zeros(data.classes))

    spec = replace(load_head("prototype"), name="other", fit=fit)
    assert [fit_once(spec, data, tmp_path)[1] for _ in range(2)] == [False, False]
    assert not list(tmp_path.iterdir())
