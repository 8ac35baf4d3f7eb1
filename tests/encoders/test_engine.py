"""Encoders in OpenVINO (an extra; ``make test-extras``): equal to torch, exported once, never believed when damaged."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

import vlmbench
from vlmbench.encoders.device import resolve_engine
from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.features.store import FeatureKey
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.foundations.spelling import spell

HAVE = importlib.util.find_spec("openvino") is not None
extra = pytest.mark.skipif(not HAVE, reason="openvino is not here: make test-extras")
TEXTS = ["a photo of a red circle", "many", "the blue square with an image of a dog", "a cat"]


def files(directory, tmp_path):
    return find_model(parse_model(str(directory)), tmp_path)


def exported(found, cache, precision="fp32", reporter=None):
    from vlmbench.encoders.engine import load_exported

    return load_exported(found, precision, cache, reporter or Silent())


def pixels(encoder, count):
    generator = np.random.default_rng(count)
    images = [Image.fromarray(generator.integers(0, 255, (40 + i, 50, 3)).astype(np.uint8)) for i in range(count)]
    return np.stack([encoder.preprocess(image) for image in images])


def share(found, expected):
    return (np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max()


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


NAMES = ["clip", "siglip", "metaclip2", "altclip", "chinese-clip", "blip", "vision-text", "bert", "resnet", "vit"]
NAMES += ["dinov2", "dinov3", "convnext", "swin", "swinv2", "regnet", "clip-vision", "siglip-vision"]


@extra
@pytest.mark.parametrize("name", NAMES)
def test_features_are_those_of_torch_whatever_the_batch(name, checkpoints, tmp_path):
    found = files(checkpoints(name), tmp_path)
    here, there = load_model(found, "cpu", "fp32", Silent()), exported(found, tmp_path)
    assert there.layers == here.layers
    for count in (4, 1, 7) if there.layers else ():
        batch = pixels(here, count)
        expected, mine = here.encode_images(batch), there.encode_images(batch)
        assert set(mine) == set(expected)
        for layer, values in mine.items():
            assert values.dtype == np.float32
            assert share(values, expected[layer]) < 1e-5
            assert (there.encode_images(batch)[layer] == values).all()
    for texts in (TEXTS, TEXTS[1:2], TEXTS[2:3]) if hasattr(here, "encode_texts") else ():
        assert share(there.encode_texts(texts), here.encode_texts(texts)) < 1e-5


@extra
@pytest.mark.parametrize("name", ["align", "siglip2-naflex", "siglip2-vision"])
def test_a_model_that_cannot_be_run_is_one_clear_error(name, checkpoints, tmp_path):
    with pytest.raises(InputError, match="OpenVINO cannot") as caught:
        encoder = exported(files(checkpoints(name), tmp_path), tmp_path)
        encoder.encode_images(pixels(encoder, 2))
    assert caught.value.fix == spell("--engine torch")


@extra
def test_an_export_is_made_once_and_again_when_damaged(checkpoints, tmp_path, monkeypatch, caplog):
    import openvino

    made = []
    convert = openvino.convert_model
    monkeypatch.setattr(openvino, "convert_model", lambda *a, **k: made.append(1) or convert(*a, **k))
    found = files(checkpoints("clip"), tmp_path)
    expected = exported(found, tmp_path).encode_images(pixels(exported(found, tmp_path), 3))
    assert len(made) == 2  # images and texts
    for weights in (tmp_path / "openvino").glob("*/model.bin"):
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 0xFF
        weights.write_bytes(bytes(data))
    again = exported(found, tmp_path)
    assert len(made) == 4
    assert "damaged in the cache, recomputed" in caplog.text
    for layer, values in again.encode_images(pixels(again, 3)).items():
        assert (values == expected[layer]).all()
    for weights in (tmp_path / "openvino").glob("*/model.xml.json"):
        weights.unlink()
    exported(found, tmp_path)
    assert len(made) == 6


@extra
def test_results_far_from_torchs_are_refused(checkpoints, tmp_path, monkeypatch):
    from vlmbench.encoders import engine

    found, notes = files(checkpoints("clip"), tmp_path), Notes()
    encoder = exported(found, tmp_path, reporter=notes)
    encoder.encode_images(pixels(encoder, 3))
    assert len(notes.notes) == 1
    assert "images: OpenVINO fp32 is" in notes.notes[0]
    monkeypatch.setitem(engine.TOLERANCE, "fp32", 1e-12)
    encoder.encode_images(pixels(encoder, 3))  # of a shape that was checked
    with pytest.raises(InputError, match=r"from torch fp32, and 1e-12 of a row's norm is tolerated"):
        encoder.encode_images(pixels(encoder, 4))


@extra
def test_a_precision_that_the_cpu_lacks_is_absent(checkpoints, tmp_path, monkeypatch):
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(AbsentError, match="OpenVINO has no bf16 on this CPU"):
        exported(files(checkpoints("clip"), tmp_path), tmp_path, "bf16")


@extra
def test_bf16_stays_near(checkpoints, tmp_path):
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16")
    found = files(checkpoints("clip"), tmp_path)
    exact, rough = load_model(found, "cpu", "fp32", Silent()), exported(found, tmp_path, "bf16")
    batch = pixels(exact, 6)
    assert 1e-5 < share(rough.encode_images(batch)["proj"], exact.encode_images(batch)["proj"]) < 5e-2


@extra
def test_openvino_reports_nothing_home(checkpoints, tmp_path):
    import sys

    exported(files(checkpoints("clip"), tmp_path), tmp_path)
    assert sys.modules["openvino_telemetry"] is None


@extra
def test_the_engine_is_in_record_and_key(tmp_path):
    options = {"cache_dir": tmp_path / "cache", "limit": 40}
    records = {}
    for engine in ("torch", "openvino"):
        result = vlmbench.zeroshot("tiny-clip", "digits", out=tmp_path / engine, engine=engine, **options)
        path = next((tmp_path / engine / "runs").glob("*/result.json"))
        records[engine] = json.loads(path.read_text())
        assert len(result) == 1
    assert "engine" not in records["torch"]["protocol"]
    assert "openvino" not in records["torch"]["versions"]
    assert records["openvino"]["protocol"]["engine"] == "openvino"
    assert records["openvino"]["versions"]["openvino"]
    assert "|engine:openvino|" in records["openvino"]["signature"]
    assert records["torch"]["metrics"]["accuracy"] == records["openvino"]["metrics"]["accuracy"]
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 2


@extra
def test_what_runs_in_torch_alone_is_refused(checkpoints, tmp_path):
    options = {"out": tmp_path, "cache_dir": tmp_path / "cache", "engine": "openvino"}
    with pytest.raises(UsageError, match=r"pixels .* runs in torch alone"):
        vlmbench.linear_probe("pixels", "digits", **options)
    with pytest.raises(UsageError, match="generates in torch alone"):
        vlmbench.caption("tiny-captioner", dataset="scenes", limit=2, **options)
    with pytest.raises(UsageError, match="matching head runs in torch alone"):
        vlmbench.retrieval(str(checkpoints("blip")), "scenes", rerank=2, **options)


def test_torch_is_the_engine_unless_another_is_named():
    assert resolve_engine("auto", "auto") is None
    assert resolve_engine("torch", "cuda") is None
    with pytest.raises(UsageError, match="OpenVINO runs on the CPU here, not on cuda"):
        resolve_engine("openvino", "cuda")


@pytest.mark.skipif(HAVE, reason="the extra is here")
def test_without_the_extra_the_command_that_gets_it_is_named(tmp_path):
    with pytest.raises(AbsentError) as caught:
        vlmbench.zeroshot("tiny-clip", "digits", out=tmp_path, cache_dir=tmp_path, engine="openvino")
    assert caught.value.fix == "pip install 'vlmbench-eval[openvino]'"


def test_a_key_names_the_engine_only_where_it_is_not_torch():
    torch, other = (
        FeatureKey("weights", "preprocessing", "fp32", "fingerprint", "test", {"torch": "2"}, engine=engine)
        for engine in (None, "openvino")
    )
    assert "engine" not in torch.facts
    assert other.facts == {**torch.facts, "engine": "openvino"}
    assert other.name != torch.name
