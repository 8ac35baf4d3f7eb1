import numpy as np
import pytest
import safetensors.numpy
from safetensors import SafetensorError

from vlmbench.features import tensors
from vlmbench.foundations.errors import OutputError


def test_arrays_come_back(tmp_path):
    tensors.write_tensors(tmp_path / "deep" / "a.safetensors", {"x": np.arange(3.0)}, {"who": "me"})
    assert safetensors.numpy.load_file(tmp_path / "deep" / "a.safetensors")["x"].tolist() == [0, 1, 2]


def test_a_full_disk_is_an_error_of_the_output_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        tensors.write_tensors(tmp_path / "a.safetensors", {"x": np.arange(3.0)})
    assert list(tmp_path.iterdir()) == []
