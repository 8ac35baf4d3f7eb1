import errno
import os

import numpy as np
import pytest
import safetensors.numpy

from vlmbench.features import tensors
from vlmbench.foundations import atomic
from vlmbench.foundations.errors import OutputError

ARRAYS = {
    "x": np.arange(6.0).reshape(2, 3),
    "halves": np.arange(3, dtype=np.float16),
    "rows": np.arange(5),
    "columns": np.arange(4, dtype=np.int32)[::-1],
    "flags": np.array([True, False, True]),
    "none": np.zeros((0, 4), np.float32),
}


def test_arrays_come_back(tmp_path):
    tensors.write_tensors(tmp_path / "deep" / "a.safetensors", {"x": np.arange(3.0)}, {"who": "me"})
    assert safetensors.numpy.load_file(tmp_path / "deep" / "a.safetensors")["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("about", [None, {"who": "ä", "b": "1"}])
def test_the_format_is_that_of_its_own_library(tmp_path, about):
    path = tmp_path / "a.safetensors"
    tensors.write_tensors(path, ARRAYS, about)
    found = safetensors.numpy.load_file(path)
    assert {name: (value.tolist(), value.dtype) for name, value in found.items()} == {
        name: (value.tolist(), value.dtype) for name, value in ARRAYS.items()
    }
    with safetensors.safe_open(path, framework="numpy") as handle:
        assert handle.metadata() == about
    contiguous = {name: np.ascontiguousarray(value) for name, value in ARRAYS.items()}
    assert path.stat().st_size == len(safetensors.numpy.save(contiguous, about))


def test_a_full_disk_is_an_error_of_the_output_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        tensors.write_tensors(tmp_path / "a.safetensors", {"x": np.arange(3.0)})
    assert list(tmp_path.iterdir()) == []
