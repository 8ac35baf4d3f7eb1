"""A run that is killed outright, and two that run at once."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

_RUN = """
import sys
from pathlib import Path
import vlmbench.session.features as module
module.ROWS = 8
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
found = Session(Context(cache_dir=Path(sys.argv[3]), batch_size=4, reporter=Silent())).features(
    sys.argv[1], Selection(f"folder:{sys.argv[2]}", "all"))
print(found.encoded, found.x.astype(float).sum())
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def folder(root):
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(150):
            pixels = generator.integers(0, 255, (30, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_a_killed_run_is_continued_and_two_at_once_encode_once(checkpoints, tmp_path, processes):
    model, data, cache = checkpoints("clip"), folder(tmp_path / "data"), tmp_path / "cache"

    def kill(process):
        deadline = time.monotonic() + 120
        while len(list(cache.rglob("*.safetensors"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process, signal.SIGKILL)

    arguments = map(str, (model, data, cache))
    processes.python(_RUN, dict(os.environ), *arguments, meanwhile=kill, libraries=processes.OFFLINE)
    stored = []
    for path in cache.rglob("features/*/0*.safetensors"):
        with safe_open(path, framework="numpy") as handle:
            stored.append(int(handle.metadata()["stop"]) - int(handle.metadata()["start"]))
    runs = [start(model, data, cache) for _ in range(2)]
    outputs = [run.communicate(timeout=240)[0].split() for run in runs]
    assert sum(int(encoded) for encoded, _ in outputs) == 300 - sum(stored), "shared, and none twice"
    assert outputs[0][1] == outputs[1][1]


_STOPPED = """
import os, runpy, sys
from vlmbench.features import encode
number, *sys.argv[1:] = sys.argv[1:]
add, seen = encode._Writer.add, []
def stop(self, batch):
    add(self, batch)
    seen.append(batch)
    if len(seen) == 5:
        os.kill(os.getpid(), int(number))
encode._Writer.add = stop
runpy.run_module("vlmbench", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_computed_when_a_signal_came_is_kept_as_the_message_says(
    checkpoints, colours, tmp_path, number, processes
):
    line = ["zeroshot", "-m", checkpoints("clip"), "-d", f"folder:{colours}", "--split", "train", "--batch-size", 4]
    line += ["-o", tmp_path / "out", "--cache-dir", tmp_path / "cache"]
    ends = [
        processes.python(code, dict(os.environ), *more, *map(str, line), libraries=processes.OFFLINE)
        for code, more in ((_STOPPED, [str(int(number))]), (processes.COMMAND, []))
    ]
    assert ends[0].returncode == 128 + number, ends[0].stderr
    assert ends[0].stderr.strip() == "interrupted; the same command resumes from what was stored"
    assert ends[1].returncode == 0, ends[1].stderr
    assert "features: 4 images encoded, 20 from the store" in ends[1].stderr
