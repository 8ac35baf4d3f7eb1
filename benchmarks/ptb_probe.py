"""Runs Stanford's tokenizer as a black box over systematic probes and writes down what it answers.

    python benchmarks/ptb_probe.py --words /usr/share/dict/american-english-huge
    python benchmarks/ptb_probe.py --tables      # only the tables, from what was observed before

Needs Java, ``pycocoevalcap`` (for Stanford's jar) and a list of words (Debian's ``wamerican-huge``, from SCOWL). The
program is run with pycocoevalcap's options, some 300,000 probes at a time, with a neutral line between any two, since
it may look across a line break. Written are ``tests/metrics/captions/data/ptb_observed.json.gz``, the same file every
time, its log beside it, and ``vlmbench/metrics/captions/ptb/tables.json``, the lists that follow from it. What is
kept of each answer is its tokens less pycocoevalcap's punctuation.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import itertools
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptb_families import LISTED, PLACES, characters, sparse

ROOT = Path(__file__).parent.parent
OBSERVED = ROOT / "tests/metrics/captions/data/ptb_observed.json.gz"
TABLES = ROOT / "vlmbench/metrics/captions/ptb/tables.json"
PUNCTUATION = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
GUARD = "qqguard"
BATCH = 300_000


def jar() -> Path:
    """Stanford's program, as pycocoevalcap brings it."""
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("pycocoevalcap is not installed: pip install pycocoevalcap==1.2")
    return Path(next(iter(package.submodule_search_locations)), "tokenizer", "stanford-corenlp-3.4.1.jar")


def ask(texts: list[str], guard: str = GUARD) -> list[str]:
    """The answer to each text, tokens joined by blanks, the lines of one text by line breaks.

    `guard` is the line before and after each: after an initial it matters whether it begins as a sentence does.
    """
    lines = [text.count("\n") + 1 for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probes")
        source.write_bytes("".join(f"{guard}\n{text}\n" for text in texts).encode() + f"{guard}\n".encode())
        command = ["java", "-cp", str(jar()), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
        done = subprocess.run([*command, str(source)], capture_output=True, check=True)
    out = done.stdout.decode("utf-8").split("\n")
    starts = list(itertools.accumulate((count + 1 for count in lines), initial=0))
    if len(out) != starts[-1] + 2 or any(out[start].rstrip() != guard.lower() for start in starts):
        if len(texts) == 1:  # a line break went into a token
            return [_kept(" ".join(out[1:-2]))]
        half = len(texts) // 2
        return ask(texts[:half], guard) + ask(texts[half:], guard)
    return [
        "\n".join(map(_kept, out[start + 1 : start + 1 + count])) for start, count in zip(starts, lines, strict=False)
    ]


def _kept(line: str) -> str:
    return " ".join(token for token in line.rstrip(" \r").split(" ") if token and token not in PUNCTUATION)


def batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    """The items, a batch at a time."""
    items = iter(items)
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def observe(words: list[str], only: list[str]) -> dict[str, Any]:
    """All that is kept of all answers, or of those of some families."""
    found: dict[str, Any] = {"characters": single_characters()} if "characters" in only or not only else {}
    for name, make in LISTED.items():
        if only and name not in only:
            continue
        texts = list(make())
        lines = [line for batch in batches(texts) for line in ask(batch)]
        found[name] = {"kind": "listed", "probes": len(texts), "answers": lines}
        print(f"{name}: {len(texts):,} probes", flush=True)
    for name, probes in sparse(words).items():
        if only and name not in only:
            continue
        count, other = 0, []
        for batch in batches(probes()):
            count += len(batch)
            answers = ask([text for text, _ in batch])
            other += [[text, line] for (text, plain), line in zip(batch, answers, strict=True) if line != plain]
        found[name] = {"kind": "sparse", "probes": count, "other": other}
        print(f"{name}: {count:,} probes, {len(other):,} not by the plain rule", flush=True)
    return found


def single_characters() -> dict[str, Any]:
    """The characters that behave alike, by what stands in each of the places."""
    signs = characters()
    answers = [
        [line for batch in batches([place.replace("{}", sign) for sign in signs]) for line in ask(batch)]
        for place in PLACES
    ]
    kinds: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for index, sign in enumerate(signs):
        kinds[tuple(lines[index].replace(sign.lower(), "{}") for lines in answers)].append(sign)
    listed = [{"answers": list(lines), "characters": ranges(alike)} for lines, alike in kinds.items()]
    print(f"characters: {len(signs) * len(PLACES):,} probes, {len(listed)} kinds", flush=True)
    return {"kind": "characters", "probes": len(signs) * len(PLACES), "kinds": listed}


def ranges(signs: Iterable[str]) -> str:
    """Code points in hexadecimal, ranges joined by a hyphen."""
    codes = sorted(map(ord, signs))
    runs = [list(run) for _, run in itertools.groupby(enumerate(codes), lambda pair: pair[1] - pair[0])]
    return " ".join(f"{run[0][1]:x}" if len(run) == 1 else f"{run[0][1]:x}-{run[-1][1]:x}" for run in runs)


def write(found: dict[str, Any], words: Path | None, seconds: float) -> None:
    """The observations, byte by byte the same every time, and the log of this run."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    OBSERVED.write_bytes(gzip.compress(text.encode("utf-8", "surrogatepass"), 9, mtime=0))
    version = subprocess.run(["java", "-version"], capture_output=True, check=True, text=True).stderr.splitlines()[0]
    log = {
        "date": datetime.now(UTC).date().isoformat(),
        "java": version,
        "jar": jar().name,
        "jar_sha256": hashlib.sha256(jar().read_bytes()).hexdigest(),
        "options": "-preserveLines -lowerCase",
        "words": words.name if words else None,
        "words_sha256": hashlib.sha256(words.read_bytes()).hexdigest() if words else None,
        "seconds": round(seconds),
        "observed_sha256": hashlib.sha256(OBSERVED.read_bytes()).hexdigest(),
        "probes": {name: family["probes"] for name, family in found.items()},
        "probes_in_all": sum(family["probes"] for family in found.values()),
    }
    OBSERVED.with_name("ptb_observed.log.json").write_text(json.dumps(log, indent=2) + "\n", "utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--words", type=Path, default=Path("/usr/share/dict/american-english-huge"))
    parser.add_argument("--families", nargs="+", default=[], help="ask these only, and keep the stored ones")
    parser.add_argument("--tables", action="store_true", help="write only the tables, from the stored observations")
    args = parser.parse_args()
    if not args.tables:
        begin = time.perf_counter()
        lines = {line.strip().lower() for line in args.words.read_text("utf-8").splitlines()}
        before = json.loads(gzip.decompress(OBSERVED.read_bytes())) if args.families else {}
        write(before | observe(sorted(lines - {""}), args.families), args.words, time.perf_counter() - begin)
    from ptb_tables import tables

    TABLES.write_text(tables(json.loads(gzip.decompress(OBSERVED.read_bytes()))), "utf-8")


if __name__ == "__main__":
    main()
