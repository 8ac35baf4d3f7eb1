import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from vlmbench.features.table import Table
from vlmbench.features.tensors import map_tensors, write_tensors
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Silent
from vlmbench.tasks.probe.features_file import read_features

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 6)).astype(np.float32)


def test_rows_of_several_arrays_read_as_those_of_one():
    table = Table([X[:7], X[7:30], Table([X[30:]])])
    assert table.shape == X.shape
    rows = GENERATOR.permutation(50)[:20]
    for key in (slice(3, 41), slice(None), slice(40, 90), slice(0, 0), rows, np.sort(rows), X[:, 0] > 0, rows[:0]):
        chosen = table[key]
        assert isinstance(chosen, Table)
        np.testing.assert_array_equal(np.asarray(chosen), X[key])
        np.testing.assert_array_equal(chosen[2:5].astype(np.float64), X[key][2:5])
        np.testing.assert_array_equal(np.concatenate([X[:0], *chosen.blocks(3)]), X[key])
    np.testing.assert_array_equal(table[rows][np.arange(5)[::-1]], X[rows][4::-1])
    np.testing.assert_array_equal(table[10:40][np.array([3, 1])], X[[13, 11]])


def test_unit_rows_are_made_where_they_are_read_and_a_zero_row_is_named():
    unit = Table([X]).normalised()[5:9]
    np.testing.assert_array_equal(unit, X[5:9] / np.linalg.norm(X[5:9], axis=1, keepdims=True))
    with pytest.raises(InputError, match="embedding 31 is zero"):
        Table([np.where(np.arange(50)[:, None] == 31, 0, X)]).normalised()


def test_tensors_are_mapped_and_written_from_where_they_are(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"x": X, "none": X[:0]}, {"who": "me"})
    found, about = map_tensors(tmp_path / "a.safetensors")
    assert about == {"who": "me"}
    assert isinstance(found["x"], np.memmap)
    assert found["none"].shape == (0, 6)
    write_tensors(tmp_path / "b.safetensors", {"x": Table([found["x"]]), "none": X[:0]}, {"who": "me"})
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def arrays(rows):
    x = GENERATOR.normal(size=(rows, 64)).astype(np.float32)
    return {
        name: value
        for split in ("train", "test")
        for name, value in ((f"x_{split}", x), (f"y_{split}", np.arange(rows) % 4))
    }


@pytest.mark.parametrize("kind", ["npz", "safetensors", "packed"])
def test_a_features_file_stays_on_disk_unless_it_is_compressed(kind, tmp_path):
    given = arrays(100_000)  # 24 MB a split
    path = tmp_path / ("f.safetensors" if kind == "safetensors" else "f.npz")
    {"npz": np.savez, "packed": np.savez_compressed}.get(kind, lambda path, **own: save_file(own, path))(path, **given)
    if kind == "packed":
        found = read_features(path, Silent())
    else:
        tracemalloc.start()
        found = read_features(path, Silent())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < given["x_train"].nbytes
    np.testing.assert_array_equal(found.x["test"][500:600], given["x_test"][500:600])
    assert found.y["train"].tolist() == given["y_train"].tolist()


def test_a_damaged_member_of_an_archive_is_found_though_it_is_not_unpacked(tmp_path):
    np.savez(tmp_path / "f.npz", **arrays(1000))
    with zipfile.ZipFile(tmp_path / "f.npz") as archive:
        place = archive.getinfo("x_test.npy").header_offset + 5000
    data = bytearray((tmp_path / "f.npz").read_bytes())
    data[place] ^= 1
    (tmp_path / "f.npz").write_bytes(data)
    with pytest.raises(InputError, match="CRC"):
        read_features(tmp_path / "f.npz", Silent())
