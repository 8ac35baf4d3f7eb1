"""Damages small valid files of every reader, reads them in this process, and counts what falls out of the contract.

The contract: a file is read, or a `VlmbenchError` that ends with 2, 3 or 4 says what is wrong with it; within 10 s and
2 GB. ``python benchmarks/reliability/fuzz.py --files 10000 --seed 1 [--only READER] [--keep DIRECTORY]``; the same seed
damages the same files in the same way. ``--keep`` writes each file that fell, for the corpus that tests replay.
"""

import argparse
import logging
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutated
from readers import Reader, readers

SLOWEST = 10
MEMORY = 1024**3
"""Bytes that reading a file may take; with the libraries a command stays below 2 GB."""
LIMIT = 6 * MEMORY
"""Bytes that this process may have: a file that asks for more is an error and does not take the machine's memory."""
ENDS = (2, 3, 4)


class TooSlow(BaseException):
    """A reader that took longer than `SLOWEST` seconds."""


@dataclass(frozen=True)
class Fall:
    """A file on which a reader left the contract."""

    reader: str
    name: str
    data: bytes
    why: str
    traceback: str


@contextmanager
def timed(seconds: int = SLOWEST) -> Iterator[None]:
    """Raises `TooSlow` in what runs longer."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(name: str, reader: Reader, file: str, data: bytes) -> Fall | None:
    """Reads a file; none where the contract holds."""
    from vlmbench.foundations.errors import VlmbenchError

    why, trace = "", ""
    before = forget_peak()
    try:
        with timed():
            read(reader, file, data)
    except VlmbenchError as error:
        if error.exit_code not in ENDS:
            why, trace = f"exit code {error.exit_code}", traceback.format_exc()
    except (Exception, TooSlow) as error:
        why, trace = f"{type(error).__name__}: {str(error)[:100]}", traceback.format_exc()
    if (taken := peak() - before) > MEMORY:
        why = f"{taken / 1e9:.1f} GB {why}"
    return Fall(name, file, data, why, trace) if why else None


def forget_peak() -> int:
    """From now on `peak` is of what comes, where the system can (Linux); gives what it is now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Bytes of memory that this process held at most."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read(reader: Reader, file: str, data: bytes) -> None:
    """Has a reader read a file of this name and content, in an empty directory."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "in", file)
        path.parent.mkdir()
        path.write_bytes(data)
        reader.read(path, Path(folder, "cache"))


def fuzz(files: int, seed: int, only: str | None = None) -> Iterator[tuple[str, Fall | None]]:
    """Damages and reads `files` files, evenly over the readers."""
    known = {name: own for name, own in readers().items() if only in (None, name)}
    for reader in known.values():
        for file, data in reader.seeds.items():  # what is not damaged is read; libraries are imported here, untimed
            read(reader, file, data)
    for number in range(files):
        name = list(known)[number % len(known)]
        chance = random.Random(f"{seed} {name} {number}")
        file = chance.choice(sorted(known[name].seeds))
        yield name, tried(name, known[name], file, mutated(chance, known[name].seeds[file]))


def folder_of(reader: str) -> str:
    """The directory of the corpus that holds a reader's files."""
    return reader.lower().replace(", ", "-").replace(" ", "-")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(readers()))
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT if most == resource.RLIM_INFINITY else min(LIMIT, most), most))
    logging.disable(logging.WARNING)  # a file of the cache that is damaged is told of, a line each
    started, count, fallen = time.monotonic(), Counter[str](), Counter[str]()
    kinds: dict[str, Fall] = {}
    largest = 0
    for name, fall in fuzz(asked.files, asked.seed, asked.only):
        count[name] += 1
        largest = max(largest, peak())
        if fall is not None:
            fallen[name] += 1
            place = fall.traceback.strip().splitlines()[-3:-1]
            key = f"{name}: {fall.why[:60]} {place[0].strip() if place else ''}"
            kinds.setdefault(key, fall)
    for number, (key, fall) in enumerate(kinds.items()):
        print(f"{key}\n{fall.traceback}", file=sys.stderr)
        if asked.keep:
            kept = asked.keep / folder_of(fall.reader) / f"{asked.seed}-{number}@{fall.name}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(fall.data)
    print("| reader | tried | fell |\n|---|---:|---:|")
    for name in count:
        print(f"| {name} | {count[name]:,} | {fallen[name]:,} |")
    print(f"| all | {count.total():,} | {fallen.total():,} |\n")
    print(f"seed {asked.seed}, {time.monotonic() - started:.0f} s, peak {largest / 1e9:.2f} GB")
    return int(bool(fallen))


if __name__ == "__main__":
    sys.exit(main())
