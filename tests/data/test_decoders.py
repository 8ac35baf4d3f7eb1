"""Processes that decode: the same bytes and errors as threads, and none is left behind."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from vlmbench.data import loading
from vlmbench.data.base import Split
from vlmbench.data.bundled import Arrays
from vlmbench.data.decoders import Decoder
from vlmbench.data.images import BadImage
from vlmbench.data.loading import load, load_resized
from vlmbench.data.resizing import Resizing
from vlmbench.foundations.errors import InputError

SQUARE, SHORTER = Resizing((24, 24), 2, None), Resizing(20, 3, (16, 16))


class Unreadable(Arrays):
    def read(self, index):
        if index == 7:
            raise BadImage("cannot read it", where="7.jpg")
        return super().read(index)


def split(count=30):
    generator, raws = np.random.default_rng(0), []
    for number in range(count):
        pixels = generator.integers(0, 256, (30 + number % 3, 20 + number % 5, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG")
        raws.append(b"no image" if number == 4 else pixels if number == 5 else buffer.getvalue())
    return Split("test", tuple(f"{i}.jpg" for i in range(count)), np.zeros(count, np.int64), Unreadable(tuple(raws)))


@pytest.mark.parametrize(("workers", "shared"), [(1, True), (3, True), (2, False)])
def test_processes_give_the_bytes_and_the_errors_of_threads(workers, shared, monkeypatch):
    if not shared:  # as on macOS and Windows
        monkeypatch.delattr(os, "memfd_create", raising=False)
    images = split()
    there = list(load_resized(images, range(2, 30), [(None, SQUARE), (None, SHORTER)], workers=workers, ahead=5))
    here = list(load(images, range(2, 30), lambda image, _: [SQUARE(image), SHORTER(image)], workers=2, ahead=5))
    assert [item.row for item in there] == [item.row for item in here] == list(range(2, 30))
    for one, other in zip(there, here, strict=True):
        if one.row in (4, 7):
            assert (one.value, str(one.error)) == (None, str(other.error))
            assert f"{one.row}.jpg" in str(one.error)
        else:
            assert [values.tobytes() for values in one.value] == [values.tobytes() for values in other.value]
            assert [values.shape for values in one.value] == [(3, 24, 24), (3, 16, 16)]
    assert min(item.decode for item in there) > 0


def test_a_fault_in_a_process_is_not_taken_for_a_bad_image():
    decoder = Decoder([(None, Resizing((9, 9), 99, None))], 1)
    try:
        with pytest.raises(RuntimeError, match=r"(?s)Traceback.*99"):
            decoder.decode([(np.zeros((9, 9, 3), np.uint8), "a")])
    finally:
        decoder.close()


def test_a_process_that_is_killed_is_told_of():
    decoder = Decoder([(None, SQUARE)], 1)
    try:
        decoder.decode([(np.zeros((9, 9, 3), np.uint8), "a")])
        decoder._process.kill()
        with pytest.raises(InputError, match=r"(?s)was ended \(status -9\).*fewer .*workers"):
            decoder.decode([(np.zeros((9, 9, 3), np.uint8), "a")])
    finally:
        decoder.close()


def test_who_stops_early_leaves_no_process(monkeypatch):
    started = []

    class Watched(Decoder):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self._process)

    monkeypatch.setattr(loading, "Decoder", Watched)
    stream = load_resized(split(), range(30), [(None, SQUARE)], workers=2, ahead=4)
    next(stream)
    stream.close()
    assert started
    assert all(process.poll() is not None for process in started)


PARENT = """
import sys, time
sys.path.insert(0, {tests!r})
import test_decoders as own
from vlmbench.data import loading
class Told(own.Decoder):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        print(self._process.pid, flush=True)
loading.Decoder = Told
stream = own.load_resized(own.split(), range(30), [(None, own.SQUARE)], workers=2, ahead=4)
next(stream)
print("working", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill and signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_ends_with_the_one_that_started_it(number, default_signals):
    code = PARENT.format(tests=os.path.dirname(__file__))  # noqa: PTH120
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True,
                              stderr=subprocess.DEVNULL, preexec_fn=default_signals)  # fmt: skip
    found = []
    while (line := parent.stdout.readline().strip()) != "working":
        found.append(int(line))
    assert found
    if number == signal.SIGKILL:
        parent.kill()
    else:
        os.killpg(parent.pid, number)  # as a terminal does
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 20
    while any(_there(pid) for pid in found) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_there(pid) for pid in found)


def _there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")
