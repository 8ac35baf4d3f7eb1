"""Results other than runs: predictions, findings, listings, embeddings; each as a frame."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from vlmbench.api.results import Results

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from vlmbench.tasks.predict import Prediction

T = TypeVar("T")


class Rows(Sequence[T], Generic[T]):
    """Rows of one kind, in order; a notebook shows them as a frame."""

    def __init__(self, rows: Iterable[T]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        columns = f": {', '.join(self.to_dicts()[0])}" if self._rows else ""
        return f"<{len(self)} row{'s' * (len(self) != 1)}{columns}>"

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table

        from vlmbench.foundations.text import terminal

        frame = self.to_frame()
        table = Table(*map(terminal, map(str, frame.columns)), box=box.SIMPLE_HEAD)
        for row in frame.itertuples(index=False):
            table.add_row(*(terminal(str(cell)) for cell in row))
        return table

    def _repr_html_(self) -> str:
        return str(self.to_frame()._repr_html_())  # type: ignore[operator]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Each row by column."""
        return [asdict(row) if is_dataclass(row) else dict(row) for row in self._rows]  # type: ignore[arg-type,call-overload]

    def to_frame(self) -> "pd.DataFrame":
        """A row each."""
        import pandas as pd

        return pd.DataFrame(self.to_dicts())


class Predictions(Rows["Prediction"]):
    """Predictions of a probe, one row per image.

    Attributes:
        classnames: `[C]`, as the training set spells them, in the order of the probabilities.
        multilabel: whether an image can have several labels.
        warnings: the warnings, if no reporter was given.
    """

    def __init__(
        self,
        rows: "Iterable[Prediction]",
        classnames: Sequence[str],
        warnings: Iterable[str] = (),
        *,
        multilabel: bool = False,
    ) -> None:
        super().__init__(rows)
        self.classnames = tuple(classnames)
        self.multilabel = multilabel
        self.warnings = tuple(warnings)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Image, label (a list if an image can have several), and the probability of each class."""
        return [
            {
                "image": row.image,
                "label": list(row.labels) if self.multilabel else row.labels[0],
                "probabilities": dict(zip(self.classnames, row.probabilities, strict=True)),
            }
            for row in self
        ]

    def to_frame(self) -> "pd.DataFrame":
        """Image, label (several between ``;``) and a column per class with its probability."""
        import pandas as pd

        rows = [[row.image, ";".join(row.labels), *row.probabilities] for row in self]
        return pd.DataFrame(rows, columns=["image", "label", *self.classnames])


@dataclass(frozen=True)
class Embeddings:
    """Image features in a file.

    Attributes:
        path: safetensors with ``x`` `[N, D]` float32, un-normalised, and ``y`` (labels).
        facts: JSON next to it, with ids, class names and settings.
        n: N.
        width: D.
        layer: ``proj`` or ``pre_proj``.
        encoded: how many were encoded now; the rest came from the store.
        work: device, images per second and seconds of each stage, as in ``run.json``.
    """

    path: Path
    facts: Path
    n: int
    width: int
    layer: str
    encoded: int
    work: dict[str, Any]

    def load(self) -> "tuple[NDArray[np.float32], NDArray[Any]]":
        """Features `[N, D]` and labels."""
        from safetensors.numpy import load_file

        arrays = load_file(self.path)
        return arrays["x"], arrays["y"]

    def to_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {**asdict(self), "path": str(self.path), "facts": str(self.facts)}


@dataclass(frozen=True)
class Mismatch:
    """A mismatch between a run and its record."""

    path: Path
    mismatch: str


@dataclass(frozen=True)
class Verification:
    """The result of `vlmbench.verify`.

    Attributes:
        results: the runs that were verified.
        mismatches: differences from the records; empty if every figure is reproduced.
        without_checksum: runs whose record has no checksum: written by an earlier version, or removed.
    """

    results: Results
    mismatches: tuple[Mismatch, ...] = ()
    without_checksum: tuple[Path, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document of ``--json``."""
        return {
            "verified": len(self.results),
            "mismatches": [{"path": str(one.path), "mismatch": one.mismatch} for one in self.mismatches],
            "without_checksum": list(map(str, self.without_checksum)),
        }

    def to_frame(self) -> "pd.DataFrame":
        """A row per mismatch."""
        return Rows(self.mismatches).to_frame()


Listing = Rows[Mapping[str, Any]]
