"""The workers of a cluster, for as long as there is work: started, given work, made up for where they end."""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.progress import Silent
from vlmbench.foundations.text import visible
from vlmbench.session.pool import Job, Work
from vlmbench.tasks.cluster.machines import VERSIONS, alive, compare, facts_of, own_facts, places
from vlmbench.tasks.cluster.worker import Answer, Worker

if TYPE_CHECKING:
    from vlmbench.session.context import Context

SPAN = 64
"""Pieces that a worker is given at once at most; the fewer are left, the fewer it is given."""
DEATHS = 3
"""A piece whose workers ended so often is given up: it is what ends them."""
SECONDS = 5.0
"""How often machines are looked for that have come or gone."""
STOPPING = 20.0
"""Seconds that workers have to store what is done, once they are to stop."""
SILENCE = 12
"""Looks without any worker after which the command says that it waits."""


@dataclass
class Queue:
    """What is left to do, in spans that shrink towards the end (guided self-scheduling), so that all end together."""

    work: Sequence[Work]
    _left: "deque[tuple[Job, deque[Sequence[int]]]]" = field(init=False)
    _back: "deque[Span]" = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._left = deque((item.job, deque(item.pieces)) for item in self.work)

    def __len__(self) -> int:
        """Pieces that are left."""
        return sum(len(pieces) for _, pieces in self._left) + sum(len(span.pieces) for span in self._back)

    def take(self, workers: int) -> "Span | None":
        """The next span for one of so many workers; first what was put back."""
        if self._back:
            return self._back.popleft()
        if not self._left:
            return None
        size = max(1, min(SPAN, len(self) // (2 * max(1, workers))))
        job, pieces = self._left[0]
        span = Span(job, [pieces.popleft() for _ in range(min(size, len(pieces)))])
        if not pieces:
            self._left.popleft()
        return span

    def put_back(self, span: "Span") -> None:
        """Has a span done by another worker."""
        self._back.append(span)


@dataclass(eq=False)
class Span:
    """Pieces of a job that a worker is given, and how many workers have ended over them."""

    job: Job
    pieces: Sequence[Sequence[int]]
    deaths: int = 0


class Crew:
    """The workers of one run."""

    def __init__(self, ray: Any, context: "Context", address: str, probe: Path) -> None:
        self._ray, self._context, self._address, self._probe = ray, context, address, probe
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, Span]] = {}
        self._checked: set[str] = set()
        self._failed = self._waits = 0
        self._looked = -SECONDS
        self.hosts: Counter[str] = Counter()
        self.lost = 0

    def grow(self, pieces: int) -> None:
        """Starts workers until there is one for each place of the cluster, or for each piece that is left."""
        if time.monotonic() < self._looked + SECONDS:
            return
        self._looked, nodes = time.monotonic(), alive(self._ray)
        for node in nodes:
            if node["NodeID"] not in self._checked:
                self._check(node)
                self._checked.add(node["NodeID"])
        count, each = places(nodes, self._context.device)
        if not count:
            kind = "GPU" if self._context.device == "cuda" else "CPU"
            raise AbsentError(
                f"no machine of the Ray cluster at {self._address} has a {kind} for it",
                where="--ray",
                fix="--device cpu"
                if kind == "GPU"
                else "start the cluster's machines with CPUs (ray start --num-cpus)",
            )
        here = len(self._starting) + len(self._idle) + len(self.busy)
        for _ in range(min(count, here + pieces) - here):
            self._start(each)

    def wait(self, queue: Queue) -> Iterator[tuple[Span, Answer]]:
        """Gives out work to who is free, and waits for the next answer or worker; gives the answers that came."""
        while self._idle and (span := queue.take(len(self._idle) + len(self.busy))):
            worker = self._idle.pop()
            self.busy[worker.run.remote(span.job, span.pieces)] = (worker, span)
        done, _ = self._ray.wait([*self.busy, *self._starting], num_returns=1, timeout=SECONDS)
        self._say_waiting(bool(done))
        for ref in done:
            worker, span = self.busy.pop(ref) if ref in self.busy else (self._starting.pop(ref), None)
            try:
                answer = self._ray.get(ref)
            except self._ended as error:
                self._lose(error, span, queue)
                continue
            self._idle.append(worker)
            if span is not None:
                yield span, answer
            else:
                self._failed = 0
                self.hosts[answer] += 1

    def stop(self) -> None:
        """Has workers that are at work store what is done; they have `STOPPING` seconds."""
        with suppress(Exception):
            for handle, _ in self.busy.values():
                handle.stop.remote()
            if self.busy:
                self._ray.wait(list(self.busy), num_returns=len(self.busy), timeout=STOPPING)

    def end(self) -> None:
        """Ends all workers."""
        held = [*self._starting.values(), *self._idle, *(worker for worker, _ in self.busy.values())]
        for handle in held:
            with suppress(Exception):
                self._ray.kill(handle)

    def _start(self, each: int) -> None:
        context = self._context
        gpu = context.device == "cuda"
        if context.workers is None:
            context = replace(context, workers=each if gpu else min(8, each - 1))
        actor = self._ray.remote(num_cpus=each, num_gpus=int(gpu), max_concurrency=2)(Worker)
        handle = actor.remote(replace(context, reporter=Silent()), str(Path.cwd()))
        self._starting[handle.ready.remote()] = handle

    def _lose(self, error: Exception, span: Span | None, queue: Queue) -> None:
        """A worker has ended, or could not start: its work is put back.

        Raises:
            AbsentError: workers end over and over again.
        """
        said = visible(str(error).strip().splitlines()[-1])[:300]
        self._looked = -SECONDS  # look for room for another one at once
        if span is None:
            self._failed += 1
            if self._failed >= DEATHS:
                raise AbsentError(f"workers cannot start: {said}", where="--ray", fix="see Ray's logs on the machine")
            return
        self.lost += 1
        span.deaths += 1
        if span.deaths >= DEATHS:
            raise AbsentError(
                f"{DEATHS} workers ended over the same images of {span.job.name}: {said}",
                where=f"images {span.pieces[0][0]:,} to {span.pieces[-1][-1]:,}",
                fix="if memory is short a smaller --batch-size; what was encoded is stored",
            )
        queue.put_back(span)

    def _say_waiting(self, came: bool) -> None:
        self._waits = 0 if came or self.busy or self._idle else self._waits + 1
        if self._waits == SILENCE:
            self._context.reporter.note("ray: waiting for workers: all CPUs or GPUs of the cluster are in use")

    @property
    def _ended(self) -> tuple[type[Exception], ...]:
        errors = self._ray.exceptions
        return (errors.RayActorError, errors.OutOfMemoryError, errors.WorkerCrashedError, errors.NodeDiedError)

    def _check(self, node: dict[str, Any]) -> None:
        """Asks a machine what it has.

        Raises:
            AbsentError: another version of Python, vlmbench or what encodes, or it does not see the cache directory
                and no shared cache stands in for that.
        """
        host, probe = node["NodeManagerAddress"], str(self._probe)
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ask = self._ray.remote(num_cpus=0, max_retries=2, scheduling_strategy=strategy)(facts_of())
        try:
            theirs = self._ray.get(ask.remote(probe, VERSIONS), timeout=120)
        except self._ray.exceptions.GetTimeoutError as error:
            raise AbsentError(f"the machine {host} of the cluster does not answer", where="--ray") from error
        except (*self._ended, self._ray.exceptions.TaskUnschedulableError):
            return  # gone again
        compare(host, own_facts(), theirs, self._context.cache_dir, self._context.shared)
