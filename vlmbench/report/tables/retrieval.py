"""The retrieval table: models by recall in both directions."""

from collections.abc import Sequence

from vlmbench.records.foreign import Foreign
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import Place, of_family
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Column, Table
from vlmbench.report.tables.foreign import with_retrieval
from vlmbench.report.tables.systems import Heading, Rows, systems_table

HEADING = Heading(
    name="retrieval",
    title="Image-text retrieval",
    system="model",
    note="Figures are times 100, with 95 % intervals in brackets; R@k: the share of queries with a match among the "
    "k nearest.",
    test="McNemar's exact test, or paired bootstrap over images for text to image",
)


def retrieval_table(
    runs: Sequence[StoredRun], pairs: Pairs | None = None, foreign: Sequence[Foreign] = ()
) -> Table | None:
    """The table of the retrieval runs among `runs`; None if there are none.

    Args:
        runs: any runs.
        pairs: reads per-sample files for paired tests; none leaves tests and marks out.
        foreign: results of another program, shown alongside.
    """

    def more(rows: Rows, columns: Sequence[Column], places: dict[str, Place]) -> tuple[Rows, list[str]]:
        return with_retrieval(rows, foreign, columns, places)

    return systems_table(of_family(runs, "retrieval"), "retrieval", HEADING, pairs, more)
