"""Ranges of files far away: which requests are made, how many at a time, and what is kept."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vlmbench.data.hub import ranges
from vlmbench.data.hub.ranges import Blocks, Memory
from vlmbench.foundations.errors import AbsentError

SIZE = 1000
DATA = bytes(np.random.default_rng(0).integers(0, 256, SIZE, np.uint8))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK", 100)
    monkeypatch.setattr(ranges, "_WORKING", 4)


class Far:
    """Files whose requests are noted."""

    def __init__(self, wait=None):
        self.asked, self.wait, self.fails = [], wait, set()

    def fetch(self, file, start, stop):
        self.asked.append((file, start, stop))
        if start in self.fails:
            raise AbsentError("the connection is gone")
        if self.wait is not None:
            self.wait()
        return DATA[start:stop]


def pieces(step=30):
    return [(start, min(start + step, SIZE)) for start in range(0, SIZE, step)]


def test_in_order_each_block_is_asked_for_once():
    far = Far()
    blocks = Blocks(far.fetch, (SIZE,), Memory(10_000))
    assert all(blocks.read(0, start, stop) == DATA[start:stop] for start, stop in pieces())
    assert sorted(far.asked) == [(0, start, start + 100) for start in range(0, SIZE, 100)]


def test_from_threads_nothing_is_asked_for_twice():
    far = Far()
    blocks = Blocks(far.fetch, (SIZE, SIZE), Memory(10_000))
    order = [(file, *piece) for file in (0, 1) for piece in pieces()]
    found = []
    with ThreadPoolExecutor(3) as pool:
        for at in range(0, len(order), 3):  # three pieces reach over two blocks at most: no thread is a block ahead
            found += pool.map(lambda item: blocks.read(*item), order[at : at + 3])
    assert found == [DATA[start:stop] for _, start, stop in order]
    assert len(far.asked) == len(set(far.asked)) == 20


def test_who_reads_on_has_the_next_blocks_on_their_way():
    together = threading.Barrier(ranges.AHEAD + 1)
    far = Far()
    blocks = Blocks(far.fetch, (SIZE,), Memory(10_000))
    blocks.read(0, 0, 50)
    far.wait = lambda: together.wait(10)  # passes only where as many requests are under way
    assert blocks.read(0, 80, 130) == DATA[80:130]
    assert far.asked[1:] == [(0, start, start + 100) for start in range(100, 100 * (2 + ranges.AHEAD), 100)]


def test_who_jumps_gets_no_more_than_was_asked_for():
    far = Far()
    blocks = Blocks(far.fetch, (SIZE,), Memory(10_000))
    assert [blocks.read(0, start, start + 10) for start in (510, 950, 30)] == [
        DATA[start : start + 10] for start in (510, 950, 30)
    ]
    assert far.asked == [(0, 510, 520), (0, 950, 960), (0, 30, 40)]


def test_what_a_first_pass_brought_is_kept_for_the_second_as_far_as_there_is_room():
    far = Far()
    memory = Memory(1000)
    blocks = Blocks(far.fetch, (SIZE,), memory)
    for _ in range(2):
        for start, stop in pieces():
            blocks.read(0, start, stop)
            blocks.passed(0, stop)
    again = [start for _, start, _ in far.asked[10:]]
    first = sorted(start for _, start, _ in far.asked[:10])  # those at the same time come in any order
    assert first == list(range(0, SIZE, 100))
    assert 0 < len(again) < 10, "some were kept, not all"
    assert min(again) == 600, "the first ones were kept: they are asked for first"
    assert len(memory.blocks) <= 10


def test_a_failed_request_comes_through_and_is_made_again():
    far = Far()
    far.fails = {0}
    blocks = Blocks(far.fetch, (SIZE,), Memory(10_000))
    with pytest.raises(AbsentError, match="the connection is gone"):
        blocks.read(0, 0, 10)
    far.fails = set()
    assert blocks.read(0, 0, 10) == DATA[:10]
    assert blocks.read(0, 10, 10) == b""


def test_all_that_is_streamed_shares_one_memory():
    far, memory = Far(), Memory(1000)
    one, two = Blocks(far.fetch, (SIZE,), memory), Blocks(far.fetch, (SIZE,), memory)
    for blocks in (one, two):
        for start, stop in pieces():
            blocks.read(0, start, stop)
            blocks.passed(0, stop)
        assert 0 < len(memory.kept) <= len(memory.blocks) <= 10
    del one, two, blocks
    three = Blocks(far.fetch, (SIZE,), memory)
    three.read(0, 0, 10)
    assert not memory.kept, "what the others kept goes with them"
    assert len(memory.blocks) == 1
