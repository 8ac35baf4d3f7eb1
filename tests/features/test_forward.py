"""Batches halved where memory is short, and one on its way while the next is gathered: features stay the same."""

import numpy as np
import pytest
from feature_fakes import Encoder, entry, features, run, split_of

from vlmbench.encoders.base import DeviceMemoryError
from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import parse_model
from vlmbench.encoders.pretrained import load_errors
from vlmbench.features import encode
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Silent


class Small(Encoder):
    """A device that holds so many images; each image's features are its own."""

    def __init__(self, holds, error=None):
        super().__init__()
        self.holds, self.error = holds, error

    def encode_images(self, pixels):
        import torch

        self.batches.append(len(pixels))
        with load_errors("x", pixels.shape):
            if len(pixels) > self.holds:
                raise self.error or torch.OutOfMemoryError("CUDA out of memory")
            return {"proj": np.repeat(pixels[:, :1], self.width, axis=1)}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    "error",
    [
        None,
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_batch_is_halved_until_it_fits_and_features_stay_the_same(error, device, tmp_path):
    whole, one, hears = entry(tmp_path / "whole"), entry(tmp_path), Silent()
    run(split_of(50, [3, 20]), [(whole, Small(8))], device=device)
    small = Small(3, error)
    tally = run(split_of(50, [3, 20]), [(one, small)], reporter=hears, device=device)
    assert small.batches == [8, 4, *[2] * 24]
    assert tally.encoded == {"a": 48}
    assert features(one)[1].tobytes() == features(whole)[1].tobytes()
    assert [path.read_bytes() for path in sorted(one.directory.glob("*.safetensors"))] == [
        path.read_bytes() for path in sorted(whole.directory.glob("*.safetensors"))
    ]
    assert hears.notes == [f"a: the device's memory is full; {most} images at once from here on" for most in (4, 2)]


def test_memory_for_no_image_is_an_error_and_another_error_is_not_memory(tmp_path):
    with pytest.raises(DeviceMemoryError, match="for 1 images at once"):
        run(split_of(50), [(entry(tmp_path), Small(0))])
    with pytest.raises(RuntimeError, match="shapes"):
        run(split_of(50), [(entry(tmp_path), Small(0, RuntimeError("shapes cannot be multiplied")))])


class Launched(Encoder):
    """Says in which order batches are started and waited for."""

    def __init__(self, **more):
        super().__init__(**more)
        self.events = []

    def launch(self, pixels):
        number = len(self.batches)
        found = self.encode_images(pixels)
        self.events.append(f"start {number}")

        def wait():
            self.events.append(f"wait {number}")
            return found

        return wait


def test_beside_a_gpu_a_batch_is_started_before_the_last_is_waited_for(tmp_path):
    one, encoder = entry(tmp_path, images=24), Launched()
    tally = run(split_of(24), [(one, encoder)], device="cuda")
    assert encoder.events == ["start 0", "start 1", "wait 0", "start 2", "wait 1", "wait 2"]
    assert tally.encoded == {"a": 24}
    plain = Launched()
    run(split_of(24), [(entry(tmp_path, "b", 24), plain)])
    assert plain.events == ["start 0", "wait 0", "start 1", "wait 1", "start 2", "wait 2"]


def test_a_damaged_image_keeps_the_batch_that_is_on_its_way(tmp_path):
    one = entry(tmp_path)
    with pytest.raises(InputError, match="i40"):
        run(split_of(50, [40]), [(one, Launched())], on_bad_image="error", device="cuda")
    assert [part for part, tensors in one.shards() if tensors is not None] == [range(40)]


@pytest.mark.parametrize("workers", [2, 4])
def test_bytes_that_processes_decode_give_the_features_of_floats(workers, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(encode, "IMAGES", 1)
    model = load_model(find_model(parse_model(str(checkpoints("clip"))), tmp_path), "cpu", "fp32", Silent())
    kinds, found = set(), []
    launch = model.launch
    monkeypatch.setattr(model, "launch", lambda pixels: [kinds.add(pixels.dtype.name), launch(pixels)][1])
    for device in ("cpu", "cuda"):
        one = entry(tmp_path, device)
        job = encode.EncodeJob("a", one, lambda: model)
        options = encode.EncodeOptions(8, workers, "skip", Silent(), device=device)
        tally = encode.encode_split(split_of(50, [3]), [job], options)
        assert tally.stages["decode"] > 0
        assert sum(tally.stages[name] for name in ("load", "wait", "forward", "store")) <= tally.seconds
        found.append(features(one))
    assert kinds == {"float32", "uint8"}
    assert found[0][0].tobytes() == found[1][0].tobytes()
    assert found[0][1].tobytes() == found[1][1].tobytes()
