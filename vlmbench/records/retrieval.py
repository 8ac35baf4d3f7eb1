"""Records of image-text retrieval."""

from vlmbench.records.task import ColumnRule, EncodedProtocol, TaskSpec


class RetrievalProtocol(EncodedProtocol):
    """What decides recall."""

    captions: int | None = None
    """Number of captions of all images."""
    captions_per_image: int | str | None = None
    """At most, or ``all``."""
    rerank: int | None = None
    """How many of the nearest a matching head re-ranked."""


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
