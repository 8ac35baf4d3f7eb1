"""METEOR on a second core: scored in parallel with other metrics, its index built while captions are generated."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vlmbench.foundations.background import Arrays, Background
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.errors import AbsentError
from vlmbench.metrics.captions.scoring import Scored, Tokenized, score_meteor
from vlmbench.metrics.spec import needing
from vlmbench.session.context import Context

if TYPE_CHECKING:
    from vlmbench.metrics.captions.meteor.index import MeteorIndex

_BUILD = """
import pathlib, sys
from vlmbench.foundations.background import end_with_parent
end_with_parent(int(sys.argv[2]))
from vlmbench.metrics.captions.meteor.score import load_index
load_index(pathlib.Path(sys.argv[1]))
"""


@contextmanager
def meteor_beside(
    text: Callable[[], Tokenized], metrics: Sequence[str], context: Context
) -> Iterator[Callable[[Sequence[Scored]], dict[str, str]]]:
    """A context manager that scores METEOR, if it is among the `metrics`, in a second process.

    Yields a function that waits for the scores, adds them to each system's columns, and returns which metrics are left
    out and why.

    Args:
        text: the tokens; called in the second process, too.
        metrics: all metrics to score.
        context: where METEOR's index is, reporter.

    Raises:
        AbsentError: a requirement of METEOR is missing, and no other metric is scored.
    """
    wanted = needing("index") & set(metrics)

    def scores() -> Arrays:
        return score_meteor(text(), _index(context))

    def left_out(error: AbsentError) -> dict[str, str]:
        if needing("index") >= set(metrics):
            raise error
        return dict.fromkeys(needing("index"), f"{error.what} (fix: {error.fix})")

    missing: dict[str, str] = {}
    if wanted and not _index_there(context):  # built now: the second process shows no progress
        try:
            _index(context)
        except AbsentError as error:
            missing = left_out(error)
    with Background(scores, allowed=bool(wanted) and not missing) as process:

        def add(systems: Sequence[Scored]) -> dict[str, str]:
            if not wanted or missing:
                return missing
            import pyarrow.parquet  # noqa: F401 (what writing needs is imported while the other process works)

            from vlmbench.metrics.captions.meteor.score import METEOR_STATISTICS, SPEC

            try:
                arrays = process.result()
            except AbsentError as error:
                return left_out(error)
            for system, item in enumerate(systems):
                item.columns[METEOR_STATISTICS], item.columns[SPEC.name] = arrays[2 * system], arrays[2 * system + 1]
            return {}

        yield add


def _index(context: Context) -> "MeteorIndex":
    from vlmbench.metrics.captions.meteor.score import load_index

    return load_index(context.cache_dir, progress=context.reporter.task)


def _index_there(context: Context) -> bool:
    """Whether METEOR's index exists, most likely of this version; if not, the second process builds it."""
    place = context.cache_dir / "meteor"
    return any(place.glob("en-*/manifest.json")) and any(place.glob("kernel-*.bin"))


@contextmanager
def meteor_ahead(context: Context, *, wanted: bool) -> Iterator[None]:
    """A context manager in which a process builds the index if it is `wanted` and missing and there is a second core;
    torch leaves that core alone. It waits for the process at the end.

    Building takes half a minute on one core, which small captioners leave idle. Its errors
    recur, and are reported, when the index is loaded.
    """
    if not wanted or cores() < 2 or any((context.cache_dir / "meteor").glob("kernel-*.bin")):
        yield
        return
    import torch

    paths = [str(Path(path).resolve()) for path in sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(context.cache_dir.resolve()), str(os.getpid())],
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
