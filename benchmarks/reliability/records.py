"""Records, per-sample files and baselines that were tampered with: how many of how many kinds are passed in silence.

    python benchmarks/reliability/records.py --results results

Takes one run of each kind from a results directory (``make demo`` writes one), changes one thing at a time and asks
`verify`, `check` and `compare`. Prints a table: kind, tried, fell short.
"""

import argparse
import json
import re
import resource
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.reliability.tampering import BASELINE, RESULTS, cases, outcome

MEMORY = 4 * 1024**3


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--flips", type=int, default=100, help="flipped bits of each file")
    parser.add_argument("--cuts", type=int, default=25, help="lengths to which each file is cut")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        tried, fell, told = measure(given.results, Path(folder), given.flips, given.cuts)
    print(f"{'kind':44} {'tried':>6} {'fell':>6}")
    for kind in tried:
        print(f"{kind:44} {tried[kind]:6} {fell[kind]:6}")
    print(f"{'all':44} {tried.total():6} {fell.total():6}")
    for line in told:
        print(line, file=sys.stderr)
    sys.exit(1 if told else 0)


def measure(results: Path, folder: Path, flips: int, cuts: int) -> tuple[Counter[str], Counter[str], list[str]]:
    """Cases by kind, those that fell short by kind, and a line for each of these."""
    from typer.testing import CliRunner

    from vlmbench.cli.app import app

    sound = folder / "sound"
    for run in _one_of_each(results):
        shutil.copytree(run, sound / RESULTS / "runs" / run.name)
        seal(sound / RESULTS / "runs" / run.name / "result.json")
    done = CliRunner().invoke(app, ["check", "--update", "--baseline", str(sound / BASELINE), str(sound / RESULTS)])
    if done.exit_code:
        raise SystemExit(done.output)
    tried, fell, told = Counter[str](), Counter[str](), []
    for case in cases(sound, flips, cuts):
        tried[case.kind] += 1
        if why := outcome(case, sound, folder / "work"):
            fell[case.kind] += 1
            told.append(f"{case.kind}: {case.name}: {why}")
    return tried, fell, told


def seal(path: Path) -> None:
    """Gives a record that an earlier version wrote the checksum of this one."""
    from vlmbench.records import store

    data = json.loads(path.read_text("utf-8"))
    if hasattr(store, "record_sha256"):
        path.write_text(json.dumps({**data, "record_sha256": store.record_sha256(data)}), "utf-8")


def _one_of_each(results: Path) -> list[Path]:
    """The first run of each task, few-shot told from the rest."""
    found: dict[str, Path] = {}
    for path in sorted(results.glob("runs/*/result.json")):
        task = re.match("zeroshot|linear-probe|caption-eval|retrieval", path.parent.name)
        shots = "shots" if re.search("-[0-9]+shot-", path.parent.name) else ""
        if task:
            found.setdefault(task[0] + shots, path.parent)
    if not found:
        raise SystemExit(f"no runs in {results}: make demo, or name a results directory with --results")
    return list(found.values())


if __name__ == "__main__":
    main()
