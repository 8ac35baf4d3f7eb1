"""A disk that fails at each write call in turn: no half result, one clear error, and the run after it is whole.

    python -m benchmarks.reliability.faults --every 5

For each command every call that changes a file (open, write, fsync, rename, mkdir, unlink …) is made to fail: with no
space, quota, a read-only disk (from that call on), with permission, an I/O error (that call alone). The run has to end
with 3 or 4 and one error, or with 0 and everything written; whatever is there has to be what an undisturbed run writes.
Before that: every file is flushed and renamed, and its directory flushed; a slow disk changes nothing; a stdout that is
closed, or full where there is something to print, is an error, a closed stderr none.
"""

import errno
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.workshop import FROM_HERE, ONCE, SLOW, TORCH, VLMBENCH, Done, Workshop, parser, report

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


def unordered(trial: Trial) -> str:
    """Which file or directory was not put on the disk as it has to be; else nothing.

    A file is written beside its place, flushed, renamed, its directory flushed, as is the one above a new directory.
    """
    calls, renamed, there = trial.calls, set[str](), set[str]()
    for at, (call, path, target) in enumerate(calls):
        if call == "rename":
            before = [name for name, own, _ in calls[:at] if own == path or own.startswith(f"{path}/")]
            if before[-1] != "fsync" or not {"open", "mkdir"} & {before[0]}:
                return f"{target}: {before}"
            after = calls[at + 1 :]
            if after[0][:2] != ("fsync", _parent(trial, target)) or any(own[:2] == ("write", target) for own in after):
                return f"{target}, then: {after[:2]}"
            renamed.add(target)
        elif call == "mkdir" and path not in there:  # later ones find it there
            there.add(path)
            if calls[at + 1][:2] != ("fsync", _parent(trial, path)) and ".tmp-" not in path:
                return f"the directory {path}, then: {calls[at + 1]}"
    lacking = [name for name in trial.new if not any(name == own or name.startswith(f"{own}/") for own in renamed)]
    return f"not renamed into their places: {', '.join(lacking)}" if lacking else ""


def _parent(trial: Trial, path: str) -> str:
    return str(Path(path).parent) if "/" in path else str(trial.workshop.work)


def slowed(trial: Trial) -> str:
    """What is wrong where every call takes 10 ms longer; else nothing."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    workshop.faults.set(SLOW, delay=0.01)
    done = workshop.run(trial.line)
    workshop.faults.off()
    return dishonest(done, whole=not trial.lacking()) or ("" if done.code == 0 else f"ended with {done.code}")


STREAMS = (">&-", "2>&-", ">/dev/full")


def without(trial: Trial, redirection: str) -> str:
    """What is wrong where a stream is closed, or full; else nothing."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    done = workshop.fresh(trial.line, redirection=redirection)
    if wrong := dishonest(done, whole=not trial.lacking()) or trial.half():
        return wrong
    lost = redirection == ">&-" or (redirection == ">/dev/full" and bool(trial.printed))
    return "" if (done.code == 3) == lost else f"ended with {done.code}: {done.said[-300:]}"


def campaign(names: tuple[str, ...], folder: Path, every: int, seed: int) -> Iterator[tuple[str, str]]:
    """A command's name and what is wrong, for each fault tried."""
    starts = prepare(folder, names)
    with Workshop(folder / "faulty", f"{TORCH},{VLMBENCH}", faults=True) as workshop:
        for name in names:
            trial = Trial(workshop, SCENES[name], starts[name])
            yield f"{name}: order", unordered(trial)
            yield f"{name}: slow", slowed(trial)
            for redirection in STREAMS:
                yield f"{name}: {redirection}", without(trial, redirection)
            tried = [(nth, *ERRORS[(nth + turn) % len(ERRORS)]) for nth in places(trial.calls) for turn in range(5)]
            for nth, error, action in tried[seed % every :: every]:
                call, path, _ = trial.calls[nth - 1]
                wrong = injected(trial, nth, error, action)
                yield name, wrong and f"{errno.errorcode[error]} at call {nth}, {call} {path}: {wrong}"


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    options = parser(__doc__)
    options.add_argument("--every", type=int, default=5, help="one in so many faults, from the --seed-th on")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        names = tuple(given.command or sorted({*SCENES} - {"java"}))  # java writes what caption-eval writes
        report(campaign(names, Path(folder), given.every, given.seed), given.minutes)


if __name__ == "__main__":
    main()
