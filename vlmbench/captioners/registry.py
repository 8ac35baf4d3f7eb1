"""The captioners with a short name."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CaptionerEntry:
    """One named captioner; a bundled one has no id on the hub."""

    hub_id: str
    revision: str | None
    about: str


def _load() -> dict[str, CaptionerEntry]:
    with open(Path(__file__).with_name("captioners.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["alias"]: CaptionerEntry(row["hub_id"], row["revision"] or None, row["about"]) for row in rows}


CAPTIONERS = _load()
