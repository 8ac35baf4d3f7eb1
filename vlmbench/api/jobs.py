"""Requests as jobs: what the API's functions and the commands run, and what a plan checks before it runs."""

from typing import TYPE_CHECKING

from vlmbench.tasks.base import TaskJob

if TYPE_CHECKING:
    from vlmbench.records.store import StoredRun
    from vlmbench.session.context import Context
    from vlmbench.session.session import Session
    from vlmbench.tasks import retrieval, zeroshot
    from vlmbench.tasks.captions import evaluate as caption_eval
    from vlmbench.tasks.probe.fit import ProbeRequest


def zeroshot_job(request: "zeroshot.ZeroShotRequest") -> TaskJob:
    """Zero-shot classification."""
    return TaskJob.of("zeroshot", request)


def probe_job(request: "ProbeRequest", *, figures: bool) -> TaskJob:
    """The linear probe; with `figures` curves, confusion matrix and reliability are drawn under OUT/figures."""
    job = TaskJob.of("linear-probe", request)

    def run(context: "Context", session: "Session | None") -> "list[StoredRun]":
        runs = job.run(context, session)
        if figures:
            from vlmbench.report.page.figures import write_figures

            write_figures(runs, context.out)
        return runs

    return TaskJob(job.check, run)


def retrieval_job(request: "retrieval.RetrievalRequest") -> TaskJob:
    """Image-text retrieval."""
    return TaskJob.of("retrieval", request)


def captions_job(request: "caption_eval.CaptionEvalRequest") -> TaskJob:
    """Captions scored against references."""
    return TaskJob.of("caption-eval", request)
