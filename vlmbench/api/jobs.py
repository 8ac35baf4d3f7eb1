"""Requests as jobs: what the API's functions and the commands run, and what a plan checks before it runs."""

from functools import partial
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
    from vlmbench.tasks.zeroshot import check_zeroshot, run_zeroshot

    return TaskJob(partial(check_zeroshot, request), partial(run_zeroshot, request))


def probe_job(request: "ProbeRequest", *, figures: bool) -> TaskJob:
    """The linear probe; with `figures` curves, confusion matrix and reliability are drawn under OUT/figures."""
    from vlmbench.tasks.probe.run import check_linear_probe, run_linear_probe

    def run(context: "Context", session: "Session | None") -> "list[StoredRun]":
        runs = run_linear_probe(request, context, session)
        if figures:
            from vlmbench.report.page.figures import write_figures

            write_figures(runs, context.out)
        return runs

    return TaskJob(partial(check_linear_probe, request), run)


def retrieval_job(request: "retrieval.RetrievalRequest") -> TaskJob:
    """Image-text retrieval."""
    from vlmbench.tasks.retrieval import check_retrieval, run_retrieval

    return TaskJob(partial(check_retrieval, request), partial(run_retrieval, request))


def captions_job(request: "caption_eval.CaptionEvalRequest") -> TaskJob:
    """Captions scored against references."""
    from vlmbench.tasks.captions.evaluate import check_caption_eval, run_caption_eval

    return TaskJob(partial(check_caption_eval, request), partial(run_caption_eval, request))
