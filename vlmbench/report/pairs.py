"""Paired tests between runs that scored the same images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.spec import has_test
from vlmbench.records.store import StoredRun, read_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vlmbench.metrics.differences import Difference

Columns = Mapping[str, Any]


class Pairs:
    """Paired tests that read each per-sample file once."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, tuple[str, ...] | None], dict[str, Any]] = {}

    @staticmethod
    def has(*runs: StoredRun) -> bool:
        """Whether the per-sample files exist; records can be shared without them."""
        return all(run.samples_path.is_file() for run in runs)

    def columns(self, run: StoredRun, images: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The per-sample columns of a run, `[N]` each; if `images` are given, of these only, in their order."""
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
        """The columns of two runs, the second in the order of the first's ids; or both of `images` only.

        Raises:
            InputError: the runs did not score the same images, once each.
        """
        first, second = self.columns(one, images), self.columns(two, images)
        order = same_order(first["id"], second["id"])
        if order is None:
            raise InputError(
                "the runs did not score the same images",
                where=f"{one.samples_path} and {two.samples_path}",
                fix="run both on the same split",
            )
        return first, {name: column[order] for name, column in second.items()}

    def differences(
        self, one: StoredRun, two: StoredRun, names: Sequence[str], images: tuple[str, ...] | None = None
    ) -> "dict[str, Difference]":
        """The differences of metrics, by the test that each declares, over all images or `images`.

        A metric without a test, or one that no installed package declares, is left out.
        """
        from vlmbench.metrics.differences import differences

        tested = [name for name in names if has_test(name)]
        return differences(*self.aligned(one, two, images), tested) if tested else {}


def untested(runs: Sequence[StoredRun]) -> list[str]:
    """Notes on runs without a per-sample file, and so without paired tests, and on edited records."""
    missing = [run.path.name for run in runs if not Pairs.has(run)]
    notes = [f"No paired tests, since the per-sample file is missing: {', '.join(missing)}."] if missing else []
    changed = [run.path.name for run in runs if run.changed]
    more = f"Changed after it was written, so its figures cannot be trusted: {', '.join(changed)}."
    return [*notes, more] if changed else notes


def same_order(first: "NDArray[Any]", second: "NDArray[Any]") -> "NDArray[np.int64] | None":
    """Indices `[N]` that bring `second` into the order of `first`; None unless they are the same ids, once each."""
    import numpy as np

    if len(first) != len(second):
        return None
    if bool((first == second).all()):
        return np.arange(len(first))
    place = {name: index for index, name in enumerate(second.tolist())}
    if len(place) != len(second) or set(place) != set(first.tolist()):
        return None
    return np.array([place[name] for name in first.tolist()])
