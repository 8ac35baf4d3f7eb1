"""Four processes at once on one cache and one results directory, as often as asked: same bytes, no error.

python -m benchmarks.reliability.together --times 10
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.reliability.faults import table
from benchmarks.reliability.scenes import KILLED, SCENES, Trial, prepare
from benchmarks.reliability.workshop import LIBRARIES, Workshop, litter, made, outcome

PROCESSES = 4


def at_once(trial: Trial, processes: int = PROCESSES) -> str:
    """What is wrong after so many processes ran one command at once from an empty cache; else nothing."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    running = [workshop.start(trial.line, workshop.folder / f"said{number}") for number in range(processes)]
    codes = [process.wait() for process in running]
    said = [(workshop.folder / f"said{number}").read_text("utf-8", "replace") for number in range(processes)]
    if any(codes):
        return f"ended with {codes}: {next(text for code, text in zip(codes, said, strict=True) if code)[-300:]}"
    if told := [line for text in said for line in text.splitlines() if "damaged" in line]:
        return f"said: {told[0]}"
    if outcome(workshop.work) != trial.written:
        return f"something else is written: {', '.join(trial.lacking())}"
    if left := litter(workshop.work):
        return f"left: {', '.join(left)}"
    encoded = sum(made(text)[0] for text in said)
    return "" if encoded == trial.made[0] else f"{encoded} images encoded, {trial.made[0]} were lacking"


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--command", action="append", choices=SCENES, help="only this command; repeatable")
    given = parser.parse_args()
    names = tuple(given.command or KILLED)
    tried, fell = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="together-") as folder:
        starts = prepare(Path(folder), names)
        with Workshop(Path(folder) / "shared", LIBRARIES) as workshop:
            for name in names:
                trial = Trial(workshop, SCENES[name], starts[name])
                for _ in range(given.times):
                    tried[name] += 1
                    if wrong := at_once(trial, given.processes):
                        fell[name] += 1
                        print(f"{name}: {wrong}", file=sys.stderr, flush=True)
    print(table(tried, fell))
    sys.exit(1 if fell else 0)


if __name__ == "__main__":
    main()
