"""The models that have a short name."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelEntry:
    """One named model.

    Attributes:
        alias: its short name.
        hub_id: where it is; empty for one that ships with the package.
        revision: pinned commit, where the facts name one.
        kind: ``dual-encoder`` or ``backbone``.
        parameters: how many, if known.
        width: size of its embedding, if known.
        about: what it is.
        source: where these facts are from.
    """

    alias: str
    hub_id: str
    revision: str | None
    kind: str
    parameters: int | None
    width: int | None
    about: str
    source: str

    @property
    def bundled(self) -> bool:
        """Whether it ships with the package."""
        return not self.hub_id


def _load() -> dict[str, ModelEntry]:
    with open(Path(__file__).with_name("models.csv"), encoding="utf-8", newline="") as handle:
        entries = [
            ModelEntry(
                alias=row["alias"],
                hub_id=row["hub_id"],
                revision=row["revision"] or None,
                kind=row["kind"],
                parameters=int(row["parameters"]) if row["parameters"] else None,
                width=int(row["width"]) if row["width"] else None,
                about=row["about"],
                source=row["source"],
            )
            for row in csv.DictReader(handle)
        ]
    return {entry.alias: entry for entry in entries}


MODELS = _load()
