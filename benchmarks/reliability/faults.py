"""A disk that fails at each write call in turn: no half result, one clear error, and the run after it is whole.

    python -m benchmarks.reliability.faults --every 5

For each command every call that changes a file (open, write, fsync, rename, mkdir, unlink …) is made to fail: with no
space, quota, a read-only disk (from that call on), with permission, an I/O error (that call alone). The run has to end
with 3 or 4 and one error, or with 0 and everything written; whatever is there has to be what an undisturbed run writes.
"""

import errno
import random
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.workshop import FROM_HERE, ONCE, TORCH, Done, Workshop, parser, report

ERRORS = (
    (errno.ENOSPC, FROM_HERE),
    (errno.EIO, ONCE),
    (errno.EDQUOT, FROM_HERE),
    (errno.EACCES, ONCE),
    (errno.EROFS, FROM_HERE),
)


def places(calls: list[tuple[str, str, str]]) -> list[int]:
    """Numbers of the calls to try: of many like calls in a row the first, one in the middle and the last."""
    found, at = [], 1
    for _, same in groupby(calls):
        count = len(list(same))
        found += sorted({at, at + count // 2, at + count - 1})
        at += count
    return found


def injected(trial: Trial, nth: int, error: int, action: int) -> str:
    """What is wrong after the `nth` call of a command failed; else nothing."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    workshop.faults.set(action, nth, error)
    done = workshop.run(trial.line)
    fired = workshop.faults.fired
    workshop.faults.off()
    if not fired:
        return "" if done.code == 0 else f"ended with {done.code} though nothing failed: {done.said[-300:]}"
    return dishonest(done, whole=not trial.lacking()) or trial.half() or trial.again()


def dishonest(done: Done, *, whole: bool) -> str:
    """Why an end is not what the contract has for a disk that fails; else nothing."""
    if "Traceback" in done.said:
        return f"a traceback, and {done.code}"
    if done.code == 0:
        return "" if whole else "ended with 0 and something is not written"
    if done.code not in (3, 4):
        return f"ended with {done.code}: {done.said[-300:]}"
    errors = [line for line in done.said.splitlines() if line.startswith("error:")]
    return "" if len(errors) == 1 else f"{len(errors)} errors: {done.said[-300:]}"


def campaign(names: tuple[str, ...], folder: Path, every: int, seed: int) -> Iterator[tuple[str, str]]:
    """A command's name and what is wrong, for each fault tried."""
    starts = prepare(folder, names)
    chance = random.Random(seed)
    with Workshop(folder / "faulty", TORCH, faults=True) as workshop:
        for name in names:
            trial = Trial(workshop, SCENES[name], starts[name])
            tried = [(nth, *ERRORS[(nth + turn) % len(ERRORS)]) for nth in places(trial.calls) for turn in range(5)]
            for nth, error, action in sorted(chance.sample(tried, max(1, len(tried) // every))):
                call, path, _ = trial.calls[nth - 1]
                wrong = injected(trial, nth, error, action)
                yield name, wrong and f"{errno.errorcode[error]} at call {nth}, {call} {path}: {wrong}"


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    options = parser(__doc__)
    options.add_argument("--every", type=int, default=5, help="one in so many faults, chosen at random")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        names = tuple(given.command or sorted({*SCENES} - {"java"}))  # java writes what caption-eval writes
        report(campaign(names, Path(folder), given.every, given.seed), given.minutes)


if __name__ == "__main__":
    main()
