"""A cache with a flipped byte or a cut file: the command writes the same bytes, and says what it made again.

    python -m benchmarks.reliability.rotten --changes 100

Each change is of one file that the command stored, every directory of the cache as often as every other. Where there is
a shared cache, it is of that one, and the machine's own is empty. Changes of files that nobody
reads while the rest of the cache is whole are counted apart.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.scenes import SCENES, Trial, prepare
from benchmarks.reliability.workshop import SHARED, TORCH, VLMBENCH, Workshop, outcome, parser, report

NAMES = ("zeroshot", "linear-probe", "heads", "caption", "meteor", "shared")
SILENT = (".lock", "key.json")
"""Files that decide nothing: nobody reads them."""


def spoilt(trial: Trial, cache: Path, chance: random.Random) -> tuple[str, bool, str]:
    """A change of one file of a cache, whether that file is read, and what is wrong after it; else nothing."""
    workshop = trial.workshop
    workshop.begin(trial.start)
    shutil.copytree(cache, workshop.work / cache.name)
    kind = chance.choice(sorted(cache.iterdir()))
    files = [path for path in kind.rglob("*") if path.is_file() and path.name not in SILENT]
    path = workshop.work / cache.name / chance.choice(sorted(files)).relative_to(cache)
    data = bytearray(path.read_bytes())
    at = chance.randrange(size := len(data))
    cut = chance.random() < 0.2
    if cut:
        data = data[:at]
    else:
        data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    told = f"{path.relative_to(workshop.work)} {'cut' if cut else 'changed'} at {at}"
    done = workshop.run(trial.line)
    if done.code:
        return told, True, f"ended with {done.code}: {done.said[-300:]}"
    if outcome(workshop.work) != trial.written:
        return told, True, f"something else is written: {', '.join(trial.lacking())}"
    as_killed = path.name == "captions.jsonl" and (cut or at == size - 1)  # fewer captions, and no damage
    same = cut and at == size - 1 and path.suffix == ".json"  # its last line break is no part of what it says
    if as_killed or same or "damaged in the cache" in done.said:
        return told, True, ""
    path.unlink()
    if cache.name == SHARED:
        shutil.rmtree(workshop.work / "cache")
    workshop.run(trial.line)  # makes again what it reads
    return told, path.exists(), "nothing was said" if path.exists() else ""


def campaign(names: tuple[str, ...], folder: Path, changes: int, seed: int) -> Iterator[tuple[str, str]]:
    """A command's name and what is wrong, for each change."""
    starts = prepare(folder, names)
    with Workshop(folder / "spoilt", f"{TORCH},{VLMBENCH}") as workshop:
        for place, name in enumerate(names):
            trial = Trial(workshop, SCENES[name], starts[name])
            held = SHARED if (workshop.work / SHARED).exists() else "cache"
            cache = folder / "caches" / name / held
            shutil.copytree(workshop.work / held, cache)
            chance = random.Random(f"{seed} {name}")
            for _ in range(changes // len(names) + (place < changes % len(names))):
                told, read, wrong = spoilt(trial, cache, chance)
                yield name if read else f"{name}, unread", wrong and f"{told}: {wrong}"


def main() -> None:
    """Prints the table, and ends with 1 where anything fell short."""
    options = parser(__doc__)
    options.add_argument("--changes", type=int, default=100)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="rotten-") as folder:
        report(campaign(tuple(given.command or NAMES), Path(folder), given.changes, given.seed), given.minutes)


if __name__ == "__main__":
    main()
