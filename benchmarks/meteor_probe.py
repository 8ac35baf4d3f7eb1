"""Asks METEOR 1.5's jar, as a black box, what `-norm` makes of short texts, and writes down what it answers.

python benchmarks/meteor_probe.py [--check]

The jar of the installed pycocoevalcap is run as its own help describes (`-writeAlignments` prints the words it saw);
nothing in it is read but what it prints. The answers go to `meteor_observed.txt.gz`, one a line, in families:

- `characters`: every character up to U+1FFFF between two letters, as ranges of those that are treated alike;
- `marks`: every text of up to five of: a letter, an s, a digit, a blank, full stop, comma, apostrophe, hyphen;
- `runs`: six and seven of the same marks in a row, between any two neighbours;
- `letters`: marks between characters of other alphabets, capitals and digits;
- `signs`: quotation marks and dashes that are rewritten, next to marks;
- `stops`: words and acronyms with a full stop, before whatever may follow.

What it did is in `meteor_probe.log`. `--check` asks again and says what differs from the file.
"""

import argparse
import gzip
import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from vlmbench.metrics.captions.java import _PINNED, java
from vlmbench.metrics.captions.meteor.resources import find_sources, nonbreaking_prefixes

HERE = Path(__file__).parent
OBSERVED = HERE / "meteor_observed.txt.gz"
LOG = HERE / "meteor_probe.log"
MARKS = ".,'-"
FOLLOWING = ("", "a", "A", "é", "1", ",", "'s", "-", ".", "a.")
ACRONYMS = (
    "U.S",
    "u.s",
    "a.b.c",
    "A.b1",
    "1.2",
    "1.a",
    "a.1",
    "é.a",
    "а.б",
    "а.1",
    "..a",
    "a..b",
    "p.m",
    "i.e",
    ".a",
    "漢.1",
)
PLAIN = (
    "dog",
    "Dog",
    "DOG",
    "a",
    "I",
    "5",
    "é",
    "É",
    "mr",
    "dr",
    "no",
    "NO",
    "nos",
    "art",
    "Pp",
    "st",
    "a-b",
    "1-2",
    "o'b",
    "'",
    "",
)


def ask(texts: Iterable[str]) -> list[str]:
    """The words METEOR saw in each text (no line ends in it), as it prints them."""
    lines = list(texts)
    sources = find_sources()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test").write_bytes("".join(f"{line}\n" for line in lines).encode())
        Path(folder, "reference").write_bytes(b"x\n" * len(lines))
        command = [java(), "-Xmx2G", *_PINNED, "-jar", str(sources.jar), "test", "reference"]
        options = ["-l", "en", "-norm", "-m", "exact", "-writeAlignments", "-f", "out"]
        subprocess.run([*command, *options], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        printed = Path(folder, "out-align.out").read_bytes().decode().split("\n")
    answers = [printed[at + 1] for at, line in enumerate(printed) if line.startswith("Alignment\t")]
    if len(answers) != len(lines):
        raise RuntimeError(f"{len(answers)} answers to {len(lines)} texts")
    return answers


def characters() -> list[str]:
    """The lines of the family `characters`: first and last code, and what becomes of those between."""
    codes = [code for code in range(0x20000) if code not in (10, 13) and not 0xD800 <= code < 0xE000]
    answers = ask(f"a{chr(code)}b" for code in codes)
    kinds = [_kind(chr(code), answer) for code, answer in zip(codes, answers, strict=True)]
    ranges = []
    for kind, group in itertools.groupby(zip(codes, kinds, strict=True), key=lambda pair: pair[1]):
        members = [code for code, _ in group]
        ranges.append(f"{members[0]:04X}\t{members[-1]:04X}\t{kind}")
    return ranges


def _kind(character: str, answer: str) -> str:
    """Lower case is left open: which letters have one depends on the edition of Unicode that Java brings."""
    if answer == "a b":
        return "blank"
    if answer in (f"a{character}b", f"a{character.lower()}b"):
        return "inside"
    return "alone" if answer in (f"a {character} b", f"a {character.lower()} b") else f"reads {answer}"


def marks() -> Iterator[str]:
    """Every text of up to five."""
    for size in range(1, 6):
        yield from map("".join, itertools.product("as1 " + MARKS, repeat=size))


def runs() -> Iterator[str]:
    """Longer runs of marks."""
    for left, right in itertools.product(("", "a", "1", " "), repeat=2):
        for size in (4, 5, 6, 7):
            yield from (f"{left}{mark * size}{right}" for mark in MARKS)
            yield from (
                f"{left}{(one + other) * (size // 2)}{right}" for one, other in itertools.permutations(MARKS, 2)
            )


def letters() -> Iterator[str]:
    """Marks between other characters."""
    for left, right in itertools.product("aAéÉжЖ漢あ١1²ª$_\u0300\u00ad\u200b😀sS", repeat=2):
        yield from (f"{left}{mark}{right}" for mark in MARKS)


def signs() -> Iterator[str]:
    """What is rewritten, next to marks and letters."""
    for sign in '“”‘’`´"„‚«–—‐‑−…\xa0\x0b\x1c\u2003':
        for left, right in itertools.product(("", "a", "1", " ", ".", ",", "'", "-", "s", sign), repeat=2):
            yield f"{left}{sign}{right}"


def stops() -> Iterator[str]:
    """Words with a full stop."""
    listed, numbered = nonbreaking_prefixes(find_sources())
    every = sorted({form for word in listed | numbered for form in (word, word.lower(), word.upper())})
    for word in (*every, *ACRONYMS, *PLAIN):
        yield from (f"{word}. {following}".rstrip() for following in FOLLOWING)
        yield f"x {word}., {word}.'s ({word}.)"


def observe(log: list[str]) -> str:
    """All families as the text of the file."""
    started = time.monotonic()
    ranges = characters()
    text = ["# characters", *ranges]
    log.append(f"characters: 129,022 asked, {len(ranges)} ranges")
    for family in (marks, runs, letters, signs, stops):
        probes = list(dict.fromkeys(family()))
        answers = ask(probes)
        text += [f"# {family.__name__}", *(f"{probe}\t{answer}" for probe, answer in zip(probes, answers, strict=True))]
        log.append(f"{family.__name__}: {len(probes):,} asked")
    print(f"{time.monotonic() - started:.1f} s")
    return "\n".join(text) + "\n"


def main() -> None:
    """Writes the file and the log, or compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="ask again and compare")
    given = parser.parse_args()
    version = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    log = [f"jar: meteor-1.5.jar of the installed pycocoevalcap, data {find_sources().checksum()}", f"java: {version}"]
    text = observe(log)
    if given.check:
        before = gzip.decompress(OBSERVED.read_bytes()).decode().split("\n")
        different = [line for line in text.split("\n") if line not in set(before)]
        print("\n".join(different[:20]) or "as before")
        return
    OBSERVED.write_bytes(gzip.compress(text.encode(), mtime=0))
    LOG.write_text("\n".join(log) + "\n", encoding="utf-8")
    print("\n".join(log))


if __name__ == "__main__":
    main()
