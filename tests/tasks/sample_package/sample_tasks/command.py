"""``vlmbench count``."""

from typing import Annotated

from vlmbench.cli.options.common import Common, option, with_common


@with_common
def command(
    common: Common,
    model: Annotated[list[str], option("-m", "--model", help="Alias, hub id or ./directory; repeat for several.")],
    dataset: Annotated[str, option("-d", "--dataset", help="A dataset whose class k has k + 1 things.")],
    template: Annotated[str, option("--template", help="With {} where the number goes.")] = "{}",
    limit: Annotated[int | None, option("--limit", min=1, help="Use N randomly sampled images.")] = None,
) -> None:
    """Counts things by the nearest prompt."""
    from sample_tasks.count import CountRequest
    from vlmbench.api.jobs import writes_runs
    from vlmbench.tasks.base import TaskJob

    common.run(writes_runs(lambda: TaskJob.of("count", CountRequest(tuple(model), dataset, template, limit))))
