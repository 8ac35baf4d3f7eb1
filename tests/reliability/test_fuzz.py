"""Damaged files of every reader: a short run of the fuzzer, and the files that ever fell, replayed."""

import importlib.util
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = sorted(path for path in (Path(__file__).parent / "corpus").rglob("*") if path.is_file())
FILES = 528

_spec = importlib.util.spec_from_file_location("reliability_fuzz", ROOT / "benchmarks" / "reliability" / "fuzz.py")
fuzz = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = fuzz  # dataclasses look their module up
_spec.loader.exec_module(fuzz)
READERS = fuzz.readers()


def test_every_reader_reads_what_is_not_damaged():
    for reader in READERS.values():
        for file, data in reader.seeds.items():
            fuzz.read(reader, file, data)


def test_no_damaged_file_leaves_the_contract():
    count = Counter()
    for name, fall in fuzz.fuzz(FILES, seed=14):
        assert fall is None, f"{name}: {fall.why}\n{fall.traceback}"
        count[name] += 1
    assert set(count.values()) == {FILES // len(READERS)}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_fell_is_read_or_refused(path):
    name = next(name for name in READERS if fuzz.folder_of(name) == path.parent.name)
    fall = fuzz.tried(name, READERS[name], path.name.partition("@")[2], path.read_bytes())
    assert fall is None, f"{fall.why}\n{fall.traceback}"


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, (2 * 1024**3, 2 * 1024**3))
sys.argv = ["fuzz.py", "--files", "90", "--seed", "15"]
runpy.run_path({path!r}, run_name="__main__")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to a limit of data")
def test_two_gigabytes_are_enough(processes):
    script = LIMITED.format(path=str(ROOT / "benchmarks" / "reliability" / "fuzz.py"))
    done = processes.python(script, dict(os.environ), path=[str(ROOT)], libraries=processes.OFFLINE)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "| all | 90 | 0 |" in done.stdout
