"""Labels to match: a figure (zero-shot's, or another head's) on the curve of a row's probes."""

from typing import TYPE_CHECKING

from vlmbench.records.classification import ClassificationProtocol, ProbeDetail
from vlmbench.records.store import StoredRun
from vlmbench.report.table import Cell

if TYPE_CHECKING:
    from vlmbench.report.tables.rows import Row


def labels_to_match_cell(row: "Row", level: StoredRun | None) -> Cell:
    """Where the curve of the few-shot probes and the one on all labels reaches the figure of `level`."""
    if level is None or not row.shots:
        return Cell()
    from vlmbench.metrics.crossing import labels_to_match

    points: list[tuple[float, StoredRun, list[float]]] = []
    for k, run in (*sorted(row.shots.items()), *([(labels_per_class(row.full), row.full)] if row.full else [])):
        values = run.record.detail.per_seed if isinstance(run.record.detail, ProbeDetail) else None
        if values and (not points or k > points[-1][0]):
            points.append((k, run, values))
    few = {len(values) for _, run, values in points if run.record.shots is not None}
    if len(few) != 1:
        return Cell()
    value = level.record.metrics[row.place.metric].value
    found = labels_to_match([k for k, _, _ in points], [one for _, _, one in points], value, seed=level.record.seed)
    return Cell(
        text=found["text"],
        value=found["value"],
        low=found["low"],
        high=found["high"],
        runs=(level, *(run for _, run, _ in points)),
        scale=1.0,
        open_interval="" if found["interval"] in {"", f"{found['text']} to {found['text']}"} else found["interval"],
    )


def labels_per_class(run: StoredRun) -> float:
    """Training images per class of a probe on all labels; 0 if its record does not say."""
    detail, protocol = run.record.detail, run.record.protocol
    if not isinstance(detail, ProbeDetail) or not isinstance(protocol, ClassificationProtocol):
        return 0.0
    classes = len(protocol.classnames or ()) + len(protocol.left_out_classes or ())
    return (detail.train_images or 0) / classes if classes else 0.0
