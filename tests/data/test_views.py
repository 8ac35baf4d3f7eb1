"""Crops of boxes and tiles: rectangles by hand, pixels by hand, EXIF, one decoding an image."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.base import Split, subset
from vlmbench.data.bundled import Arrays
from vlmbench.data.images import BadImage, decode, decode_stored, upright
from vlmbench.data.regions import Regions, Views, crop_of, grid, tiles_of
from vlmbench.data.views import crops
from vlmbench.data.views.crops import Crops, expand
from vlmbench.foundations.errors import InputError


@pytest.mark.parametrize(
    ("box", "scale", "found"),
    [
        ((2, 1, 4, 2), 1.0, (2, 1, 6, 3)),
        ((2, 1, 4, 2), 1.5, (1, 0, 7, 4)),  # 6 x 3 around (4, 2): y from 0.5 to 3.5, whole pixels outwards
        ((0, 0, 4, 4), 1.5, (0, 0, 5, 5)),  # -1 to 5, clipped
        ((8, 6, 2, 2), 1.5, (7, 5, 10, 8)),
        ((2.6, 1.2, 0.2, 0.2), 1.0, (2, 1, 3, 2)),  # at least the pixel it lies in
        ((-3, -3, 5, 5), 1.0, (0, 0, 2, 2)),
        ((9.5, 2, 40, 1), 1.0, (9, 2, 10, 3)),
        ((10, 2, 4, 1), 1.0, None),
        ((2, -5, 4, 5), 1.0, None),
    ],
)
def test_crops_by_hand(box, scale, found):
    assert crop_of(np.array(box, float), scale, (10, 8)) == found


@pytest.mark.parametrize(
    ("tiles", "size", "found"),
    [
        (4, (100, 100), (2, 2)),
        (4, (400, 90), (4, 1)),
        (4, (90, 400), (1, 4)),
        (2, (50, 50), (2, 1)),
        (6, (640, 480), (3, 2)),
        (6, (480, 640), (2, 3)),
        (16, (640, 480), (4, 4)),
        (7, (100, 100), (7, 1)),
    ],
)
def test_the_grid_whose_tiles_are_nearest_to_squares(tiles, size, found):
    assert grid(tiles, size) == found


def test_tiles_by_hand():
    assert tiles_of(4, (6, 4)) == [(0, 0, 3, 2), (3, 0, 6, 2), (0, 2, 3, 4), (3, 2, 6, 4)]
    assert tiles_of(3, (10, 3)) == [(0, 0, 4, 3), (3, 0, 7, 3), (6, 0, 10, 3)]
    for tiles, size in ((9, (2, 2)), (12, (7, 5)), (5, (3, 100))):
        seen = np.zeros(size[::-1], int)
        for left, top, right, bottom in tiles_of(tiles, size):
            assert left < right
            assert top < bottom
            seen[top:bottom, left:right] += 1
        assert seen.min() >= 1


def counted(width=6, height=4):
    """An image whose red is its column and whose green is its row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return pixels


def boxed(raws, images, boxes, sizes=None):
    return Split(
        "all",
        tuple(f"b{i}" for i in range(len(boxes))),
        np.zeros(len(boxes), np.int64),
        Arrays(tuple(raws)),
        regions=Regions(
            tuple(images), np.array(boxes, float), np.array(sizes or [(0, 0)] * len(boxes)), "instances.json"
        ),
    )


def test_pixels_of_a_box_by_hand():
    views = expand(boxed([counted()] * 2, ["a", "b"], [(2, 1, 2, 1), (4, 0, 2, 4)]), Views(), 1)
    assert len(views) == 4
    assert len(set(views.ids)) == 4
    assert views.images.read(0).tolist() == [[[2, 1, 0], [3, 1, 0]]]
    assert views.images.read(1)[..., 0].tolist() == [[1, 2, 3, 4]] * 3  # 1.5 to 4.5 by 0.75 to 2.25
    assert views.images.read(1)[:, 0, 1].tolist() == [0, 1, 2]
    assert views.images.read(2)[..., 0].tolist() == [[4, 5]] * 4
    assert views.images.read(3)[..., 0].tolist() == [[3, 4, 5]] * 4


def test_pixels_of_tiles_by_hand():
    split = Split("all", ("one",), np.array([7]), Arrays((counted(),)))
    views = expand(split, Views(tiles=4), 1)
    assert views.labels.tolist() == [7] * 5
    assert (views.images.read(0) == counted()).all()
    assert views.images.read(4)[..., 0].tolist() == [[3, 4, 5]] * 2
    assert views.images.read(4)[:, 0, 1].tolist() == [2, 3]


def with_orientation(orientation, form="PNG"):
    image = Image.fromarray(counted())
    facts = image.getexif()
    facts[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, form, exif=facts)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_cut_from_the_stored_grid_and_turned_upright(orientation):
    raw = with_orientation(orientation)
    stored, found = decode_stored(raw, "x")
    assert found == orientation
    assert (np.asarray(stored) == counted()).all()
    assert (np.asarray(upright(stored, found)) == np.asarray(decode(raw, "x"))).all()
    crop = expand(boxed([raw], ["x"], [(1, 2, 3, 1)], [(6, 4)]), Views(), 1).images.read(0)
    assert (crop == np.asarray(upright(Image.fromarray(counted()[2:3, 1:4]), orientation))).all()


def test_tiles_are_cut_from_the_upright_image():
    raw = with_orientation(6)
    views = expand(Split("all", ("x",), np.array([0]), Arrays((raw,))), Views(tiles=2), 1)
    whole = np.asarray(decode(raw, "x"))
    assert whole.shape == (6, 4, 3)
    assert (views.images.read(1) == whole[:3]).all()


def test_boxes_drawn_on_another_size_are_refused():
    with pytest.raises(InputError, match="6 x 4 pixels, its boxes were drawn on 12 x 8") as caught:
        expand(boxed([counted()], ["x"], [(1, 2, 3, 1)], [(12, 8)]), Views(), 1).images.read(0)
    assert not isinstance(caught.value, BadImage), "no damaged image that may be skipped"
    with pytest.raises(InputError, match="as if it were rotated") as caught:
        expand(boxed([with_orientation(6)], ["x"], [(1, 2, 3, 1)], [(4, 6)]), Views(), 1).images.read(0)
    assert "auto-orient" in caught.value.fix


def test_a_box_outside_an_image_whose_size_the_file_does_not_say():
    with pytest.raises(InputError, match="is outside the image x of 6 x 4 pixels") as caught:
        expand(boxed([counted()], ["x"], [(60, 2, 3, 1)]), Views(), 1).images.read(0)
    assert caught.value.where == "instances.json, annotation b0"


def test_a_sliver_is_no_picture():
    with pytest.raises(BadImage, match="annotation b0 is no picture: 1 x 1200 pixels"):
        expand(boxed([np.zeros((1200, 9, 3), np.uint8)], ["x"], [(2, 0, 1, 1200)]), Views(), 1).images.read(0)


@pytest.mark.parametrize(("threads", "keep"), [(0, 1), (4, 12)])  # a thread may stand still while others go on
def test_an_image_is_decoded_once_for_its_views(threads, keep, monkeypatch):
    decoded = []
    real = crops.decode_stored
    monkeypatch.setattr(crops, "decode_stored", lambda raw, name: decoded.append(name) or real(raw, name))
    names = [f"i{n // 5}" for n in range(60)]
    source = Crops(boxed([counted()] * 60, names, [(1, 1, 2, 2)] * 60), Views(), keep)
    if threads:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(source.read, range(len(source))))
    else:
        found = [source.read(i) for i in range(len(source))]
    assert decoded == sorted(set(names), key=names.index) if not threads else sorted(decoded) == sorted(set(names))
    assert all((found[i] == found[i % 2]).all() for i in range(len(found)))


def test_every_view_of_a_damaged_image_fails_by_its_name():
    views = expand(boxed([b"text", b"text", counted()], ["x.png", "x.png", "y"], [(1, 1, 2, 2)] * 3), Views(), 2)
    for index in range(4):
        with pytest.raises(BadImage, match=r"x\.png"):
            views.images.read(index)
    assert views.images.read(4).shape == (2, 2, 3)


def test_a_part_keeps_its_regions():
    split = subset(boxed([counted()] * 3, "abc", [(0, 0, 1, 1), (1, 0, 1, 1), (2, 0, 1, 1)]), [2, 0])
    assert split.regions.images == ("c", "a")
    views = expand(split, Views(), 1)
    assert views.images.read(0).tolist() == [[[2, 0, 0]]]
    assert views.images.read(2).tolist() == [[[0, 0, 0]]]
