"""What a benchmark hands to the runner (`python -m benchmarks`): a row per figure, ours beside theirs."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        ours: seconds, or a rate.
        theirs: the same of what it is compared with.
        unit: ``s`` (fewer is better), or a rate such as ``images/s`` (more is better).
        against: what it is compared with.
        command: what measures this row alone.
        target: the least ratio that was asked for; none: none was.
        note: what else is to know: differences, sizes.
        paired: the ratio where it was taken of pairs of runs; none: of `ours` and `theirs`.
    """

    name: str
    ours: float
    theirs: float
    unit: str
    against: str
    command: str
    target: float | None = None
    note: str = ""
    paired: float | None = None

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        if self.paired is not None:
            return self.paired
        return self.theirs / self.ours if self.unit == "s" else self.ours / self.theirs

    def to_json(self) -> dict[str, Any]:
        """For the figures' file, rounded to four digits."""
        facts = {key: value for key, value in asdict(self).items() if key != "paired"} | {"ratio": self.ratio}
        return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in facts.items()}
