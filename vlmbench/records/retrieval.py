"""Records of image-text retrieval."""

from vlmbench.records.task import ColumnRule, EncodedProtocol, TaskSpec


class RetrievalProtocol(EncodedProtocol):
    """What decides recall."""

    captions: int | None = None
    """Captions of all images."""
    captions_per_image: int | str | None = None
    """At most, or ``all``."""
    rerank: int | None = None
    """The nearest that a matching head ranked again."""


SPEC = TaskSpec(
    name="retrieval",
    definition="image-text retrieval by a dual encoder: recall in both directions",
    family="retrieval",
    protocol=RetrievalProtocol,
    columns=(("image_rank", "caption_ranks"),),
    rules={"image_rank": ColumnRule(0), "caption_ranks": ColumnRule(0, lists=True)},
    request="vlmbench.tasks.retrieval:RetrievalRequest",
    check="vlmbench.tasks.retrieval:check_retrieval",
    run="vlmbench.tasks.retrieval:run_retrieval",
    command="vlmbench.cli.retrieval:command",
    table="vlmbench.report.tables.retrieval:retrieval_table",
)
