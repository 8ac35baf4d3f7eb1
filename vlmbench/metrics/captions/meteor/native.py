"""Loads METEOR's compiled kernel, building it first if the cache directory has none, and runs it on all cores.

The machine code is stored as an object file and linked by llvmlite, which takes a fraction of the time that
importing numba does. The file's name includes the processor.
"""

import ctypes
import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.atomic import write_bytes
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.hashing import digest, sha256_bytes
from vlmbench.foundations.notes import damaged
from vlmbench.foundations.owned import read_own
from vlmbench.metrics.captions.meteor.align import BEAM
from vlmbench.metrics.captions.meteor.corpus import Sentences, Vocabulary
from vlmbench.metrics.captions.meteor.index import LONGEST_PHRASE, MeteorIndex, Progress, silent

_ARGUMENTS = {  # n: a number, p: a pointer
    "find_phrases": "nnppppppppp",
    "number_phrases": "nppp",
    "list_paraphrases": "npppppp",
    "list_synonyms": "nppppppp",
    "count_pairs": "nnnnn" + "p" * 27,
}
_FORMAT = 2
_IMAGES_AT_A_TIME = 1024
_ROOM = 1 << 15
_log = logging.getLogger(__name__)


class Kernel:
    """The compiled functions of `kernel`, taking numbers and arrays; they release the GIL."""

    def __init__(self, code: bytes) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._functions: dict[str, Callable[..., int]] = {}
        for name, kinds in _ARGUMENTS.items():
            types = [ctypes.c_int64 if kind == "n" else ctypes.c_void_p for kind in kinds]
            address = self._engine.get_function_address(f"meteor_{name}")
            if not address:
                raise RuntimeError(f"METEOR's kernel has no {name}")
            self._functions[name] = ctypes.CFUNCTYPE(ctypes.c_int64, *types)(address)

    def __call__(self, name: str, *arguments: "int | NDArray[Any]") -> int:
        """Runs the function `name`; the arrays must be C-contiguous and of the declared types."""
        return self._functions[name](
            *(value.ctypes.data if isinstance(value, np.ndarray) else int(value) for value in arguments)
        )


_loaded: dict[Path, Kernel | None] = {}
_lock = threading.Lock()


def load_kernel(folder: Path, progress: Progress = silent) -> Kernel | None:
    """The kernel for this processor from `folder`, compiled there first if needed; None if that fails."""
    with _lock:
        if folder not in _loaded:
            try:
                _loaded[folder] = Kernel(_code(folder, progress))
            except (ImportError, RuntimeError, OSError) as error:
                _log.warning("METEOR runs uncompiled, which is slow: %s", error)
                _loaded[folder] = None
        return _loaded[folder]


def _code(folder: Path, progress: Progress) -> bytes:
    """The object file: a SHA-256 that is checked, and the code."""
    import llvmlite
    import llvmlite.binding as llvm

    here = Path(__file__).parent
    sources = [sha256_bytes((here / f"{name}.py").read_bytes()) for name in ("beam", "build", "kernel")]
    processor = [llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    path = folder / f"kernel-{digest([_FORMAT, sources, processor, llvmlite.__version__])[:16]}.bin"
    if code := _sound_code(path):
        return code
    from vlmbench.metrics.captions.meteor.build import compile_kernel

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    with progress("METEOR: compiling the aligner (once)", 1) as advance:
        code = compile_kernel()
        advance()
    write_bytes(path, _checksum(path, code) + code)
    return code


def _sound_code(path: Path) -> bytes | None:
    """The code in a file that only this user can have written; None if it is absent or damaged."""
    data = read_own(path)
    if data and _checksum(path, data[32:]) == data[:32]:
        return data[32:]
    if data is not None:
        damaged(path)
    return None


def _checksum(path: Path, code: bytes) -> bytes:
    """The checksum includes the name, which states the processor and version."""
    return hashlib.sha256(path.name.encode() + code).digest()


def pair_statistics(
    sentences: Sentences,
    vocabulary: Vocabulary,
    image_starts: NDArray[np.int64],
    index: MeteorIndex,
    kernel: Kernel,
    threads: int | None = None,
) -> NDArray[np.int32]:
    """`reference.pair_statistics`, compiled; `kernel` is from `load_kernel`, `threads` are by default the cores of this
    process."""
    work = _Work(sentences, vocabulary, image_starts, index, kernel)
    begins = iter(range(0, work.images, _IMAGES_AT_A_TIME))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            scratch = np.zeros(len(index.node_words), dtype=np.int32)
            for begin in begins:
                work.count(begin, min(begin + _IMAGES_AT_A_TIME, work.images), scratch)
        except BaseException as error:
            failures.append(error)

    wanted = min(threads or cores(), -(-work.images // _IMAGES_AT_A_TIME))
    others = [threading.Thread(target=run, daemon=True) for _ in range(wanted - 1)]
    for thread in others:
        thread.start()
    run()
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]
    return work.out


class _Work:
    """What the threads share: the captions, the synonyms among their words, and the counts."""

    def __init__(
        self,
        sentences: Sentences,
        vocabulary: Vocabulary,
        image_starts: NDArray[np.int64],
        index: MeteorIndex,
        kernel: Kernel,
    ) -> None:
        self.sentences, self.vocabulary, self.index, self.kernel = sentences, vocabulary, index, kernel
        self.image_starts = np.ascontiguousarray(image_starts, dtype=np.int64)
        self.images = len(image_starts) - 1
        self.lengths = np.diff(sentences.starts)
        self.out = np.zeros((int(image_starts[-1]), 23), dtype=np.int32)
        words, synsets = len(vocabulary.known), vocabulary.synsets
        sizes = np.bincount(synsets, minlength=1)
        members = np.repeat(np.arange(words, dtype=np.int32), np.diff(vocabulary.synset_starts))
        members = members[np.argsort(synsets, kind="stable")]
        member_starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        self.synonym_starts = np.empty(words + 1, dtype=np.int32)
        self.synonyms = np.empty(int(sizes[synsets].sum()), dtype=np.int32)
        mark = np.empty(words, dtype=np.int32)
        count = kernel(
            "list_synonyms",
            *(words, vocabulary.synset_starts, synsets, member_starts, members, mark),
            *(self.synonym_starts, self.synonyms),
        )
        self.synonyms = self.synonyms[:count].copy()

    def count(self, begin: int, end: int, number: NDArray[np.int32]) -> None:
        """Counts the pairs of images `begin` to `end`; `number` is zeros, [N], on entry and on return."""
        starts, kernel, index = self.sentences.starts, self.kernel, self.index
        first, last = int(self.image_starts[begin]), int(self.image_starts[end])
        a, b = self.images + first, self.images + last
        tokens = int(starts[end] - starts[begin] + starts[b] - starts[a])
        found = np.empty((LONGEST_PHRASE * tokens, 3), dtype=np.int32)
        trie = (index.roots, index.node_words, index.children, index.is_phrase)
        captions = (self.sentences.words, starts, self.vocabulary.known)
        in_candidates, in_references = np.empty(end - begin + 1, np.int64), np.empty(b - a + 1, np.int64)
        count = kernel("find_phrases", begin, end, *captions, *trie, found, in_candidates)
        more = kernel("find_phrases", a, b, *captions, *trie, found[count:], in_references)
        in_references += count
        found = found[: count + more]
        nodes = np.empty(count + more, dtype=np.int32)
        distinct = kernel("number_phrases", count + more, found, number, nodes)
        nodes = nodes[:distinct]
        longest = int((index.pair_starts[nodes + 1] - index.pair_starts[nodes]).sum())
        list_starts, lists = np.empty(distinct + 1, dtype=np.int32), np.empty(longest, dtype=np.int32)
        kernel("list_paraphrases", distinct, nodes, number, index.pair_starts, index.pairs, list_starts, lists)
        phrases = (found, in_candidates, in_references, list_starts, lists)
        self._align(begin, end, phrases, _ROOM)

    def _align(self, begin: int, end: int, phrases: tuple[NDArray[Any], ...], room: int) -> None:
        """Aligns and counts; if an image has more matches than `room`, continues from there with more room."""
        found, in_candidates, in_references, list_starts, lists = phrases
        nt = int(self.lengths[begin:end].max(initial=1))
        first, last = int(self.image_starts[begin]), int(self.image_starts[end])
        nr = int(self.lengths[self.images + first : self.images + last].max(initial=1))
        shared = (
            *(self.sentences.words, self.sentences.starts, self.image_starts, self.vocabulary.stems),
            *(self.vocabulary.function, self.synonym_starts, self.synonyms),
        )
        at = begin
        while at >= 0:
            base = int(self.image_starts[at])
            scratch = (
                np.empty(5 * room, np.int32),  # matches
                np.empty(room, np.int32),  # order
                np.empty(nr + 2, np.int32),  # first
                np.empty(nt, np.int32),  # rank
                np.empty(nr + nt, np.int32),  # covered
                np.empty(2 * BEAM * 8, np.int64),  # slots
                np.empty(2 * BEAM * (nt // 64 + 1), np.int64),  # masks
                np.empty(2 * BEAM * nr, np.int64),  # arena
                np.empty(nr, np.int32),  # chosen
                np.empty(int(np.diff(in_candidates).max()), np.int32),  # nexts
                np.empty(int(np.diff(in_references).max(initial=0)), np.int32),  # other_nexts
                np.full(len(self.vocabulary.known), -1, np.int64),  # mark
                np.full(2 * len(list_starts), -1, np.int32),  # heads
                np.full(2 * len(list_starts), -1, np.int32),  # other_heads
            )
            at = self.kernel(
                "count_pairs",
                *(at, end, self.images, base, room),
                *shared,
                *(found, in_candidates[at - begin :], in_references[base - first :], list_starts, lists),
                *scratch,
                self.out[base:],
            )
            room *= 8
