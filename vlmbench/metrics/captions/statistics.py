"""Corpus scores, intervals and paired tests from per-image sufficient statistics.

BLEU and METEOR of a corpus come from statistics summed over images, ROUGE-L and CIDEr are means over images. So a
bootstrap resample, or a random swap of two systems' captions, is a weighted sum over images, and a thousand of them
are one matrix product. CIDEr's document frequencies stay those of the full references: they are part of the metric,
not of the sample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.spec import caption_specs, figure, find
from vlmbench.metrics.stats.intervals import iter_bootstrap_weights
from vlmbench.metrics.stats.paired import share_beyond

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

Floats = NDArray[np.float64]

RESAMPLES = 1000
_Z = 1.959963984540054
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Statistics:
    """One system's per-image statistics: `matrix` `[n, K]`, and how column sums become scores."""

    matrix: Floats
    scorers: tuple[tuple[str, slice, Callable[[Floats], Floats] | None], ...]
    """A metric, the columns it needs, and a function from their sums `[..., k]` to scores `[...]`; None: the mean."""

    @classmethod
    def of(cls, columns: Mapping[str, Any], names: Sequence[str]) -> "Statistics":
        """The statistics of the metrics `names` from the columns of a per-sample file; those that are not means come
        first.

        A metric that no installed package declares is treated as the mean of the column with its name. A missing column
        is an `InputError`.
        """
        known = {spec.name: spec for spec in caption_specs() if spec.name in names}
        summed = [spec for spec in known.values() if spec.total is not None]
        blocks: list[Floats] = []
        places: dict[tuple[str, ...], slice] = {}

        def place(needed: tuple[str, ...]) -> slice:
            if needed not in places:
                blocks.append(np.concatenate([_table(columns, name) for name in needed], axis=1))
                start = sum(block.shape[1] for block in blocks[:-1])
                places[needed] = slice(start, start + blocks[-1].shape[1])
            return places[needed]

        scorers = [(spec.name, place(spec.columns_of(columns)), spec.total) for spec in summed]
        for name in names:
            spec = known.get(name)
            if spec is None or spec.total is None:
                scorers.append((name, place(spec.columns_of(columns) if spec else (name,)), None))
        return cls(np.concatenate(blocks, axis=1) if blocks else np.zeros((0, 0)), tuple(scorers))

    def scores(self, sums: Floats) -> dict[str, Floats]:
        """Scores by metric from sums over n images, `[..., K]` to `[...]` each."""
        return {
            name: sums[..., place][..., 0] / len(self.matrix) if total is None else total(sums[..., place])
            for name, place, total in self.scorers
        }

    def influence(self) -> dict[str, Floats]:
        """How much each image influences each corpus score, to first order and up to a factor, `[n]` by metric."""
        sums = self.matrix.sum(axis=0)
        steps = np.diag(1e-4 * np.maximum(np.abs(sums), 1.0))
        here, above = self.scores(sums), self.scores(sums + steps)
        return {name: self.matrix @ np.nan_to_num((above[name] - here[name]) / steps.diagonal()) for name in here}

    def corpus(self) -> dict[str, float]:
        """The corpus scores."""
        return {name: float(value) for name, value in self.scores(self.matrix.sum(axis=0)).items()}


@dataclass(frozen=True)
class Paired:
    """Is a better than b on the same images? Two-sided p-values of two tests, not corrected for multiple testing."""

    difference: float
    """a - b."""
    low: float
    high: float
    p_bootstrap: float
    p_randomization: float


@dataclass(frozen=True)
class Resampled:
    """The resamples of systems on the same images in the same order."""

    systems: tuple[Statistics, ...]
    scores: tuple[dict[str, Floats], ...]
    """For each system the corpus scores of the bootstrap resamples, `[resamples]` by metric."""
    moved: tuple[Floats, ...]
    """For each system the sums over the swapped images, `[resamples, K]`; empty without swaps."""


def resample(systems: Sequence[Statistics], seed: int, *, resamples: int = RESAMPLES, swaps: bool = True) -> Resampled:
    """Bootstrap resamples and optional random swaps, the same for every system, so that differences between
    systems are paired.

    Sources: Efron and Tibshirani (1993), chapter 16; Koehn (2004) for corpus metrics; Riezler and Maxwell (2005).
    """
    size = len(systems[0].matrix)
    together = np.concatenate([item.matrix for item in systems], axis=1)
    stream = iter_bootstrap_weights(size, resamples, derive_seed(seed, "captions", "bootstrap"))
    sums = np.concatenate([weights.astype(np.float64) @ together for weights in stream])
    swaps = swaps and len(systems) > 1
    moved = _swaps(together, derive_seed(seed, "captions", "randomization"), resamples) if swaps else sums[:0]
    ends = np.cumsum([item.matrix.shape[1] for item in systems])[:-1]
    scores = tuple(item.scores(part) for item, part in zip(systems, np.split(sums, ends, axis=1), strict=True))
    return Resampled(tuple(systems), scores, tuple(np.split(moved, ends, axis=1)))


def interval(
    value: float, resampled: Floats, influence: Floats, *, within: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """A 95 % interval: the expanded percentile interval (Hesterberg 2015, section 4.1).

    Deviations from `value` are scaled by ``sqrt(n / (n - 1))`` times the ratio of t and normal quantiles, without which
    a bootstrap of a small sample is too narrow; the ends are clipped to the metric's range, `within`. The degrees
    of freedom are n - 1, or fewer if few images decide the score (BLEU-4): as the kurtosis of `influence`
    implies for the variance.
    """
    low, high = np.quantile(value + (resampled - value) * _stretch(influence), [0.025, 0.975])
    return max(within[0], min(value, float(low))), min(within[1], max(value, float(high)))


def intervals(drawn: Resampled, system: int) -> dict[str, tuple[float, float]]:
    """95 % intervals of one system's corpus scores, by metric."""
    item = drawn.systems[system]
    influence, scores = item.influence(), drawn.scores[system]
    return {
        name: interval(value, scores[name], influence[name], within=_range(name))
        for name, value in item.corpus().items()
    }


def _range(name: str) -> tuple[float, float]:
    spec = find(name)
    return (0.0, 1.0) if spec is None else spec.range


def compare(drawn: Resampled, first: int, second: int) -> dict[str, Paired]:
    """Paired bootstrap and approximate randomization between two systems, by metric.

    The bootstrap's p is the share of resampled differences at least as far from the observed one as that is from 0. The
    randomization's p is the share of random swaps of the two systems' captions with a difference as large. Both count
    the observed data as one more draw. `first` and `second` are the places of a and b in `drawn`.
    """
    a, b = drawn.systems[first], drawn.systems[second]
    values, others = a.corpus(), b.corpus()
    moving, against = a.influence(), b.influence()
    change = drawn.moved[second] - drawn.moved[first]
    ours, theirs = a.scores(a.matrix.sum(axis=0) + change), b.scores(b.matrix.sum(axis=0) - change)
    found = {}
    for name in values:
        gap = values[name] - others[name]
        stretch = _stretch(moving[name] - against[name])
        deviations = (drawn.scores[first][name] - drawn.scores[second][name] - gap) * stretch
        low, high = np.quantile(gap + deviations, [0.025, 0.975])
        swapped = ours[name] - theirs[name]
        found[name] = Paired(
            gap, min(gap, float(low)), max(gap, float(high)), share_beyond(deviations, gap), share_beyond(swapped, gap)
        )
    return found


def paired_captions(
    columns_a: Mapping[str, Any],
    columns_b: Mapping[str, Any],
    names: Sequence[str],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, Paired]:
    """`compare` from the columns of two per-sample files with the same ids in the same order. Raises `InputError` where
    the ids differ, or a column is missing."""
    if list(columns_a["id"]) != list(columns_b["id"]):
        raise InputError(
            "a paired test needs the same images in the same order", fix="compare runs over the same references"
        )
    drawn = resample([Statistics.of(columns_a, names), Statistics.of(columns_b, names)], seed, resamples=resamples)
    return {name: pair for name, pair in compare(drawn, 0, 1).items() if name in names}


def metrics_from_samples(
    columns: Mapping[str, Any], names: Sequence[str], seed: int, *, resamples: int = 0
) -> dict[str, "Metric"]:
    """The corpus scores `names` with their 95 % intervals (none without `resamples`), from the columns `[n]` of a
    per-sample file; `InputError` where one is missing."""
    statistics = Statistics.of(columns, names)
    values = statistics.corpus()
    ends = intervals(resample([statistics], seed, resamples=resamples), 0) if resamples else {}
    return {name: widened(values[name], ends.get(name)) for name in names}


def widened(value: float, ends: tuple[float, float] | None) -> "Metric":
    """A figure with its interval, widened if rounding leaves the figure outside."""
    return figure(value) if ends is None else figure(value, min(value, ends[0]), max(value, ends[1]))


def _swaps(together: Floats, seed: int, resamples: int) -> Floats:
    """Sums of randomly picked rows (probability ½), `[resamples, K]`."""
    size, width = together.shape
    generator = np.random.default_rng(seed)
    moved = np.empty((resamples, width))
    rows = max(1, _CHUNK // max(1, size))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        coins = np.frombuffer(generator.bytes(count * ((size + 7) // 8)), dtype=np.uint8).reshape(count, -1)
        moved[start : start + count] = np.unpackbits(coins, axis=1, count=size).astype(np.float64) @ together
    return moved


def _stretch(influence: Floats) -> float:
    """``sqrt(n / (n - 1))`` times the 97.5 % quantile of Student's t (Cornish and Fisher's series) over the normal."""
    size = len(influence)
    if size < 2:
        return 1.0
    centred = influence - influence.mean()
    variance = float((centred**2).mean())
    kurtosis = float((centred**4).mean()) / variance**2 if variance > 0 else 3.0
    v, z = max(3.0, min(size - 1.0, 2 * size / max(kurtosis - 1, 1e-9))), _Z
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return float((size / (size - 1)) ** 0.5 * t / z)


def _table(columns: Mapping[str, Any], name: str) -> Floats:
    """A column as `[n, K]`."""
    if name not in columns:
        raise InputError(f"the per-sample file has no column {name}", fix="rerun vlmbench caption-eval")
    column = columns[name]
    if isinstance(column, np.ndarray) and column.dtype != object:
        return np.asarray(column, dtype=np.float64).reshape(len(column), -1)
    return np.stack([np.atleast_1d(np.asarray(row, dtype=np.float64)) for row in column])
