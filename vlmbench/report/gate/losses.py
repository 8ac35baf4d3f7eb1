"""Where a metric became worse: the classes that lost most, or the images where runs have no classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlmbench.metrics.spec import CaptionSpec, better, find
from vlmbench.report.gate.baseline import GateEntry

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 5
"""Losses that are named."""


@dataclass(frozen=True)
class Loss:
    """A class or an image, before and now.

    Attributes:
        name: the class name, or the image's id.
        before: mean figure over its images in the baseline: accuracy, or the metric that is gated.
        now: the same in the new run.
        images: how many of the test images it has.
    """

    name: str
    before: float
    now: float
    images: int

    def __str__(self) -> str:
        moved = f"{self.name}: {self.before * 100:.1f} → {self.now * 100:.1f}"
        return moved if self.images == 1 else f"{moved} ({self.images} images)"


def losses(old: GateEntry, new: GateEntry, metric: str) -> tuple[Loss, ...]:
    """What lost most, by the sum over its images; empty if the images are unknown or the metric has no figure for each.

    Args:
        old: a run of the baseline.
        new: the same run now.
        metric: the metric that became worse.
    """
    import numpy as np

    figures = [_figures(entry.columns, metric) for entry in (old, new)]
    if old.ids != new.ids or not len(new.names) or any(figure is None for figure in figures):
        return ()
    before, now = (np.asarray(figure) for figure in figures)
    if not len(before) == len(now) == len(new.names):
        return ()
    names, place, rows = np.unique(new.names, return_inverse=True, return_counts=True)
    sums = [np.bincount(place, weights=better(metric, 1.0) * figure) for figure in (before, now)]
    lost = np.round(sums[0] - sums[1], 9)
    worst = [index for index in np.argsort(-lost, kind="stable")[:MOST].tolist() if lost[index] > 0]
    repeated = len(np.unique(new.columns["seed"])) if "seed" in new.columns else 1
    sign = better(metric, 1.0)
    return tuple(
        Loss(
            str(names[index]),
            float(sign * sums[0][index] / rows[index]),
            float(sign * sums[1][index] / rows[index]),
            int(rows[index]) // repeated,
        )
        for index in worst
    )


def _figures(columns: Any, metric: str) -> "NDArray[Any] | None":
    """A figure for each row; right or wrong where that is known, since a class's accuracy says most."""
    spec = find(metric)
    if "right" in columns:
        return columns["right"]  # type: ignore[no-any-return]
    if spec is None or spec.per_image is None or not spec.testable(columns):
        return None
    if isinstance(spec, CaptionSpec):  # a baseline has the statistics that are summed, not each image's score
        from vlmbench.metrics.captions.statistics import Statistics

        found = Statistics.of(columns, [metric])
        scores = found.scores(found.matrix)[metric]
        return scores if spec.total else scores * len(scores)
    return spec.per_image(columns)


def listed(found: Sequence[Loss]) -> str:
    """The losses in words."""
    return "; ".join(map(str, found))
