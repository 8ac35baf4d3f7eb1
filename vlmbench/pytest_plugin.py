"""The regression gate as a pytest fixture.

    def test_zero_shot(vlmbench_check):
        vlmbench_check("zeroshot", "-m", "./my-clip", "-d", "folder:val", tolerance={"accuracy": 0.01})

    def test_results(vlmbench_check):
        vlmbench_check.results("results")

The baseline is ``--vlmbench-baseline`` (default: ``baseline.json`` in pytest's root directory);
``pytest --vlmbench-update`` writes into it what the tests produce, instead of comparing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vlmbench.report.gate.baseline import GateEntry


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    group = parser.getgroup("vlmbench", "regression gate of vlmbench")
    group.addoption("--vlmbench-baseline", metavar="FILE", help="baseline file or results directory [baseline.json]")
    group.addoption("--vlmbench-update", action="store_true", help="write the baseline instead of comparing with it")


@pytest.fixture
def vlmbench_check(request: pytest.FixtureRequest, tmp_path: Path) -> "Check":
    """Runs a vlmbench command, or takes results, and fails the test where they are worse than the baseline."""
    named = request.config.getoption("--vlmbench-baseline")
    baseline = Path(named) if named else request.config.rootpath / "baseline.json"
    return Check(baseline, tmp_path / "results", update=bool(request.config.getoption("--vlmbench-update")))


class Check:
    """The gate: call it with a command's arguments, or `results` with a directory."""

    def __init__(self, baseline: Path, out: Path, *, update: bool) -> None:
        self.baseline = baseline
        self.out = out
        self.update = update

    def __call__(self, *arguments: str, tolerance: Mapping[str, float] | None = None) -> None:
        """Runs ``vlmbench ARGUMENTS`` with its own results directory, then compares what it wrote.

        Args:
            arguments: a command and its options, without ``--out``.
            tolerance: the drop allowed, absolute, by metric; ``""`` for every other metric.
        """
        import subprocess
        import sys

        command = [sys.executable, "-m", "vlmbench", *arguments, "--out", str(self.out), "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"vlmbench {' '.join(arguments)} ended with {done.returncode}\n{done.stderr}", pytrace=False)
        self.results(self.out, tolerance=tolerance)

    def results(self, *paths: str | Path, tolerance: Mapping[str, float] | None = None) -> None:
        """Compares the runs at or below `paths` with those of the same name in the baseline.

        Args:
            paths: run or results directories.
            tolerance: as above.
        """
        from vlmbench.foundations.errors import VlmbenchError
        from vlmbench.records.store import find_runs
        from vlmbench.report.gate.baseline import entries_from_runs, read_baseline
        from vlmbench.report.gate.ci import sentence
        from vlmbench.report.gate.run import run_gate

        try:
            current = entries_from_runs(find_runs(map(Path, paths)))
            if self.update:
                self._write(current)
                return
            known = read_baseline(self.baseline)
            unknown = sorted({entry.key for entry in current} - {entry.key for entry in known})
            if unknown:
                pytest.fail(
                    f"not in {self.baseline}: {', '.join(unknown)}; write it with pytest --vlmbench-update",
                    pytrace=False,
                )
            wanted = {entry.key for entry in current}
            outcome = run_gate([entry for entry in known if entry.key in wanted], current, tolerance or {})
        except VlmbenchError as error:
            pytest.fail(str(error), pytrace=False)
        if outcome.regressions:
            pytest.fail("\n".join(map(sentence, outcome.regressions)), pytrace=False)

    def _write(self, current: Sequence["GateEntry"]) -> None:
        """Adds the new entries to the baseline file and keeps those of other runs."""
        from vlmbench.foundations.atomic import write_json
        from vlmbench.report.gate.baseline import read_baseline, to_json

        kept = {entry.key: entry for entry in (read_baseline(self.baseline) if self.baseline.exists() else [])}
        kept |= {entry.key: entry for entry in current}
        write_json(self.baseline, to_json(list(kept.values())))
