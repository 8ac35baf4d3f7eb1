"""METEOR's English data as a compact index in the cache directory, memory-mapped: built once, loaded in milliseconds.

Words are numbered in the order of their UTF-8 bytes. Phrases of the paraphrase table form a trie over word numbers
whose nodes are numbered level by level, so that a node's children lie together, sorted by word.
"""

import contextlib
import json
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from vlmbench.foundations.atomic import atomic_directory, exclusive, write_json
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import damaged
from vlmbench.foundations.progress import Advance
from vlmbench.metrics.captions.meteor.resources import Sources, WordNet, find_sources, function_words
from vlmbench.metrics.captions.meteor.stem import stem

FORMAT = 4
"""Increased when the files, or the rules that build them, change."""

LONGEST_PHRASE = 7
"""Words in the longest phrase of the paraphrase table."""

Progress = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Like `vlmbench.foundations.progress.Reporter.task`: takes a label and a total, returns an `Advance`."""

_PAIRS = 5_274_084  # in the table of METEOR 1.5: only for the progress bar
_MANIFEST = "manifest.json"
_Ints = NDArray[np.int32]


@dataclass(frozen=True)
class MeteorIndex:
    """The data behind METEOR's matchers; every array is mapped from a file, read-only.

    Attributes:
        words: [V] bytes, sorted: every word of the data, and their stems.
        stems: [V] int32, the number of each word's stem.
        function: [V] uint8, 1 for a function word.
        own_starts, own: [V + 1] int32 and the WordNet synsets (0 to S) of each word unchanged, row after row.
        synset_starts, synsets: the same for each word with its base forms.
        roots: [V] int32, the trie's node for a phrase's first word, or -1.
        node_words: [N] int32, the last word of each node's phrase.
        children: [N + 1] int32, node n's children are `children[n]` up to `children[n + 1]`.
        is_phrase: [N] uint8, 1 if the node is in the paraphrase table.
        pair_starts, pairs: [N + 1] int32 and the nodes of each node's paraphrases, in the order of the table.
    """

    folder: Path
    words: NDArray[np.bytes_]
    stems: _Ints
    function: NDArray[np.uint8]
    own_starts: _Ints
    own: _Ints
    synset_starts: _Ints
    synsets: _Ints
    roots: _Ints
    node_words: _Ints
    children: _Ints
    is_phrase: NDArray[np.uint8]
    pair_starts: _Ints
    pairs: _Ints

    def find(self, words: Sequence[str]) -> _Ints:
        """[len(words)] int32: the number of each word, or -1 if the data does not have it. Accepts any strings."""
        width = self.words.dtype.itemsize
        encoded = [word.encode("utf-8", "surrogatepass") for word in words]
        usable = [code if len(code) <= width and b"\x00" not in code else b"\x00" for code in encoded]
        wanted = np.array(usable, dtype=self.words.dtype)
        order = np.argsort(wanted)
        places = np.empty(len(words), dtype=np.int64)
        places[order] = np.searchsorted(self.words, wanted[order])
        places = np.minimum(places, len(self.words) - 1)
        found = (self.words[places] == wanted) & (wanted != b"")
        return np.where(found, places, -1).astype(np.int32)


_ARRAYS = tuple(name for name in MeteorIndex.__dataclass_fields__ if name != "folder")


def load_index(cache_dir: Path, *, progress: Progress | None = None, sources: Sources | None = None) -> MeteorIndex:
    """The index of the installed `pycocoevalcap`, built first if it is absent, outdated or damaged. Raises
    `AbsentError` where `pycocoevalcap` or its METEOR data is not installed, or is damaged. It lies in ``meteor/`` there
    (about 75 MB); building takes about half a minute, once."""
    sources = sources or find_sources()
    key = {"format": FORMAT, "sources": sources.checksum()}
    folder = cache_dir / "meteor" / f"en-{digest(key)[:16]}"
    index = _open(folder)
    if index is not None:
        return index
    with exclusive(folder.with_suffix(".lock")):
        index = _open(folder)  # another process may have built it meanwhile
        if index is not None:
            return index
        _set_aside(folder)
        with atomic_directory(folder) as temporary:
            _build(sources, temporary, progress or silent)
            write_json(temporary / _MANIFEST, _manifest(temporary, folder.name))
        index = _open(folder)
    if index is None:
        raise RuntimeError(f"METEOR's index was built but cannot be read: {folder}")
    return index


def silent(label: str, total: int | None) -> AbstractContextManager[Advance]:
    """A `Progress` that shows nothing."""
    return contextlib.nullcontext(lambda units=1: None)


def _manifest(folder: Path, index: str) -> dict[str, Any]:
    """The checksum of each array, compared at every load; `index` is its name, which identifies its data."""
    files = {name: _checksum(folder / f"{name}.npy") for name in _ARRAYS}
    return {"format": FORMAT, "files": files, "digest": digest([index, files])}


def _checksum(path: Path) -> str:
    """XXH3's 128 bits of a file: 70 MB in the time that reading memory takes; a CRC takes four times as long."""
    return str(xxhash.xxh3_128_hexdigest(np.memmap(path, np.uint8, mode="r").data))


def _open(folder: Path) -> MeteorIndex | None:
    """The index in `folder`, or None if there is none or it does not match its manifest."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        if manifest["digest"] != digest([folder.name, files]) or manifest["format"] != FORMAT:
            raise ValueError("the manifest has changed")
        arrays = {}
        for name in _ARRAYS:
            path = folder / f"{name}.npy"
            if _checksum(path) != files[name]:
                raise ValueError(f"{name} has changed")
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if folder.is_dir():
            damaged(folder)
        return None
    return MeteorIndex(folder, **arrays)


def _set_aside(folder: Path) -> None:
    """Removes a damaged index; other processes see all of it or nothing."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        with contextlib.suppress(OSError):
            folder.rename(aside / folder.name)
        shutil.rmtree(aside, ignore_errors=True)


def _build(sources: Sources, folder: Path, progress: Progress) -> None:
    """Writes every array of the index into `folder`."""
    with progress("METEOR: reading paraphrases (once)", _PAIRS) as advance:
        phrases, pairs = _read_pairs(sources, advance)
    with progress("METEOR: numbering words and phrases (once)", len(_ARRAYS)) as advance:
        _number(sources, phrases, pairs, folder, advance)


def _number(sources: Sources, phrases: list[str], pairs: _Ints, folder: Path, advance: Advance) -> None:
    """Numbers words, synsets and phrases, and writes the arrays; empties `phrases`."""
    wordnet, function = WordNet(sources), function_words(sources)
    stemmed: dict[str, str] = {}
    fresh = {word for phrase in phrases for word in phrase.split(" ")} | function
    fresh.update(word for word in (*wordnet.own, *wordnet.bases) if "_" not in word)
    while fresh:  # stems are words too, with stems
        stemmed.update((word, stem(word)) for word in fresh)
        fresh = set(stemmed.values()) - stemmed.keys()
    words = sorted(word.encode("utf-8") for word in stemmed)
    number = {word.decode("utf-8"): i for i, word in enumerate(words)}

    def save(name: str, values: NDArray[Any]) -> None:
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
        advance()

    save("words", np.array(words))
    save("stems", np.array([number[stemmed[word]] for word in number], dtype=np.int32))
    save("function", np.array([word in function for word in number], dtype=np.uint8))
    rank = {synset: i for i, synset in enumerate(sorted({synset for row in wordnet.own.values() for synset in row}))}
    for name, rows in (
        ("own", [wordnet.own.get(word, ()) for word in number]),
        ("synsets", [sorted(wordnet.synsets(word)) for word in number]),
    ):
        save(f"{name.removesuffix('s')}_starts", _starts([len(row) for row in rows]))
        save(name, np.array([rank[synset] for row in rows for synset in row], dtype=np.int32))
    for name, values in _trie(phrases, pairs, number):
        save(name, values)


def _read_pairs(sources: Sources, advance: Advance) -> tuple[list[str], _Ints]:
    """The distinct phrases, and [P, 2] int32 pairs of places in that list, in the order of the table."""
    number: dict[str, int] = {}
    flat = array("i")
    for i, (first, second) in enumerate(sources.paraphrase_pairs(), start=1):
        flat.append(number.setdefault(first, len(number)))
        flat.append(number.setdefault(second, len(number)))
        if i % 65_536 == 0:
            advance(65_536)
    return list(number), np.frombuffer(flat, dtype=np.int32).reshape(-1, 2)


def _trie(phrases: list[str], pairs: _Ints, number: dict[str, int]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of the phrase trie and of the pairs, by name; empties `phrases`."""
    flat, sizes = array("i"), array("b")
    for phrase in phrases:
        row = [number[word] for word in phrase.split(" ")]
        flat.extend(row)
        sizes.append(len(row))
    phrases.clear()
    lengths = np.frombuffer(sizes, dtype=np.int8)
    depth = int(lengths.max())
    if depth > LONGEST_PHRASE:
        raise RuntimeError(f"METEOR's paraphrase table has phrases of {depth} words")
    table = np.full((depth, len(lengths)), -1, dtype=np.int32)  # [word of the phrase, phrase]
    table.T[np.arange(depth) < lengths[:, None]] = np.frombuffer(flat, dtype=np.int32)
    del flat
    order = np.lexsort(table[::-1]).astype(np.int32)
    lengths = lengths[order]
    differs = np.zeros(len(lengths), dtype=bool)  # from the previous phrase, in the words up to this one
    differs[0] = True
    node_of = np.empty(len(lengths), dtype=np.int32)  # the node of each phrase's prefix; finally, of the phrase
    above = np.zeros(len(lengths), dtype=np.int32)
    node_words, counts, base = [], [], 0
    for level in range(depth):
        column = table[level][order]
        differs[1:] |= column[1:] != column[:-1]
        has = lengths > level
        opens = has & differs
        here = np.cumsum(opens, dtype=np.int32) - 1
        node_of[has] = base + here[has]
        node_words.append(column[opens])
        if level:
            counts.append(np.bincount(above[opens], minlength=len(node_words[level - 1])))
        above, base = here, base + len(node_words[level])
    counts.append(np.zeros(len(node_words[-1]), dtype=np.int64))
    del table, above, here, column
    roots = np.full(len(number), -1, dtype=np.int32)
    roots[node_words[0]] = np.arange(len(node_words[0]), dtype=np.int32)
    yield "roots", roots
    yield "node_words", np.concatenate(node_words)
    yield "children", len(node_words[0]) + _starts(np.concatenate(counts))
    del node_words, counts
    is_phrase = np.zeros(base, dtype=np.uint8)
    is_phrase[node_of] = 1
    yield "is_phrase", is_phrase
    node = np.empty(len(lengths), dtype=np.int32)
    node[order] = node_of
    first = node[pairs[:, 0]]
    yield "pair_starts", _starts(np.bincount(first, minlength=base))
    yield "pairs", node[pairs[:, 1]][np.argsort(first, kind="stable")]


def _starts(lengths: Iterable[int] | NDArray[Any]) -> _Ints:
    """[n + 1] int32, where each of n rows of these lengths begins, and where the last ends."""
    sizes = np.asarray(list(lengths) if not isinstance(lengths, np.ndarray) else lengths, dtype=np.int64)
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
