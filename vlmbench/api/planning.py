"""`power`: how many test images it takes to tell two systems apart."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlmbench.api.comparing import load_runs
from vlmbench.api.options import AnyPath
from vlmbench.api.results import Result, Results
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    from vlmbench.metrics.power import ImagesNeeded


@dataclass(frozen=True)
class Seen:
    """What two runs on the same images show.

    Attributes:
        systems: their names.
        images: the test images.
        first_alone: images on which the first alone is right.
        second_alone: images on which the second alone is right.
        smallest: the smallest difference that so many images show with this power; None: none.
    """

    systems: tuple[str, str]
    images: int
    first_alone: int
    second_alone: int
    smallest: float | None


@dataclass(frozen=True)
class PowerPlan:
    """The result of `vlmbench.power`.

    Attributes:
        needed: test images for the difference; None where the two runs do not differ and none was named.
        seen: what the runs show, if any were given.
        power: the chance that the test finds the difference.
    """

    needed: "ImagesNeeded | None"
    seen: Seen | None
    power: float

    def to_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """The same in words."""
        found, chance = [], f"{100 * self.power:.3g} % power"
        if self.seen is not None:
            seen = self.seen
            both = seen.first_alone + seen.second_alone
            found.append(
                f"{seen.systems[0]} and {seen.systems[1]} disagree on {both:,} of {seen.images:,} images "
                f"({100 * both / seen.images:.1f} %): {seen.first_alone:,} that only the first has right, "
                f"{seen.second_alone:,} that only the second has."
            )
            if seen.smallest is not None:
                found.append(f"These images show differences from {100 * seen.smallest:.2g} points on with {chance}.")
        if self.needed is not None:
            need = self.needed
            between = f" (95 % interval of the disagreement: {need.low:,} to {need.high:,})" if need.low else ""
            found.append(
                f"A difference of {100 * need.delta:.3g} points takes {need.images:,} test images{between} "
                f"with {chance}, where two systems disagree on {100 * need.disagreement:.3g} % of them "
                f"(McNemar's exact test, two-sided at {100 * need.level:.3g} %)."
            )
        return found

    def __repr__(self) -> str:
        return " ".join(self.sentences())


def power(
    runs: AnyPath | Results | Iterable[AnyPath | Result] = (),
    *,
    delta: float | None = None,
    disagreement: float | None = None,
    power: float = 0.8,
) -> PowerPlan:
    """How many test images it takes to tell two systems apart by McNemar's exact test on the same images.

    Args:
        runs: two runs on the same images, whose disagreement is taken; or none.
        delta: the difference in accuracy, 0 to 1; None: that of the runs.
        disagreement: without runs the share of images on which exactly one of the two systems is right.
        power: the chance that the test finds the difference.

    Raises:
        AbsentError: there is no run at a path.
        InputError: not two runs of classification on the same images.
        UsageError: a number is missing or out of range.

    Examples:
        >>> import vlmbench
        >>> vlmbench.power(delta=0.02, disagreement=0.1).needed.images
        2043
    """
    from vlmbench.metrics.power import images_needed, smallest_difference

    given = runs if isinstance(runs, Results) else _runs(runs)
    if not given:
        if delta is None or disagreement is None:
            what = "without two runs, a difference and a disagreement are needed"
            raise UsageError(what, where="vlmbench power", fix="--delta 0.02 --disagreement 0.1")
        return PowerPlan(images_needed(delta, disagreement, power=power), None, power)
    if disagreement is not None:
        raise UsageError("the disagreement is that of the runs", where="--disagreement", fix="leave it out")
    first, second, images, names = _disagreement(given)
    share = (first + second) / images
    gap = abs(first - second) / images if delta is None else delta
    needed = images_needed(gap, share, seen=images, power=power) if gap > 0 and share > 0 else None
    if needed is None and delta is not None:
        raise InputError(
            "the two runs are right on the same images", where="runs", fix="--disagreement 0.1 without runs"
        )
    smallest = smallest_difference(images, share, power=power) if share > 0 else None
    return PowerPlan(needed, Seen(names, images, first, second, smallest), power)


def _runs(given: AnyPath | Iterable[AnyPath | Result]) -> Results:
    from os import PathLike

    items = [given] if isinstance(given, str | PathLike) else list(given)
    stored = [run for item in items for run in ([item.run] if isinstance(item, Result) else load_runs(item).runs)]
    return Results(stored)


def _disagreement(given: Results) -> tuple[int, int, int, tuple[str, str]]:
    """Images on which each of two runs alone is right, all, and the systems' names."""
    from vlmbench.data.names import DatasetRef
    from vlmbench.report.grouping import named
    from vlmbench.report.pairs import Pairs

    if len(given) != 2:
        raise InputError(f"power takes two runs, not {len(given)}", where="runs", fix="two directories under OUT/runs")
    runs = given.runs
    places = [(DatasetRef.parse(run.record.dataset.id).clean.id, run.record.dataset.split) for run in runs]
    if places[0] != places[1]:
        shown = " and ".join(f"{visible(name)}/{split}" for name, split in places)
        raise InputError(f"the runs are of other images: {shown}", where=str(runs[1].path), fix="two runs on one split")
    columns = Pairs().aligned(runs[0], runs[1])
    if any("prediction" not in one or "seed" in one for one in columns):
        what = "power compares the answers of two classifiers, one per image"
        raise InputError(what, where=str(runs[0].path), fix="runs of zeroshot, or of linear-probe on all labels")
    first, second = (one["prediction"] == one["label"] for one in columns)
    one, two = (named([run])[0][0] if len({r.record.system for r in runs}) > 1 else run.path.name for run in runs)
    return int((first & ~second).sum()), int((second & ~first).sum()), len(first), (one, two)
