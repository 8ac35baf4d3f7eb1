"""One pass for several encoders: where shards end changes nothing, and a pass that ends early stores what is done."""

from types import SimpleNamespace

import numpy as np
import pytest
from feature_fakes import Encoder, entry, features, run, split_of

from vlmbench.data.images import BadImage
from vlmbench.features import encode as module
from vlmbench.features.table import Table
from vlmbench.features.units import Share
from vlmbench.foundations.progress import Silent


def starts(one):
    return [part.start for part, tensors in one.shards() if tensors is not None]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what encoders do to it."""
    found = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: found.now)
    return found


@pytest.mark.parametrize("damaged", [(), (0, 7, 8, 9, 30, 49), range(10, 40)])
def test_features_are_the_same_wherever_shards_end(tmp_path, damaged):
    split, found = split_of(50, damaged), []
    for number, (rows, seconds) in enumerate([(1000, 1000.0), (8, 1000.0), (20, 1000.0), (1000, 0.0)]):
        one = entry(tmp_path / str(number))
        run(split, [(one, Encoder())], rows=rows, seconds=seconds)
        found.append(features(one))
        assert one.manifest().skipped == tuple(f"i{n}" for n in damaged)
    assert len(starts(entry(tmp_path / "3"))) > len(starts(entry(tmp_path / "0"))) == 1
    for rows, x in found[1:]:
        assert rows.tobytes() == found[0][0].tobytes()
        assert x.tobytes() == found[0][1].tobytes()


def test_many_features_stay_on_disk(tmp_path, monkeypatch):
    one = entry(tmp_path)
    run(split_of(50, damaged=(7,)), [(one, Encoder())], rows=16)
    rows, held = module.read_layer(one, "proj")
    monkeypatch.setattr(module, "HELD", 0)
    again, mapped = module.read_layer(one, "proj")
    assert isinstance(mapped, Table)
    assert rows.tolist() == again.tolist() == [number for number in range(50) if number != 7]
    assert np.asarray(held).tobytes() == np.asarray(mapped).tobytes()
    assert all(isinstance(part, np.memmap) for part in mapped._parts)
    second = starts(one)[1]
    rows, part = module.read_layer(one, "proj", range(second, second + 9))
    assert np.asarray(part).tobytes() == np.asarray(held)[second - 1 : second + 8].tobytes()
    assert rows.tolist() == list(range(second, second + 9))


def test_one_of_several_processes_encodes_many_units_as_one_stream_and_few_where_few_are_left(tmp_path, monkeypatch):
    streams, images = [], module._images
    monkeypatch.setattr(
        module, "_images", lambda split, covered, *rest: streams.append(covered) or images(split, covered, *rest)
    )
    one, whole = entry(tmp_path, "one", 400), entry(tmp_path, "whole", 400)
    run(split_of(400), [(one, Encoder())], unit=8, share=Share(1, 2))
    assert [len(covered) // 8 for covered in streams[:4]] == [6, 5, 4, 4]
    assert [len(covered) // 8 for covered in streams[-3:]] == [1, 1, 1]
    run(split_of(400), [(whole, Encoder())], unit=8)
    assert features(one)[1].tobytes() == features(whole)[1].tobytes()
    assert starts(one) == starts(whole)


def test_a_shard_is_closed_after_images_or_after_time(tmp_path, clock):
    slow, fast = entry(tmp_path, "slow"), entry(tmp_path, "fast")
    run(split_of(50), [(slow, Encoder(clock=clock))], rows=1000, seconds=20)
    assert starts(slow) == [0, 16, 32, 48]
    run(split_of(50), [(fast, Encoder())], rows=24, seconds=20)
    assert starts(fast) == [0, 24, 48]


def test_a_batch_that_takes_longer_than_work_should_be_unkept_is_told_of_once(tmp_path, clock):
    told = Silent()
    slow, quick = Encoder(clock=clock, seconds=31), Encoder(clock=clock, seconds=29)
    run(split_of(50), [(entry(tmp_path, "quick"), quick)], reporter=told)
    assert told.notes == []
    run(split_of(50), [(entry(tmp_path, "slow"), slow)], reporter=told)
    (note,) = told.notes
    assert note.startswith("8 images per batch take 31 s")


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_an_interruption_keeps_the_batches_that_are_done(tmp_path, stop_after):
    whole, one = entry(tmp_path / "whole"), entry(tmp_path)
    run(split_of(50, [3]), [(whole, Encoder())])
    with pytest.raises(KeyboardInterrupt):
        run(split_of(50, [3]), [(one, Encoder(stop_after=stop_after))])
    again = Encoder()
    tally = run(split_of(50, [3]), [(one, again)])
    assert tally.encoded == {"a": 49 - 8 * stop_after}
    assert features(one)[1].tobytes() == features(whole)[1].tobytes()


def test_a_damaged_image_keeps_the_batches_before_it(tmp_path):
    one = entry(tmp_path)
    with pytest.raises(BadImage, match="i40"):
        run(split_of(50, [40]), [(one, Encoder())], on_bad_image="error")
    assert [part for part, tensors in one.shards() if tensors is not None] == [range(40)]


def test_encoders_that_were_stopped_at_different_places_go_on_together(tmp_path):
    whole = {name: entry(tmp_path / "whole", name) for name in "ab"}
    ours = {name: entry(tmp_path, name) for name in "ab"}
    split = split_of(50, [3, 20])
    for name, width in (("a", 3), ("b", 5)):
        run(split, [(whole[name], Encoder(width))])
    for name, stop_after in (("a", 1), ("b", 4)):
        with pytest.raises(KeyboardInterrupt):
            run(split, [(ours[name], Encoder(5, stop_after=stop_after))], rows=8)
    (ours["b"].directory / "000000009.safetensors").unlink()
    encoders = {"a": Encoder(5), "b": Encoder(5)}
    tally = run(split, [(ours[name], encoders[name]) for name in "ab"])
    assert tally.encoded == {"a": 40, "b": 24}
    assert tally.decoded == 41
    for name in "ab":
        assert features(ours[name])[0].tolist() == [n for n in range(50) if n not in (3, 20)]
        assert features(ours[name])[1][:, 0].tobytes() == features(whole[name])[1][:, 0].tobytes()


def test_nothing_but_damaged_images_is_an_error(tmp_path):
    with pytest.raises(module.InputError, match="none of the 5 images"):
        run(split_of(5, range(5)), [(entry(tmp_path, images=5), Encoder())])
