"""Four processes at once on one cache and one results directory, as often as asked: same bytes, no error.

python -m benchmarks.reliability.together --times 10
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.scenes import KILLED, SCENES, Trial, prepare
from benchmarks.reliability.workshop import LIBRARIES, Workshop, made, outcome, parser, report

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
    if left := workshop.litter():
        return f"left: {', '.join(left)}"
    encoded = sum(made(text)[0] for text in said)
    return "" if encoded == trial.made[0] else f"{encoded} images encoded, {trial.made[0]} were lacking"


def campaign(names: tuple[str, ...], folder: Path, times: int, processes: int) -> Iterator[tuple[str, str]]:
    """A command's name and what is wrong, for each time."""
    starts = prepare(folder, names)
    with Workshop(folder / "shared", LIBRARIES) as workshop:
        for name in names:
            trial = Trial(workshop, SCENES[name], starts[name])
            for _ in range(times):
                yield name, at_once(trial, processes)


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    options = parser(__doc__)
    options.add_argument("--times", type=int, default=10)
    options.add_argument("--processes", type=int, default=PROCESSES)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="together-") as folder:
        names = tuple(given.command or KILLED)
        report(campaign(names, Path(folder), given.times, given.processes), given.minutes)


if __name__ == "__main__":
    main()
