"""METEOR's index, built on a second core while captions are made on the others.

It takes half a minute where it is not there yet, on one core; small captioners leave one idle meanwhile.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmbench.foundations.cpu import cores
from vlmbench.session.context import Context

_BUILD = """
import pathlib, sys
from vlmbench.metrics.captions.meteor.score import load_index
load_index(pathlib.Path(sys.argv[1]))
"""


@contextmanager
def meteor_ahead(context: Context, *, wanted: bool) -> Iterator[None]:
    """Within it, a process builds the index if it is `wanted`, not there yet, and there is a second core; torch leaves
    that core alone. At the end the process is waited for.

    What goes wrong in it is met again, and told, where the index is loaded.
    """
    if not wanted or cores() < 2 or any((context.cache_dir / "meteor").glob("kernel-*.bin")):
        yield
        return
    import torch

    paths = [str(Path(path).resolve()) for path in sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(context.cache_dir.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, min(threads, cores() - 1)))
    try:
        yield
        if process.poll() is None:
            with context.reporter.task("building METEOR's index", None):
                process.wait()
    finally:
        torch.set_num_threads(threads)
        process.kill()
        process.wait()
