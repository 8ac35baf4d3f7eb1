"""A Ray cluster as the pool of a session: one worker for each GPU, or for a few cores each.

Plain actors, not Ray Data: a worker reads its images from the dataset and writes features to the store itself, so that
nothing travels but ranges of numbers and counts, and Ray has no blocks to move, hold back or spill.
"""

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.atomic import temporary_directory
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.errors import AbsentError
from vlmbench.session.pool import Work
from vlmbench.tasks.cluster.address import LOCAL, parse_address, refused, require_answer
from vlmbench.tasks.cluster.crew import Crew, Queue
from vlmbench.tasks.cluster.machines import alive

if TYPE_CHECKING:
    from vlmbench.session.context import Context


_TOKEN_NAME, _TOKEN = "RAY_AUTH_TOKEN", secrets.token_hex(32)


class Cluster:
    """A Ray cluster as a `vlmbench.session.pool.Pool`; connected to when it is first needed.

    Args:
        address: see `parse_address`.
    """

    def __init__(self, address: str) -> None:
        self.address = parse_address(address)
        self._open = ExitStack()
        self._ray: Any = None

    def device(self, requested: str) -> str:
        """``auto`` is cuda where a machine of the cluster has a GPU; see `vlmbench.session.pool.Pool`."""
        if self.address == LOCAL:
            from vlmbench.encoders.device import resolve_device

            return resolve_device(requested)
        gpus = any(node["Resources"].get("GPU", 0) >= 1 for node in self._nodes())
        if requested == "cuda" and not gpus:
            raise AbsentError(
                f"no machine of the Ray cluster at {self.address} has a GPU", where="--device", fix="--device cpu"
            )
        return ("cuda" if gpus else "cpu") if requested == "auto" else requested

    def run(self, context: "Context", work: Sequence[Work]) -> Iterator[Any]:
        """See `vlmbench.session.pool.Pool`."""
        queue, reporter, warned = Queue(work), context.reporter, set[str]()
        names = "; ".join(item.job.name for item in work[:3]) + ("; …" if len(work) > 3 else "")
        total = sum(len(piece) for item in work for piece in item.pieces)
        with self._crew(context) as crew, reporter.task(f"ray: {names}", total) as advance:
            while len(queue) or crew.busy:
                crew.grow(len(queue))
                for span, answer in crew.wait(queue):
                    for message in answer.warnings:
                        if message not in warned:
                            warned.add(message)
                            reporter.warn(message)
                    if answer.error is not None:
                        error = answer.error
                        raise type(error)(error.what, where=error.where, fix=error.fix) from error
                    advance(sum(map(len, span.pieces)))
                    yield answer.value
            done = ", ".join(f"{count} on {host}" for host, count in sorted(crew.hosts.items()))
            lost = f"; {crew.lost} workers were lost" if crew.lost else ""
            reporter.note(f"ray: {total:,} images by workers: {done}{lost}")

    def close(self) -> None:
        """Disconnects, and ends a cluster of this command's own."""
        self._ray = None
        self._open.close()

    @contextmanager
    def _crew(self, context: "Context") -> Iterator["Crew"]:
        """Workers for as long as there is work; then they are ended, those at work once they have stored it."""
        ray = self._connect()
        context = replace(
            context,
            out=context.out.absolute(),
            cache_dir=context.cache_dir.absolute(),
            device=self.device(context.device),
            offline=context.offline or os.environ.get("HF_HUB_OFFLINE") == "1",
            launch=None,
            pool=None,
        )
        probe_directory = temporary_directory(context.cache_dir / "launches")  # workers are to see it
        with probe_directory as probe, redirect_stdout(sys.stderr):  # Ray prints what machines report
            crew = Crew(ray, context, self.address, probe)
            try:
                yield crew
            except BaseException:
                crew.stop()
                raise
            finally:
                crew.end()

    def _nodes(self) -> list[dict[str, Any]]:
        return alive(self._connect())

    def _connect(self) -> Any:
        """The module, connected to the cluster.

        Raises:
            AbsentError: nothing answers, or it is a cluster of another version.
        """
        if self._ray is not None:
            return self._ray
        if self.address not in (LOCAL, "auto"):
            require_answer(self.address)
        handler = signal.getsignal(signal.SIGTERM)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if self.address == LOCAL:
                self._open.enter_context(_own_token())
                place = self._open.enter_context(_own_directory())
                ray.init(address=LOCAL, num_cpus=cores(), include_dashboard=False, _temp_dir=place, **quiet)
            else:
                ray.init(address=self.address, namespace=f"vlmbench-{secrets.token_hex(8)}", **quiet)
        except (ConnectionError, RuntimeError, ValueError, ImportError, TimeoutError, OSError) as error:
            ray.shutdown()
            self._open.close()
            raise refused(self.address, error) from error
        finally:
            if threading.current_thread() is threading.main_thread() and handler is not None:
                signal.signal(signal.SIGTERM, handler)  # Ray has put its own there
        self._open.callback(ray.shutdown)
        self._ray = ray
        return ray


@contextmanager
def _own_token() -> Iterator[None]:
    """The password of local clusters of this process, so that Ray leaves none in the home directory."""
    added = not any(name in os.environ for name in ("RAY_AUTH_MODE", _TOKEN_NAME, f"{_TOKEN_NAME}_PATH"))
    if added:
        os.environ[_TOKEN_NAME] = _TOKEN
    try:
        yield
    finally:
        if added:
            os.environ.pop(_TOKEN_NAME, None)


@contextmanager
def _own_directory() -> Iterator[str | None]:
    """A directory for a local cluster's sockets and logs, removed at its end; none where paths would get too long."""
    if len(tempfile.gettempdir()) > 20:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="vlmbench-", ignore_cleanup_errors=True) as place:
        yield place
