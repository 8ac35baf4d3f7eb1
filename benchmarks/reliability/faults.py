"""A disk that fails at each write call in turn: no half result, one clear error, and the run after it is whole.

    python -m benchmarks.reliability.faults --every 5

For each command every call that changes a file (open, write, fsync, rename, mkdir, unlink …) is made to fail: with no
space, quota, a read-only disk (from that call on), with permission, an I/O error (that call alone). The run has to end
with 3 or 4 and one error, or with 0 and everything written; whatever is there has to be what an undisturbed run writes.
"""

import argparse
import errno
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.workshop import FROM_HERE, ONCE, TORCH, Done, Workshop

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
                yield name, wrong and f"{name}: {errno.errorcode[error]} at call {nth}, {call} {path}: {wrong}"


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=5, help="one in so many faults, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", action="append", choices=SCENES, help="only this command; repeatable")
    given = parser.parse_args()
    tried, fell = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        for name, wrong in campaign(tuple(given.command or SCENES), Path(folder), given.every, given.seed):
            tried[name] += 1
            if wrong:
                fell[name] += 1
                print(wrong, file=sys.stderr, flush=True)
    print(table(tried, fell))
    sys.exit(1 if fell else 0)


def table(tried: Counter[str], fell: Counter[str]) -> str:
    """Tried and fell short, a line a command."""
    lines = [f"{'command':16} {'tried':>6} {'fell':>6}"]
    lines += [f"{name:16} {tried[name]:6} {fell[name]:6}" for name in tried]
    return "\n".join([*lines, f"{'all':16} {tried.total():6} {fell.total():6}"])


if __name__ == "__main__":
    main()
