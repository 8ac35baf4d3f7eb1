"""Paired tests between runs that scored the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.records.store import StoredRun, read_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 0
RESAMPLES = 1000
LEVEL = 0.05

Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """First minus second, with its 95 % interval and two-sided p-value (of captions also by randomization)."""

    value: float
    low: float
    high: float
    p: float
    p_swapped: float | None = None


class Pairs:
    """Paired tests, with each per-sample file read once."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, tuple[str, ...] | None], dict[str, Any]] = {}

    @staticmethod
    def has(*runs: StoredRun) -> bool:
        """Whether the per-sample files are there; records can be shared without them."""
        return all(run.samples_path.is_file() for run in runs)

    def columns(self, run: StoredRun, images: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The per-sample columns of a run, `[N]` each; of `images` only, in their order, where these are given."""
        key = (str(run.path), images)
        if key not in self._columns:
            whole = read_samples(run) if images is None else self.columns(run)
            if images is not None:
                place = {name: index for index, name in enumerate(whole["id"].tolist())}
                order = [place[name] for name in images]
                whole = {name: column[order] for name, column in whole.items()}
            self._columns[key] = whole
        return self._columns[key]

    def aligned(self, one: StoredRun, two: StoredRun, images: tuple[str, ...] | None = None) -> tuple[Columns, Columns]:
        """The columns of two runs, the second brought into the order of the first's ids; or both of `images` only.

        Raises:
            InputError: the runs did not score the same images, once each.
        """
        first, second = self.columns(one, images), self.columns(two, images)
        order = same_order(first["id"], second["id"])
        if order is None:
            raise InputError(
                "the runs did not score the same images",
                where=f"{one.samples_path} and {two.samples_path}",
                mend="run both on the same split",
            )
        return first, {name: column[order] for name, column in second.items()}

    def classification(self, one: StoredRun, two: StoredRun, metric: str) -> Difference:
        """The difference of a metric: see `paired_difference`."""
        return paired_difference(*self.aligned(one, two), metric)

    def retrieval(self, one: StoredRun, two: StoredRun, names: Sequence[str]) -> dict[str, Difference]:
        """The differences of recalls: see `paired_difference`."""
        first, second = self.aligned(one, two)
        return {name: paired_difference(first, second, name) for name in names}

    def captions(
        self, one: StoredRun, two: StoredRun, names: Sequence[str], images: tuple[str, ...] | None = None
    ) -> dict[str, Difference]:
        """The differences of corpus scores, by paired bootstrap over images: all of them, or `images`."""
        return caption_differences(*self.aligned(one, two, images), names)


def untested(runs: Sequence[StoredRun]) -> list[str]:
    """A note where runs have no per-sample file, and so no paired tests."""
    lacking = [run.path.name for run in runs if not Pairs.has(run)]
    return [f"No paired tests, since the per-sample file is missing: {', '.join(lacking)}."] if lacking else []


def same_order(first: "NDArray[Any]", second: "NDArray[Any]") -> "NDArray[np.int64] | None":
    """Indices `[N]` that bring `second` into the order of `first`; none where they are not the same ids once each."""
    import numpy as np

    if len(first) != len(second):
        return None
    if bool((first == second).all()):
        return np.arange(len(first))
    place = {name: index for index, name in enumerate(second.tolist())}
    if len(place) != len(second) or set(place) != set(first.tolist()):
        return None
    return np.array([place[name] for name in first.tolist()])


def paired_difference(first: Columns, second: Columns, metric: str) -> Difference:
    """The difference of a metric on the same images in the same order.

    Accuracy, top-5, recall and mean per class: paired bootstrap of per-image shares, the p of yes-or-no metrics by
    McNemar's exact test. ROC AUC: DeLong's test; average precision: paired bootstrap of the statistic itself. Several
    seeds (few-shot) are averaged by image.

    Args:
        first: per-sample columns, `[N]` each.
        second: the same of the other run.
        metric: its name.
    """
    from vlmbench.metrics.paired import mcnemar_exact, paired_bootstrap
    from vlmbench.metrics.paired_ranking import RANKED, paired_ranking

    seed = derive_seed(SEED, "paired", metric)
    if metric in RANKED:
        return Difference(*paired_ranking(first, second, metric, seed))
    one, two = per_image(first, metric), per_image(second, metric)
    several = "seed" in first
    if several:
        one, two = _mean_by_image(first["id"], one), _mean_by_image(second["id"], two)
    value, low, high, p = paired_bootstrap(one, two, seed)
    if (metric in {"accuracy", "accuracy_top5"} or metric.startswith("image_to_text")) and not several:
        p = mcnemar_exact(one, two)
    return Difference(value, low, high, p)


def per_image(columns: Columns, metric: str) -> "NDArray[np.float64]":
    """What each image adds: figures `[N]` whose mean is the metric.

    Raises:
        InputError: the metric is no mean over images.
    """
    import numpy as np

    if metric == "brier":
        return np.asarray(columns["brier"], dtype=np.float64)
    if "_recall_" in metric:
        return _recalled(columns, metric)
    if metric == "accuracy_top5":
        return np.asarray(columns["rank"] < 5, dtype=np.float64)
    right = np.asarray(columns["prediction"] == columns["label"], dtype=np.float64)
    if metric == "accuracy":
        return right
    if metric == "mean_per_class_accuracy":
        counts = np.bincount(columns["label"])
        weights = len(right) / ((counts > 0).sum() * counts[columns["label"]])
        return np.asarray(right * weights, dtype=np.float64)
    raise InputError(f"no paired test for the metric {metric}")


def _recalled(columns: Columns, metric: str) -> "NDArray[np.float64]":
    """Retrieval: whether the image's own caption, or the share of its captions' queries, are among the first k."""
    import numpy as np

    k = int(metric.rpartition("_")[2])
    if metric.startswith("image_to_text"):
        return np.asarray(columns["image_rank"] < k, dtype=np.float64)
    if "caption_ranks" in columns:
        columns = caption_hits(columns)
    hits, captions = columns[f"hits_{k}"], columns["captions"]
    return np.asarray(hits * len(hits) / captions.sum(), dtype=np.float64)


def caption_hits(columns: Columns) -> dict[str, "NDArray[np.int64]"]:
    """For each image its captions, and how many of them find it among the first 1, 5 and 10: `[N]` each."""
    import numpy as np

    ranks = [np.asarray(row, dtype=np.float64) for row in columns["caption_ranks"]]
    found = {"captions": np.array([len(row) for row in ranks], dtype=np.int64)}
    return found | {f"hits_{k}": np.array([int((row < k).sum()) for row in ranks], dtype=np.int64) for k in (1, 5, 10)}


def _mean_by_image(ids: "NDArray[Any]", values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The mean over the seeds of a few-shot run, for each image."""
    import numpy as np

    _, place = np.unique(ids.astype(str), return_inverse=True)
    return np.asarray(np.bincount(place, weights=values) / np.bincount(place))


def caption_differences(first: Columns, second: Columns, names: Sequence[str]) -> dict[str, Difference]:
    """The differences of corpus scores on the same images in the same order: by bootstrap, and the p of swaps."""
    from vlmbench.metrics.captions.statistics import paired_captions

    found = paired_captions(first, second, names, seed=derive_seed(SEED, "paired", "captions"), resamples=RESAMPLES)
    return {
        name: Difference(item.difference, item.low, item.high, item.p_bootstrap, item.p_randomization)
        for name, item in found.items()
    }
