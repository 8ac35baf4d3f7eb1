import io
import threading

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import Split
from vlmbench.data.bundled import Arrays
from vlmbench.data.loading import load


def split(count=20, bad=()):
    raws = []
    for number in range(count):
        buffer = io.BytesIO()
        Image.new("L", (2, 2), number).save(buffer, "PNG")
        raws.append(b"no image" if number in bad else buffer.getvalue())
    return Split("test", tuple(f"{i}.png" for i in range(count)), np.zeros(count, np.int64), Arrays(tuple(raws)))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_order_is_kept_and_a_bad_image_arrives_with_its_name(workers):
    found = list(
        load(split(bad={4}), range(2, 20), lambda image, _: image.getpixel((0, 0))[0], workers=workers, ahead=5)
    )
    assert [item.row for item in found] == list(range(2, 20))
    assert [item.value for item in found] == [None if row == 4 else row for row in range(2, 20)]
    assert "4.png" in found[2].error.what


@pytest.mark.parametrize("workers", [0, 2])
def test_a_fault_in_the_preparation_is_not_taken_for_a_bad_image(workers):
    def make(image, _):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(load(split(), range(20), make, workers=workers, ahead=4))


def test_no_more_than_asked_is_prepared_ahead():
    made = []
    lock = threading.Lock()

    def make(image, _):
        with lock:
            made.append(1)

    stream = load(split(), range(20), make, workers=2, ahead=3)
    next(stream)
    assert len(made) <= 4
    stream.close()
    assert len(made) <= 4


def test_the_thread_that_waits_for_an_image_decodes_others_meanwhile():
    """On two cores there is one worker: without this, one core would be idle wherever decoding takes longest."""
    together = threading.Barrier(2, timeout=20)
    names = set()

    def make(image, _):
        names.add(threading.current_thread().name.partition("_")[0])
        together.wait()
        return image.getpixel((0, 0))[0]

    found = list(load(split(), range(20), make, workers=1, ahead=4))
    assert [item.value for item in found] == list(range(20))
    assert names == {"decode", threading.current_thread().name}
