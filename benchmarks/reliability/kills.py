"""Killed anywhere: ``kill -9`` at random moments of every kind of command, then the same command again.

    python -m benchmarks.reliability.kills --kills 200 [--seed N] [--at-calls]

The second run has to write, byte for byte, what an undisturbed one writes, without encoding or captioning again what
was stored; no process, no temporary file and no lock that stops anybody may be left. One kill in `FRESH` is of a
process that starts from nothing, its imports included; the others, which fall into the work itself, are of processes
forked from one that has the large libraries. With ``--at-calls`` the moment is a write call, half done, instead of a
time. Signals: one kill in `SIGNALS` is a SIGINT or SIGTERM, which has to end with 130 or 143 and one line.
"""

import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.faults import places
from benchmarks.reliability.scenes import KILLED, SCENES, Trial, prepare
from benchmarks.reliability.workshop import KILL, LIBRARIES, TORCH, Done, Workshop, parser, report

FRESH, SIGNALS = 8, 10
EARLY = 0.1
SAID = "interrupted; the same command resumes from what was stored"


def killed(trial: Trial, at: float, number: int = signal.SIGKILL, *, fresh: bool = False) -> str:
    """What is wrong after a command got a signal at a moment and was run again; else nothing."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    done = (workshop.fresh if fresh else workshop.run)(trial.line, kill=at, number=number)
    return _ended(done, number) or trial.half() or trial.again(fresh=fresh)


def killed_at(trial: Trial, nth: int) -> str:
    """The same where the moment is the `nth` call that changes a file, a write half done."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    workshop.faults.set(KILL, nth)
    done = workshop.run(trial.line)
    workshop.faults.off()
    return _ended(done, signal.SIGKILL) or trial.half() or trial.again()


def _ended(done: Done, number: int) -> str:
    if done.orphans:
        return f"{done.orphans} processes were left"
    if done.code == 0 or (number == signal.SIGKILL and done.code == -signal.SIGKILL):
        return ""
    if done.code == -number and "vlmbench" not in done.said:
        return ""  # the interpreter had not come to the first line of vlmbench, and answers as it always does
    if number == signal.SIGKILL or done.code != 128 + number:
        return f"ended with {done.code}: {done.said[-300:]}"
    return "" if done.said.strip().endswith(SAID) else f"said: {done.said[-300:]}"


def campaign(
    names: tuple[str, ...], folder: Path, kills: int, seed: int, *, at_calls: bool
) -> Iterator[tuple[str, str]]:
    """A command's name and what is wrong, for each kill."""
    starts = prepare(folder / "prepared", names)
    libraries = TORCH if any(SCENES[name].torch for name in names) else LIBRARIES
    with Workshop(folder / "killed", libraries, faults=at_calls) as workshop:
        for place, name in enumerate(names):
            chance = random.Random(f"{seed} {name}")
            trial = Trial(workshop, SCENES[name], starts[name])
            count = kills // len(names) + (place < kills % len(names))
            if at_calls:
                for nth in sorted(chance.sample(found := places(trial.calls), min(count, len(found)))):
                    call, path, _ = trial.calls[nth - 1]
                    yield name, _told(f"killed at call {nth}, {call} {path}", killed_at(trial, nth))
                continue
            longest = trial.seconds
            if any(number % FRESH == 0 for number in range(count)):
                workshop.begin(trial.start)
                longest = workshop.fresh(trial.line).seconds
            for number in range(count):
                fresh = number % FRESH == 0
                at = chance.uniform(0, EARLY if number % 16 == 0 else longest if fresh else trial.seconds)
                sign = chance.choice((signal.SIGINT, signal.SIGTERM)) if number % SIGNALS == 9 else signal.SIGKILL
                place_said = f"{signal.Signals(sign).name} after {at:.3f} s{', fresh' * fresh}"
                yield name, _told(place_said, killed(trial, at, sign, fresh=fresh))


def _told(where: str, wrong: str) -> str:
    return wrong and f"{where}: {wrong}"


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--at-calls", action="store_true", help="killed in the midst of write calls")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        names = tuple(given.command or KILLED)
        report(campaign(names, Path(folder), given.kills, given.seed, at_calls=given.at_calls), given.minutes)


if __name__ == "__main__":
    main()
