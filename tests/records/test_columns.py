import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from vlmbench.records.columns import arrow, numpy_values


@pytest.mark.parametrize(
    "column",
    [
        [1.5, -2.0, 0.0],
        [3, 4],
        ["a", "", "é\n日本"],
        [["a", "b"], [], ["ç"]],
        [],
        [True, False],
        [[1, 2], [3]],
        ["a", None],
        [["a"], None],
        [["a"], [None]],
        np.array(["a", "é"], dtype=object),
        [np.array([0, 1], np.int8), np.array([1, 0], np.int8)],
        [np.array([0.5], np.float32), np.array([], np.float32)],
        [np.array([1]), np.array([0.5])],
        [np.array([1]), [2]],
    ],
    ids=repr,
)
def test_a_column_is_what_pyarrow_makes_of_it(column):
    assert arrow(column).equals(pa.array(column))
    arrow(column).validate(full=True)


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "int8", "uint8", "bool", "<U3"])
def test_arrays_of_every_kind(kind):
    values = np.array([0, 1, 2]).astype(kind)
    assert arrow(values).to_pylist() == values.tolist()
    assert arrow(values[::-1]).to_pylist() == values[::-1].tolist()


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "uint64"])
def test_numbers_are_what_pyarrow_makes_of_them(kind):
    for cells in (pa.array(np.arange(6).astype(kind))[2:5], pa.array([], pa.from_numpy_dtype(np.dtype(kind)))):
        found, theirs = numpy_values(cells), cells.to_numpy()
        assert found.dtype == theirs.dtype
        assert found.tolist() == theirs.tolist()


def test_texts_and_lists_are_what_pyarrow_makes_of_them():
    for cells in (pa.array(["a", "é", ""])[1:], pa.array([["a"], ["b", "c"]]), pa.array([[1, 2], [3, 4]])):
        found, theirs = numpy_values(cells), cells.to_numpy(zero_copy_only=False)
        assert found.dtype == theirs.dtype == object
        assert [str(one) for one in found] == [str(one) for one in theirs]


def test_rows_of_numbers_are_lists_of_a_fixed_length():
    values = np.arange(6.0).reshape(2, 3)
    for table in (values, np.asfortranarray(values)):
        assert arrow(table).to_pylist() == values.tolist()
        arrow(table).validate(full=True)


def test_a_lone_surrogate_is_no_text():
    with pytest.raises(UnicodeEncodeError):
        arrow(["\ud800"])


def test_samples_are_written_without_pandas(tmp_path):
    """Importing it would be half of what a run takes that finds its features in the store."""
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from vlmbench.metrics.classification import sample_columns
        from vlmbench.records.store import write_samples
        ids, scores = [f"{i}.jpg" for i in range(4)], np.full((4, 2), 0.5)
        write_samples(Path(sys.argv[1]) / "one", sample_columns(scores, np.array([0, 1, 1, 0]), ids))
        write_samples(Path(sys.argv[1]) / "several", sample_columns(scores, np.eye(4, 2, dtype=np.uint8), ids))
        sys.exit("pandas" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
