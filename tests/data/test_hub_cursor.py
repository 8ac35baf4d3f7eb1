"""The place in a stream: which pieces are opened, and in which order, for the images that are asked for."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vlmbench.data.hub import cursor as hub_cursor
from vlmbench.data.hub.cursor import StreamedImages
from vlmbench.data.hub.stream import Piece
from vlmbench.data.images import BadImage
from vlmbench.foundations.errors import AbsentError, InputError

ROWS = 10
PIECES = tuple(
    Piece(unit, number, 10 * number, 40 * unit + 10 * number, 10) for unit in range(3) for number in range(4)
)


class Rows:
    """What stands for `Stream`: three files of four row groups of ten rows; notes what is opened and read."""

    def __init__(self, fail=None, short=None):
        self.opened, self.passed, self.fail, self.short = [], [], fail, short
        self.source = type("Source", (), {"id": "me/rows"})

    def rows(self, piece, column):
        self.opened.append((piece.unit, piece.number))
        for row in range(piece.start, 40 * (piece.unit + 1)):
            if row == self.fail:
                raise AbsentError("the connection is gone")
            if row == self.short:
                return
            self.passed.append(row)
            yield {"bytes": None if row == 7 else b"%d" % row, "path": None}


def images(rows, monkeypatch=None, window=None):
    if window is not None:
        monkeypatch.setattr(hub_cursor, "WINDOW", window)
    return StreamedImages(rows, PIECES, "image")


def test_in_order_each_file_is_opened_once():
    rows = Rows()
    found = images(rows)
    assert [found.read(index) for index in range(len(found)) if index != 7] == [b"%d" % i for i in range(120) if i != 7]
    assert rows.opened == [(0, 0), (1, 0), (2, 0)]
    assert rows.passed == list(range(120))
    with pytest.raises(IndexError):
        found.read(120)


def test_from_threads_nothing_is_read_twice():
    rows = Rows()
    found = images(rows)
    order = [index for start in range(0, 120, 8) for index in np.random.default_rng(start).permutation(8) + start]
    with ThreadPoolExecutor(6) as pool:
        read = list(pool.map(lambda index: (index, found.read(index)), [i for i in order if i != 7]))
    assert all(data == b"%d" % index for index, data in read)
    assert rows.passed == list(range(120))


def test_only_the_pieces_that_hold_what_is_asked_for_are_opened(monkeypatch):
    rows = Rows()
    found = images(rows, monkeypatch, window=4)
    assert [found.read(index) for index in (12, 18, 55, 95)] == [b"12", b"18", b"55", b"95"]
    assert rows.opened == [(0, 1), (1, 1), (2, 1)]
    assert rows.passed == [*range(10, 19), *range(50, 56), *range(90, 96)]


def test_going_back_opens_the_piece_again(monkeypatch):
    rows = Rows()
    found = images(rows, monkeypatch, window=3)
    assert [found.read(index) for index in (30, 29, 28)] == [b"30", b"29", b"28"]
    assert rows.opened == [(0, 3), (0, 2)], "28 was among the last three"
    assert found.read(20) == b"20"
    assert rows.opened == [(0, 3), (0, 2), (0, 2)]


def test_after_a_failure_nothing_is_tried_again():
    rows = Rows(fail=42)
    found = images(rows)
    assert found.read(39) == b"39"
    for index in (42, 100, 3):
        with pytest.raises(AbsentError, match="the connection is gone"):
            found.read(index)
    assert rows.opened == [(0, 3), (1, 0)]


def test_a_row_without_an_image_and_a_file_that_changed():
    with pytest.raises(BadImage, match="row 7 has no image"):
        images(Rows()).read(7)
    with pytest.raises(InputError, match="has 2 rows, but 40 in its index"):
        images(Rows(short=42)).read(45)
