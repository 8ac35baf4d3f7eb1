"""METEOR's beam search, compiled: `align.align` on raw arrays. Imported only to build the kernel."""

# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: SIM110 (a generator would allocate)

from numba import njit

BEAM = 40
"""The width of the beam, as in `align`."""

OPTIONS = {"error_model": "numpy", "_nrt": False, "boundscheck": False}


@njit(**OPTIONS)
def search(m, nr, nt, matches, order, first, covered, rank, slots, masks, arena, chosen):
    """Chooses among `m` matches; writes their numbers to `chosen`, by place in the reference.

    Args:
        m: number of matches.
        nr: length of the reference.
        nt: length of the candidate.
        matches: [5, m] by rows of five: start, length, other, width, module.
        order: [m] scratch, match numbers by start, as found.
        first: [nr + 2] scratch, where each start's matches begin in `order`.
        covered: [nr + nt] how many matches touch each word of the reference, then of the candidate.
        rank: [nt] scratch, the bit of each candidate word that an open match touches.
        slots: [2 * BEAM, 8] scratch, paths: cost, distance, reference end, candidate end, resume, link, match, spare.
        masks: [2 * BEAM, nw] scratch, the candidate words each path covers.
        arena: [BEAM * nr, 2] scratch, links: the link before, the match.
        chosen: [nr] output.

    Returns:
        How many matches are chosen, times 2^32, plus the number of chunks.
    """
    for j in range(nr + 2):
        first[j] = 0
    for i in range(nt):
        rank[i] = 0
    unsettled = 0
    for k in range(m):
        first[matches[5 * k] + 2] += 1
        settled = True
        for j in range(matches[5 * k], matches[5 * k] + matches[5 * k + 1]):
            settled = settled and covered[j] == 1
        for i in range(matches[5 * k + 2], matches[5 * k + 2] + matches[5 * k + 3]):
            settled = settled and covered[nr + i] == 1
        if not settled:
            unsettled += 1
            matches[5 * k + 4] |= 8
            for i in range(matches[5 * k + 2], matches[5 * k + 2] + matches[5 * k + 3]):
                rank[i] = 1
    for j in range(1, nr + 2):
        first[j] += first[j - 1]
    for k in range(m):
        order[first[matches[5 * k] + 1]] = k
        first[matches[5 * k] + 1] += 1
    if unsettled == 0:
        return _settled(nr, matches, order, first, chosen)
    bits = 0
    for i in range(nt):
        if rank[i]:
            rank[i] = bits
            bits += 1
    return _searched(nr, matches, order, first, rank, (bits + 63) // 64, slots, masks, arena, chosen)


@njit(**OPTIONS)
def _settled(nr, matches, order, first, chosen):
    """The alignment if no two matches touch the same word: all of them."""
    count, chunks, reference_end, candidate_end = 0, 0, -1, -1
    for j in range(nr):
        if first[j] < first[j + 1]:
            k = order[first[j]]
            if reference_end != j or candidate_end != matches[5 * k + 2]:
                chunks += 1
            reference_end = j + matches[5 * k + 1]
            candidate_end = matches[5 * k + 2] + matches[5 * k + 3]
            chosen[count] = k
            count += 1
    return (count << 32) + chunks


@njit(**OPTIONS)
def _searched(nr, matches, order, first, rank, nw, slots, masks, arena, chosen):
    """The beam search proper; a path's cost is its chunks minus 2^24 times its total."""
    # queue[q] for q in 0 .. BEAM is a slot, best path first; the spare column of `slots` holds both queues
    old, new, links = 0, BEAM, 0
    for q in range(2 * BEAM):
        slots[8 * q + 7] = q
    slots[0], slots[1], slots[2], slots[3], slots[4], slots[5], slots[6] = 0, 0, -1, -1, 0, -1, -1
    for w in range(nw):
        masks[w] = 0
    paths = 1
    for j in range(nr + 1):  # the last round closes open chunks
        grown = 0
        begin, end = first[j], first[j + 1]
        fixed = -1
        if j < nr and end - begin == 1 and matches[5 * order[begin] + 4] < 8:
            fixed = order[begin]
        for q in range(paths):
            p = slots[8 * (old + q) + 7]
            cost, distance, resume = slots[8 * p], slots[8 * p + 1], slots[8 * p + 4]
            reference_end, candidate_end = slots[8 * p + 2], slots[8 * p + 3]
            if fixed >= 0:
                more = _gain(matches, fixed, reference_end, candidate_end)
                grown = _insert(slots, masks, nw, new, grown, p, cost + more, distance, matches, fixed, rank)
                continue
            if j < nr and resume > j:
                grown = _insert(slots, masks, nw, new, grown, p, cost, distance, matches, -1, rank)
                continue
            for at in range(begin, end):
                k = order[at]
                if _free(masks, nw * p, rank[matches[5 * k + 2]], matches[5 * k + 3]):
                    more = _gain(matches, k, reference_end, candidate_end)
                    grown = _insert(slots, masks, nw, new, grown, p, cost + more, distance, matches, k, rank)
                    distance += abs(matches[5 * k] - matches[5 * k + 2])
            more = 1 if reference_end >= 0 else 0
            grown = _insert(slots, masks, nw, new, grown, p, cost + more, distance, matches, -2, rank)
        paths = grown
        old, new = new, old
        for q in range(paths):
            p = slots[8 * (old + q) + 7]
            if slots[8 * p + 6] >= 0:
                arena[2 * links], arena[2 * links + 1] = slots[8 * p + 5], slots[8 * p + 6]
                slots[8 * p + 5] = links
                links += 1
    best = slots[8 * old + 7]
    count, link = 0, slots[8 * best + 5]
    while link >= 0:
        count += 1
        link = arena[2 * link]
    place, link = count, slots[8 * best + 5]
    while link >= 0:
        place -= 1
        chosen[place] = arena[2 * link + 1]
        link = arena[2 * link]
    return (count << 32) + (slots[8 * best] & 0xFFFFFF)


@njit(**OPTIONS)
def _gain(matches, k, reference_end, candidate_end):
    """What match `k` adds to the cost of a path with these ends."""
    if matches[5 * k + 4] & 7:
        total = matches[5 * k + 1] // 2 + matches[5 * k + 3] // 2
    else:
        total = matches[5 * k + 1] + matches[5 * k + 3]
    closes = reference_end >= 0 and (reference_end != matches[5 * k] or candidate_end != matches[5 * k + 2])
    return (1 if closes else 0) - (total << 24)


@njit(**OPTIONS)
def _free(masks, row, bit, width):
    """Whether none of `width` bits from `bit` on is set."""
    for b in range(bit, bit + width):
        if masks[row + (b >> 6)] >> (b & 63) & 1:
            return False
    return True


@njit(**OPTIONS)
def _insert(slots, masks, nw, new, grown, p, cost, distance, matches, k, rank):
    """Puts path `p`, extended by match `k` (-1: by nothing, -2: by a gap), into the new queue if it is good enough.

    The queue stays sorted by cost, then distance; later ones go after equal ones. Returns the queue's length.
    """
    if grown == BEAM:
        worst = slots[8 * (new + BEAM - 1) + 7]
        if slots[8 * worst] < cost or (slots[8 * worst] == cost and slots[8 * worst + 1] <= distance):
            return grown
        s = worst
    else:
        s = slots[8 * (new + grown) + 7]
        grown += 1
    q = grown - 1
    while q > 0:
        before = slots[8 * (new + q - 1) + 7]
        if slots[8 * before] < cost or (slots[8 * before] == cost and slots[8 * before + 1] <= distance):
            break
        slots[8 * (new + q) + 7] = before
        q -= 1
    slots[8 * (new + q) + 7] = s
    slots[8 * s], slots[8 * s + 1], slots[8 * s + 5] = cost, distance, slots[8 * p + 5]
    for w in range(nw):
        masks[nw * s + w] = masks[nw * p + w]
    if k >= 0:
        slots[8 * s + 2] = matches[5 * k] + matches[5 * k + 1]
        slots[8 * s + 3] = matches[5 * k + 2] + matches[5 * k + 3]
        slots[8 * s + 4] = slots[8 * s + 2]
        slots[8 * s + 6] = k
        if matches[5 * k + 4] >= 8:
            bit = rank[matches[5 * k + 2]]
            for b in range(bit, bit + matches[5 * k + 3]):
                masks[nw * s + (b >> 6)] |= 1 << (b & 63)
    else:
        slots[8 * s + 2] = slots[8 * p + 2] if k == -1 else -1
        slots[8 * s + 3] = slots[8 * p + 3] if k == -1 else -1
        slots[8 * s + 4] = slots[8 * p + 4]
        slots[8 * s + 6] = -1
    return grown
