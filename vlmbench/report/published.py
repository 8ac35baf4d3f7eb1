"""Published figures beside measured ones."""

from vlmbench.records.store import StoredRun
from vlmbench.report.table import Cell


def published_cell(run: StoredRun) -> Cell:
    """The published figure for a run's model and dataset with its source; empty where none is known."""
    return Cell()
