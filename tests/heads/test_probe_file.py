import numpy as np
import pytest

from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.heads.probe import fit
from vlmbench.heads.probe_file import Probe, load_probe, save_probe
from vlmbench.heads.spec import HeadData


def probe(**change):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(40, 6)), np.arange(40) % 3
    head = fit(HeadData(x=x, y=y, classes=3, metric="accuracy", settings={"c": 2.0}))
    facts = {
        "classnames": ("ä", "b", "c"),
        "model": "m",
        "weights_sha256": "0" * 64,
        "layer": "proj",
        "normalise": True,
        "dataset": "d",
    }
    return Probe(head=head, **{**facts, **change})


def test_what_is_read_back_predicts_the_same(tmp_path):
    kept = probe()
    save_probe(tmp_path / "p.safetensors", kept)
    found = load_probe(tmp_path / "p.safetensors")
    x = np.random.default_rng(1).normal(size=(5, 6))
    assert (found.probabilities(x) == kept.probabilities(x)).all()
    assert (found.classnames, found.model, found.layer, found.normalise) == (("ä", "b", "c"), "m", "proj", True)
    assert found.head.detail["c"] == 2.0


def test_normalisation_is_part_of_the_probe():
    x = np.random.default_rng(1).normal(size=(5, 6))
    np.testing.assert_allclose(probe().probabilities(x), probe().probabilities(3 * x))
    assert not np.allclose(probe(normalise=False).probabilities(x), probe(normalise=False).probabilities(3 * x))


def test_the_same_probe_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_probe(tmp_path / name, probe())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_files_are_errors(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(AbsentError):
        load_probe(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("hello")
    save_file({"w": np.zeros(3)}, tmp_path / "other")
    save_probe(tmp_path / "whole", probe())
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-40])
    save_probe(tmp_path / "names", probe(classnames=("a", "b")))
    for name in ("text", "other", "cut", "names"):
        with pytest.raises(InputError, match="probe"):
            load_probe(tmp_path / name)
