"""Lets an API function run now, or become a job of a plan that checks everything before anything runs."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Unpack, cast

from vlmbench.api.options import RunOptions, run_context
from vlmbench.api.results import Results
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.tasks.base import TaskJob

if TYPE_CHECKING:
    from vlmbench.session.session import Session
    from vlmbench.tasks.plan import Step

P = ParamSpec("P")


class Writes(Protocol[P]):
    """A function that writes runs."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Results:
        """Runs it."""

    def job(self, *args: P.args, **kwargs: P.kwargs) -> TaskJob:
        """The same call for `run_plan`, which gets the options of all runs."""


def writes_runs(build: Callable[P, TaskJob]) -> Writes[P]:
    """Turns a function that builds a job into one that runs it and returns its `Results`; ``job`` builds it."""
    signature = inspect.signature(build)

    def prepared(*args: Any, **given: Any) -> tuple[TaskJob, dict[str, Any]]:
        run = {name: given.pop(name) for name in RunOptions.__annotations__ if name in given}
        unknown = sorted(set(given) - set(signature.parameters))
        if unknown:
            raise TypeError(f"{build.__name__}() got an unexpected keyword argument {unknown[0]!r}")
        return cast(Any, build)(*args, **given), run

    @functools.wraps(build)
    def call(*args: Any, **given: Any) -> Results:
        job, run = prepared(*args, **given)
        return run_job(job, run_context(**cast(RunOptions, run)))

    call.__dict__["job"] = lambda *args, **given: prepared(*args, **given)[0]
    call.__dict__["__signature__"] = signature.replace(return_annotation=Results)
    return cast(Writes[P], call)


def run_job(job: TaskJob, context: Context) -> Results:
    """Runs a job in its own session."""
    together = context.launch is not None or context.pool is not None
    return _run_checked(job, context) if together else heard(job.run(context, None), context)


def _run_checked(job: TaskJob, context: Context) -> Results:
    from vlmbench.session.session import Session
    from vlmbench.tasks.sharing import shared

    session = Session(context)
    for one in job.check(session):
        session.expect(one.models, one.selection)
    with shared(session):
        return heard(job.run(context, session), context)


def heard(runs: Sequence[Any], context: Context) -> Results:
    """The runs with the warnings, if the caller gave no reporter."""
    return Results(runs, context.reporter.warnings if isinstance(context.reporter, Silent) else ())


@dataclass(frozen=True)
class Plan:
    """Checked jobs that share a session."""

    steps: "tuple[Step, ...]"
    session: "Session"

    def run(self) -> Results:
        """Runs them in order; where one fails, the results of the jobs before it are written."""
        from vlmbench.tasks.plan import run_steps
        from vlmbench.tasks.sharing import shared

        with shared(self.session):
            return heard(run_steps(self.steps, self.session), self.session.context)


def checked_plan(jobs: "Sequence[TaskJob | Step]", **run: Unpack[RunOptions]) -> Plan:
    """A plan, all of it checked: names, values, models, datasets, files. Raises the first problem, with its place if
    the job comes from a plan's file."""
    from vlmbench.session.session import Session  # here: it is slow to import
    from vlmbench.tasks.plan import Step, check_steps

    session = Session(run_context(**run))
    steps = tuple(job if isinstance(job, Step) else Step(None, job) for job in jobs)
    check_steps(steps, session)
    return Plan(steps, session)


def run_plan(jobs: "Sequence[TaskJob | Step]", **run: Unpack[RunOptions]) -> Results:
    """Runs several jobs in one session: each model is loaded once, each image decoded once for all that need it.

    Everything is checked before anything runs.

    Args:
        jobs: from ``vlmbench.zeroshot.job(…)`` and its siblings, which take the arguments of their functions except
            for those of `RunOptions`.
        **run: see `RunOptions`; for all jobs.

    Raises:
        VlmbenchError: a job is invalid or fails.

    Examples:
        >>> import tempfile, vlmbench
        >>> jobs = [vlmbench.zeroshot.job("tiny-clip", name, limit=20) for name in ("digits", "shapes")]
        >>> with tempfile.TemporaryDirectory() as out:
        ...     vlmbench.run_plan(jobs, out=out, cache_dir=out, device="cpu")
        <Results: 2 runs: zeroshot tiny-clip on digits, zeroshot tiny-clip on shapes>
    """
    return checked_plan(jobs, **run).run()
