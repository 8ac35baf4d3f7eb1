"""METEOR's matchers, compiled: raw-array versions of `align.find_matches` and of the counting.

Imported only to build the kernel: `native` stores the machine code and runs it without numba. The functions take
pointers, allocate nothing and cannot raise, so that the code is self-contained.
"""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: SIM110 (a generator would allocate)

from numba import cfunc, njit, types

from vlmbench.metrics.captions.meteor.beam import OPTIONS, search

_I4, _I8, _U1 = types.CPointer(types.int32), types.CPointer(types.int64), types.CPointer(types.uint8)
_N = types.int64


@njit(**OPTIONS)
def _child(node, word, node_words, children):
    """The child of trie node `node` for `word`, or -1."""
    low, high = children[node], children[node + 1]
    end = high
    while low < high:
        middle = (low + high) >> 1
        if node_words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < end and node_words[low] == word else -1


@cfunc(_N(_N, _N, _I4, _I8, _I4, _I4, _I4, _I4, _U1, _I4, _I8), **OPTIONS)
def find_phrases(begin, end, words, starts, known, roots, node_words, children, is_phrase, found, found_starts):
    """The phrases of the table in sentences `begin` to `end`, by start, then by length.

    Args:
        words, starts: the sentences; known: [V] the index number of each word, or -1.
        roots, node_words, children, is_phrase: the trie.
        found: output, [., 3] node, start, length; found_starts: [end - begin + 1] output, rows of `found`.

    Returns:
        How many there are.
    """
    count = 0
    for s in range(begin, end):
        found_starts[s - begin] = count
        for start in range(starts[s], starts[s + 1]):
            word = known[words[start]]
            node = roots[word] if word >= 0 else -1
            at = start
            while node >= 0:
                if is_phrase[node]:
                    found[3 * count] = node
                    found[3 * count + 1] = start - starts[s]
                    found[3 * count + 2] = at + 1 - start
                    count += 1
                at += 1
                if at == starts[s + 1]:
                    break
                word = known[words[at]]
                node = _child(node, word, node_words, children) if word >= 0 else -1
    found_starts[end - begin] = count
    return count


@cfunc(_N(_N, _I4, _I4, _I4), **OPTIONS)
def number_phrases(count, found, number, nodes):
    """Replaces the nodes in `found` by small numbers, in order of appearance.

    Args:
        count, found: from `find_phrases`.
        number: [N] zeros; on return each node's number plus one, 0 for the others.
        nodes: [.] output, the node of each number.

    Returns:
        How many distinct nodes there are.
    """
    distinct = 0
    for k in range(count):
        node = found[3 * k]
        if number[node] == 0:
            nodes[distinct] = node
            distinct += 1
            number[node] = distinct
        found[3 * k] = number[node] - 1
    return distinct


@cfunc(_N(_N, _I4, _I4, _I4, _I4, _I4, _I4), **OPTIONS)
def list_paraphrases(distinct, nodes, number, pair_starts, pairs, list_starts, lists):
    """The paraphrases of each numbered phrase that are numbered too, in the order of the table; clears `number`.

    Args:
        distinct, nodes, number: from `number_phrases`.
        pair_starts, pairs: the table.
        list_starts, lists: [distinct + 1] and rows of phrase numbers, output.

    Returns:
        How many there are.
    """
    count = 0
    for n in range(distinct):
        list_starts[n] = count
        for k in range(pair_starts[nodes[n]], pair_starts[nodes[n] + 1]):
            if number[pairs[k]]:
                lists[count] = number[pairs[k]] - 1
                count += 1
    list_starts[distinct] = count
    for n in range(distinct):
        number[nodes[n]] = 0
    return count


@cfunc(_N(_N, _I4, _I4, _I4, _I4, _I4, _I4, _I4), **OPTIONS)
def list_synonyms(words, synset_starts, synsets, member_starts, members, mark, list_starts, lists):
    """For each of `words` words the other words with a synset in common.

    Args:
        synset_starts, synsets: rows of synsets, by word.
        member_starts, members: rows of words, by synset.
        mark: [words] scratch.
        list_starts, lists: [words + 1] and rows of words, output.

    Returns:
        How many there are.
    """
    count = 0
    for word in range(words):
        mark[word] = -1
    for word in range(words):
        list_starts[word] = count
        mark[word] = word
        for k in range(synset_starts[word], synset_starts[word + 1]):
            for at in range(member_starts[synsets[k]], member_starts[synsets[k] + 1]):
                if mark[members[at]] != word:
                    mark[members[at]] = word
                    lists[count] = members[at]
                    count += 1
    list_starts[words] = count
    return count


@njit(**OPTIONS)
def _add(m, room, matches, covered, nr, start, length, other, width, module):
    """Adds a match, if there is room, and returns their number."""
    if m < room:
        matches[5 * m], matches[5 * m + 1], matches[5 * m + 2] = start, length, other
        matches[5 * m + 3], matches[5 * m + 4] = width, module
        for j in range(start, start + length):
            covered[j] += 1
        for i in range(other, other + width):
            covered[nr + i] += 1
    return m + 1


@njit(**OPTIONS)
def _identical(words, t, nt, r, nr):
    """Whether the candidate, `nt` words from `t` on, and the reference are the same."""
    if nt != nr:
        return False
    for i in range(nt):
        if words[t + i] != words[r + i]:
            return False
    return True


@njit(**OPTIONS)
def _word_matches(
    words, t, nt, r, nr, exact_only, stems, synonym_starts, synonyms, mark, clock, room, matches, covered
):
    """Exact, stem and synonym matches; `clock` plus the place in `mark` sets this call apart from earlier ones."""
    m = 0
    for j in range(nr):
        word, related = words[r + j], False
        for i in range(nt):
            if words[t + i] == word:
                m = _add(m, room, matches, covered, nr, j, 1, i, 1, 0)
            elif stems[words[t + i]] == stems[word]:
                related = True
        if exact_only:
            continue
        if related:
            for i in range(nt):
                if words[t + i] != word and stems[words[t + i]] == stems[word]:
                    m = _add(m, room, matches, covered, nr, j, 1, i, 1, 1)
        if synonym_starts[word] < synonym_starts[word + 1]:
            for k in range(synonym_starts[word], synonym_starts[word + 1]):
                mark[synonyms[k]] = clock + j
            for i in range(nt):
                if mark[words[t + i]] == clock + j:
                    m = _add(m, room, matches, covered, nr, j, 1, i, 1, 2)
    return m


@njit(**OPTIONS)
def _chain(found, begin, end, heads, nexts, stamp):
    """Links the places of each phrase in a sentence, first to last; `heads` holds stamp and first place."""
    for k in range(end - 1, begin - 1, -1):
        phrase = found[3 * k]
        nexts[k - begin] = heads[2 * phrase + 1] if heads[2 * phrase] == stamp else -1
        heads[2 * phrase], heads[2 * phrase + 1] = stamp, k


@njit(**OPTIONS)
def _phrase_matches(
    m, nr, found, begin, end, other_begin, heads, nexts, stamp, list_starts, lists, swapped, room, matches, covered
):
    """Paraphrases that the table lists for the phrases of one sentence, among those of the other."""
    for k in range(begin, end):
        for at in range(list_starts[found[3 * k]], list_starts[found[3 * k] + 1]):
            if heads[2 * lists[at]] != stamp:
                continue
            o = heads[2 * lists[at] + 1]
            while o >= 0:
                a, b = (o, k) if swapped else (k, o)
                m = _add(
                    m, room, matches, covered, nr, found[3 * a + 1], found[3 * a + 2], found[3 * b + 1],
                    found[3 * b + 2], 3,
                )  # fmt: skip
                o = nexts[o - other_begin]
    return m


@njit(**OPTIONS)
def _count(words, t, nt, r, nr, function, matches, chosen, aligned, out, row):
    """The 23 counts of a pair, into `out` from `row` on."""
    for k in range(row, row + 23):
        out[k] = 0
    out[row], out[row + 1], out[row + 20] = nt, nr, aligned & 0xFFFFFFFF
    for i in range(t, t + nt):
        out[row + 2] += function[words[i]]
    for j in range(r, r + nr):
        out[row + 3] += function[words[j]]
    for c in range(aligned >> 32):
        at = 5 * chosen[c]
        module = row + 4 + 4 * (matches[at + 4] & 7)
        for i in range(t + matches[at + 2], t + matches[at + 2] + matches[at + 3]):
            out[module + 2 * function[words[i]]] += 1
        for j in range(r + matches[at], r + matches[at] + matches[at + 1]):
            out[module + 1 + 2 * function[words[j]]] += 1
        out[row + 21] += matches[at + 3]
        out[row + 22] += matches[at + 1]


@cfunc(
    _N(
        *(_N, _N, _N, _N, _N, _I4, _I8, _I8, _I4, _U1, _I4, _I4),
        *(_I4, _I8, _I8, _I4, _I4),
        *(_I4, _I4, _I4, _I4, _I4, _I8, _I8, _I8, _I4, _I4, _I4, _I8, _I4, _I4, _I4),
    ),
    **OPTIONS,
)
def count_pairs(
    begin, end, images, base, room, words, starts, image_starts, stems, function, synonym_starts, synonyms,
    found, candidate_found, reference_found, list_starts, lists,
    matches, order, first, rank, covered, slots, masks, arena, chosen, nexts, other_nexts, mark, heads, other_heads,
    out,
):  # fmt: skip
    """The counts of every pair of images `begin` to `end`.

    Args:
        images: how many images there are, so where the references begin among the sentences.
        base: the first pair of image `begin`; room: how many matches fit in the scratch.
        words, starts, image_starts, stems, function: as in `meteor_python.pair_statistics`.
        synonym_starts, synonyms: from `list_synonyms`.
        found, list_starts, lists: from `number_phrases`, `list_paraphrases`; candidate_found, reference_found: rows of
            `found`, from image `begin` and from pair `base` on.
        matches, order, first, rank, covered, slots, masks, arena, chosen: scratch, see `search`.
        nexts, other_nexts: scratch, a place for each phrase in a sentence; mark: [V] scratch, all -1; heads,
            other_heads: scratch, two for each numbered phrase, all -1.
        out: [., 23] output, from pair `base` on.

    Returns:
        -1, or the image at which `room` was too small.
    """
    clock = 0
    for image in range(begin, end):
        t, nt = starts[image], starts[image + 1] - starts[image]
        t_begin, t_end = candidate_found[image - begin], candidate_found[image - begin + 1]
        _chain(found, t_begin, t_end, heads, nexts, image)
        for pair in range(image_starts[image], image_starts[image + 1]):
            r, nr = starts[images + pair], starts[images + pair + 1] - starts[images + pair]
            for k in range(nt + nr):
                covered[k] = 0
            exact_only = _identical(words, t, nt, r, nr)
            m = _word_matches(
                words, t, nt, r, nr, exact_only, stems, synonym_starts, synonyms, mark, clock, room, matches, covered
            )
            clock += nr
            if not exact_only:
                r_begin, r_end = reference_found[pair - base], reference_found[pair - base + 1]
                _chain(found, r_begin, r_end, other_heads, other_nexts, pair)
                m = _phrase_matches(
                    m, nr, found, r_begin, r_end, t_begin, heads, nexts, image, list_starts, lists, False, room,
                    matches, covered,
                )  # fmt: skip
                m = _phrase_matches(
                    m, nr, found, t_begin, t_end, r_begin, other_heads, other_nexts, pair, list_starts, lists, True,
                    room, matches, covered,
                )  # fmt: skip
            if m > room:
                return image
            aligned = search(m, nr, nt, matches, order, first, covered, rank, slots, masks, arena, chosen)
            _count(words, t, nt, r, nr, function, matches, chosen, aligned, out, 23 * (pair - base))
    return -1
