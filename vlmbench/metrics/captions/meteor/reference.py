"""The counts of every candidate-reference pair in plain Python: the fallback, and the kernel's oracle in the tests."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.captions.meteor.align import align, find_matches
from vlmbench.metrics.captions.meteor.corpus import Sentences, Vocabulary
from vlmbench.metrics.captions.meteor.index import MeteorIndex


class IndexLexicon:
    """The matchers' view of a `Vocabulary` and the index; see `align.Lexicon`."""

    def __init__(self, vocabulary: Vocabulary, index: MeteorIndex) -> None:
        self._known = vocabulary.known.tolist()
        self._stems = vocabulary.stems.tolist()
        starts, synsets = vocabulary.synset_starts.tolist(), vocabulary.synsets.tolist()
        self._synsets = [frozenset(synsets[a:b]) for a, b in pairwise(starts)]
        self._index = index
        self._steps: dict[tuple[int, int], int] = {}

    def stem(self, word: int) -> int:
        """A number for the word's stem."""
        return self._stems[word]  # type: ignore[no-any-return]

    def synsets(self, word: int) -> frozenset[int]:
        """The word's synsets."""
        return self._synsets[word]

    def phrases(self, words: Sequence[int]) -> list[tuple[int, int, int]]:
        """(start, length, node) of each phrase of the paraphrase table in `words`."""
        found = []
        numbers = [self._known[word] for word in words]
        for start in range(len(numbers)):
            node = -1
            for end in range(start, len(numbers)):
                node = self._step(node, numbers[end])
                if node < 0:
                    break
                if self._index.is_phrase[node]:
                    found.append((start, end + 1 - start, node))
        return found

    def paraphrases(self, phrase: int) -> Sequence[int]:
        """The phrases listed for a phrase."""
        starts = self._index.pair_starts
        return self._index.pairs[starts[phrase] : starts[phrase + 1]].tolist()  # type: ignore[no-any-return]

    def _step(self, node: int, word: int) -> int:
        """The node one word further, or -1; `node` -1 is the root."""
        if word < 0:
            return -1
        if node < 0:
            return int(self._index.roots[word])
        key = node, word
        if key not in self._steps:
            first, last = self._index.children[node], self._index.children[node + 1]
            place = int(first + np.searchsorted(self._index.node_words[first:last], word))
            self._steps[key] = place if place < last and self._index.node_words[place] == word else -1
        return self._steps[key]


def pair_statistics(
    sentences: Sentences, vocabulary: Vocabulary, image_starts: NDArray[np.int64], index: MeteorIndex
) -> NDArray[np.int32]:
    """[P, K] int32: the counts of each pair, in the order of `meteor.STATISTICS`.

    Args:
        sentences: the N candidates, then the P references, image by image.
        vocabulary: of the words in `sentences`.
        image_starts: [N + 1], the first reference of each image among the references.
        index: the data of the matchers.
    """
    lexicon = IndexLexicon(vocabulary, index)
    function = vocabulary.function.tolist()
    images = len(image_starts) - 1
    stats = np.zeros((int(image_starts[-1]), 23), dtype=np.int32)
    for image in range(images):
        candidate = sentences.row(image)
        for pair in range(int(image_starts[image]), int(image_starts[image + 1])):
            reference = sentences.row(images + pair)
            stats[pair] = _counts(candidate, reference, lexicon, function)
    return stats


def _counts(candidate: list[int], reference: list[int], lexicon: IndexLexicon, function: Sequence[int]) -> list[int]:
    """The K counts of one pair."""
    chosen, chunks = align(find_matches(candidate, reference, lexicon), len(reference))
    of_candidate, of_reference = [function[word] for word in candidate], [function[word] for word in reference]
    counts = [len(candidate), len(reference), sum(of_candidate), sum(of_reference), *[0] * 16, chunks, 0, 0]
    for match in chosen:
        functions = sum(of_candidate[match.other : match.other + match.width])
        counts[4 + 4 * match.module] += match.width - functions
        counts[6 + 4 * match.module] += functions
        functions = sum(of_reference[match.start : match.start + match.length])
        counts[5 + 4 * match.module] += match.length - functions
        counts[7 + 4 * match.module] += functions
        counts[21] += match.width
        counts[22] += match.length
    return counts
