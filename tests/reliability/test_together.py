"""Four processes at once on one cache and one results directory; ``benchmarks/reliability/together.py``, in short."""

from pathlib import Path

import pytest

from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.together import at_once
from benchmarks.reliability.workshop import Workshop


@pytest.mark.parametrize("name", [pytest.param("zeroshot", marks=pytest.mark.long), "caption-eval"])
def test_four_at_once_write_what_one_writes(name: str, tmp_path: Path) -> None:
    starts = prepare(tmp_path, (name,))
    with Workshop(tmp_path / "shared", "json") as workshop:
        assert not at_once(Trial(workshop, SCENES[name], starts[name]))
