"""Records of the agreement between metrics and people."""

from vlmbench.records.captions import ClipProtocol
from vlmbench.records.task import TaskDetail, TaskProtocol, TaskSpec


class AgreementProtocol(TaskProtocol):
    """What decides the agreement of a metric with ratings."""

    format: str | None = None
    judgements: int | None = None
    left_out: int | None = None
    """Judgements that the format's protocol excludes."""
    references: str | None = None
    """References per image: ``5`` or ``4-6``."""
    tau: str | None = None
    """The variant of Kendall's tau that papers report on this set: ``b`` or ``c``."""
    clip: ClipProtocol | None = None
    tokenizer: str | None = None
    df: str | None = None
    """The documents of CIDEr's document frequencies: ``images`` or ``judgements``."""


class AgreementDetail(TaskDetail):
    """What explains the agreement."""

    ratings: int | None = None
    """Number of distinct ratings."""
    left_out_because: str | None = None
    no_interval: str | None = None


SPEC = TaskSpec(
    name="metric-eval",
    definition="how far caption metrics agree with people's ratings: Kendall's tau",
    family="agreement",
    protocol=AgreementProtocol,
    detail=AgreementDetail,
    columns=(("score", "rating"),),
    repeated=True,
    gated="none",
    request="vlmbench.tasks.judgements.run:MetricEvalRequest",
    check="vlmbench.tasks.judgements.run:check_metric_eval",
    run="vlmbench.tasks.judgements.run:run_metric_eval",
    command="vlmbench.cli.metric_eval:command",
    table="vlmbench.report.tables.agreement:agreement_table",
)
