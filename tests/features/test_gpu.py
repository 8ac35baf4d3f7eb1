"""Extraction on a CUDA device; skipped where there is none."""

import numpy as np
import pytest
from feature_fakes import entry, split_of

from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.features import encode
from vlmbench.foundations.progress import Silent

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("no CUDA device here", allow_module_level=True)


def encoded(model, one, device, count=600, batch=64, workers=4, reporter=None):
    options = encode.EncodeOptions(batch, workers, "skip", reporter or Silent(), device=device)
    tally = encode.encode_split(split_of(count), [encode.EncodeJob("a", one, lambda: model)], options)
    return np.asarray(encode.read_layer(one, model.layers[0])[1]), tally


def loaded(directory, tmp_path, device, precision="fp32"):
    return load_model(find_model(parse_model(str(directory)), tmp_path), device, precision, Silent())


@pytest.mark.parametrize("name", ["clip", "siglip", "siglip2-naflex", "vit", "resnet", "dinov3", "convnext"])
def test_features_are_those_of_the_cpu_and_bytes_give_those_of_floats(name, checkpoints, tmp_path):
    here = encoded(loaded(checkpoints(name), tmp_path, "cpu"), entry(tmp_path, "here", 64), "cpu", 64)[0]
    model = loaded(checkpoints(name), tmp_path, "cuda")
    there = encoded(model, entry(tmp_path, "there", 64), "cuda", 64)[0]
    floats = encoded(model, entry(tmp_path, "floats", 64), "cpu", 64)[0]
    assert there.tobytes() == floats.tobytes()
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-4 * np.abs(here).max())


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_overlapping_batches_by_processes_are_those_of_one_at_a_time(precision, checkpoints, tmp_path):
    model = loaded(checkpoints("clip"), tmp_path, "cuda", precision)
    there, tally = encoded(model, entry(tmp_path, "there", 600), "cuda")
    plain = encoded(model, entry(tmp_path, "plain", 600), "cpu")[0]
    assert tally.encoded == {"a": 600}
    assert there.tobytes() == plain.tobytes()


def test_a_batch_that_the_memory_is_too_small_for_is_halved(checkpoints, tmp_path):
    hears, model = Silent(), loaded(checkpoints("clip"), tmp_path, "cuda")
    whole = encoded(model, entry(tmp_path, "whole", 4096), "cuda", 4096, 4096)[0]
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 30 * 2**20) / total)
    try:
        small = encoded(model, entry(tmp_path, "small", 4096), "cuda", 4096, 4096, reporter=hears)[0]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "the device's memory is full" in hears.notes[0]
    np.testing.assert_allclose(small, whole, rtol=0, atol=1e-4 * np.abs(whole).max())
