"""METEOR 1.5's English data, read from the installed `pycocoevalcap`: words, synonyms, paraphrases.

The jar is opened as a zip archive, only for its word lists (WordNet 3.0 synsets and exceptions, function
words); nothing in it is run.
"""

import gzip
import importlib.util
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vlmbench.foundations.errors import AbsentError

_JAR = "meteor-1.5.jar"
_PARAPHRASES = "data/paraphrase-en.gz"
_PREFIXES = "nonbreaking/english.prefixes"
_LISTS = ("function/english.words", "synonym/english.synsets", "synonym/english.exceptions")
_FIX = "python -m pip install --force-reinstall 'pycocoevalcap>=1.2'"

# WordNet's rules of detachment (Fellbaum 1998; `morphy(7)`), of nouns, verbs and adjectives in one list. METEOR takes
# the first that leads to a word in WordNet.
_DETACHMENTS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
)


@dataclass(frozen=True)
class Sources:
    """The data files: the jar and the paraphrase table."""

    jar: Path
    paraphrases: Path

    def checksum(self) -> str:
        """A key that changes with the content of either file, without reading all of it.

        Both formats contain a CRC-32 of their content: the zip directory for each entry, gzip in its last eight bytes.
        Raises `AbsentError` where one is missing or damaged.
        """
        try:
            with zipfile.ZipFile(self.jar) as archive:
                crcs = [archive.getinfo(name).CRC for name in _LISTS]
            with self.paraphrases.open("rb") as handle:
                handle.seek(-8, io.SEEK_END)
                trailer = handle.read(8)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise AbsentError(f"METEOR's data cannot be read: {error}", where=str(self.jar.parent), fix=_FIX) from None
        return f"{zlib.crc32(repr(crcs).encode()):08x}{trailer.hex()}"

    def lines(self, name: str) -> list[str]:
        """The lines of the jar's word list `name`."""
        with zipfile.ZipFile(self.jar) as archive:
            return archive.read(name).decode("utf-8").splitlines()

    def paraphrase_pairs(self) -> Iterator[tuple[str, str]]:
        """The phrase pairs of the paraphrase table, in the order of the file; words are separated by one space. Raises
        `AbsentError` where it is damaged."""
        try:
            with gzip.open(self.paraphrases, "rt", encoding="utf-8", newline="\n") as handle:
                for _, first, second in zip(handle, handle, handle, strict=False):
                    yield first[:-1], second[:-1]
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise AbsentError(
                f"METEOR's paraphrases cannot be read: {error}", where=str(self.paraphrases), fix=_FIX
            ) from None


def find_sources() -> Sources:
    """The data files of the installed `pycocoevalcap`; the package itself is not imported. Raises `AbsentError` where
    the package or its METEOR data is not installed."""
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise AbsentError("METEOR's data is not installed (package pycocoevalcap)", fix=_FIX)
    folder = Path(next(iter(spec.submodule_search_locations))) / "meteor"
    sources = Sources(folder / _JAR, folder / _PARAPHRASES)
    for path in (sources.jar, sources.paraphrases):
        if not path.is_file():
            raise AbsentError(f"METEOR's data is incomplete: {path.name} is missing", where=str(path), fix=_FIX)
    return sources


class WordNet:
    """Synsets of inflected words, as METEOR 1.5 looks them up."""

    def __init__(self, sources: Sources) -> None:
        lines = sources.lines("synonym/english.synsets")
        self.own = {word: tuple(map(int, ids.split())) for word, ids in zip(lines[::2], lines[1::2], strict=False)}
        lines = sources.lines("synonym/english.exceptions")
        self.bases: dict[str, list[str]] = {}
        for base, forms in zip(lines[::2], lines[1::2], strict=False):
            for form in forms.split():
                self.bases.setdefault(form, []).append(base)

    def synsets(self, word: str) -> frozenset[int]:
        """The synsets of `word` itself, and of its base forms.

        A form that WordNet lists as irregular has the listed bases; any other of more than two letters has the first
        base that the rules of detachment lead to.
        """
        found = set(self.own.get(word, ()))
        bases = self.bases.get(word) or [base for base in detached(word) if base in self.own][:1]
        for base in bases:
            found.update(self.own.get(base, ()))
        return frozenset(found)


def detached(word: str) -> Iterator[str]:
    """The forms of `word` by the rules of detachment, in order: the first in WordNet is the base."""
    if len(word) > 2:
        for ending, replacement in _DETACHMENTS:
            if word.endswith(ending) and not (ending == "s" and word.endswith("ss")):
                yield word[: len(word) - len(ending)] + replacement


def function_words(sources: Sources) -> frozenset[str]:
    """METEOR's English function words (those with a relative frequency above 10^-3; Denkowski and Lavie 2011, 2.2)."""
    return frozenset(sources.lines("function/english.words"))


def nonbreaking_prefixes(sources: Sources) -> tuple[frozenset[str], frozenset[str]]:
    """The jar's words after which a full stop does not end a sentence, and those for which only before a number.

    One word per line; ``#`` begins a comment, ``#NUMERIC_ONLY#`` after a word marks the second set.
    """
    always: set[str] = set()
    numbers: set[str] = set()
    for line in sources.lines(_PREFIXES):
        word, _, remark = line.partition("#")
        if word.strip():
            (numbers if "NUMERIC_ONLY" in remark else always).add(word.strip())
    return frozenset(always), frozenset(numbers)
