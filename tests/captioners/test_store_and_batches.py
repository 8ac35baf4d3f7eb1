"""Captions are made once; batches shrink; one image that fails does not take the others with it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vlmbench.captioners import store as captioners_store
from vlmbench.captioners.base import CaptionFailed, Done, Item
from vlmbench.captioners.batches import Batcher
from vlmbench.captioners.store import CaptionStore
from vlmbench.data.base import Split
from vlmbench.data.bundled import Arrays
from vlmbench.foundations.errors import AbsentError, InputError, OutputError, out_of_memory
from vlmbench.foundations.progress import Silent
from vlmbench.foundations.shared import SharedCache
from vlmbench.records.result import ModelFacts
from vlmbench.session.context import Context
from vlmbench.tasks.captions.captioning import caption_split

ITEMS = [Item(f"i{n}", f"{n:064x}", Image.new("RGB", (2, 2))) for n in range(10)]
KEY = {"num_beams": 1}
MODEL = ModelFacts(id="plain", weights_sha256="f" * 64, kind="captioner")


def run(batcher: Batcher, items: Iterable[Item] = ITEMS) -> list[Done]:
    return [done for batch in batcher.stream(items) for done in batch]


def test_batches_halve_until_they_fit_and_stay_so() -> None:
    seen: list[int] = []
    warned: list[str] = []

    def make(items: Sequence[Item]) -> list[str]:
        seen.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item.name for item in items]

    done = run(Batcher(make, 8, warned.append))
    assert [one.caption for one in done] == [item.name for item in ITEMS]
    assert seen == [8, 4, 2, 2, 2, 2, 2]
    assert len(warned) == 2


def test_an_image_for_which_memory_never_suffices_is_named() -> None:
    def make(items: Sequence[Item]) -> list[str]:
        if any(item.name == "i4" for item in items):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return [item.name for item in items]

    done = run(Batcher(make, 4, lambda message: None))
    assert [one.item.name for one in done if one.caption is None] == ["i4"]
    assert sum(one.caption is not None for one in done) == 9


@pytest.mark.parametrize("error", [CaptionFailed("too wide"), ValueError("too wide"), RuntimeError("too wide")])
def test_one_image_that_fails_is_named_and_the_others_have_captions(error: Exception) -> None:
    def make(items: Sequence[Item]) -> list[str]:
        if any(item.name == "i6" for item in items):
            raise error
        return [item.name for item in items]

    done = run(Batcher(make, 5, lambda message: None))
    assert [one.item.name for one in done] == [item.name for item in ITEMS]
    failed = [one for one in done if one.caption is None]
    assert [one.item.name for one in failed] == ["i6"]
    assert "too wide" in failed[0].reason


def test_what_concerns_the_model_ends_the_run() -> None:
    def make(items: Sequence[Item]) -> list[str]:
        raise AbsentError("no such model")

    with pytest.raises(AbsentError):
        run(Batcher(make, 5, lambda message: None))


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not out_of_memory(RuntimeError("shape mismatch"))
    assert not out_of_memory(ValueError("out of memory"))


def test_a_store_keeps_what_was_added_and_forgets_what_was_cut_short(tmp_path: Path) -> None:
    texts = {"a" * 64: "a dog", "b" * 64: 'zwei "Hunde"\u2028\ud800'}
    with CaptionStore(tmp_path, MODEL, KEY) as store:
        store.add(texts)
        path = store.path
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 20, 5):
        path.write_bytes(whole[:cut])
        with CaptionStore(tmp_path, MODEL, KEY) as store:
            kept = sum(store.get(image) == text for image, text in texts.items())
            assert kept == (2 if cut == len(whole) - 1 else 1 if cut > 20 else 0)
            store.add({"c" * 64: "a cat"})
        with CaptionStore(tmp_path, MODEL, KEY) as store:
            assert store.get("c" * 64) == "a cat"
            assert len(store) == kept + 1


def test_other_weights_or_another_decoding_are_other_captions(tmp_path: Path) -> None:
    with CaptionStore(tmp_path, MODEL, KEY) as store:
        store.add({"a" * 64: "a dog"})
    with CaptionStore(tmp_path, MODEL, {"num_beams": 2}) as store:
        assert store.get("a" * 64) is None
    with CaptionStore(tmp_path, MODEL.model_copy(update={"weights_sha256": "e" * 64}), KEY) as store:
        assert store.get("a" * 64) is None


def test_captions_are_shared_through_files_that_never_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captioners_store, "SHARED", 2)
    address = (tmp_path / "shared").as_uri()

    def store(name: str, *, alone: bool = False) -> CaptionStore:
        cache = tmp_path / name
        return CaptionStore(cache, MODEL, KEY, shared=None if alone else SharedCache(address, cache))

    def there() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "shared").rglob("shared-*.jsonl")}

    with store("one", alone=True) as one:
        one.add({"a": "a dog"})  # before there was a shared cache
    with store("one") as one:
        one.add({"b": "a cat"})
        assert len(there()) == 1  # as soon as there are enough
        one.add({"c": 'zwei "Hunde"'})
    before = there()
    assert len(before) == 2
    with store("two") as two:
        assert [two.get(name) for name in "abc"] == ["a dog", "a cat", 'zwei "Hunde"']
        two.add({"d": "a bird"})
    assert len(there()) == 3
    assert before.items() <= there().items()
    with store("two", alone=True) as two:
        assert len(two) == 4  # what was fetched is here from then on
    name = min(before)
    (place,) = (tmp_path / "shared").rglob(name)
    place.write_bytes(before[name].replace(b"a", b"o"))
    with store("three") as three:
        assert len(three) == 4 - before[name].count(b"\n")
    with store("one") as one:
        assert len(one) == 4


def test_a_store_that_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        CaptionStore(tmp_path / "file" / "cache", MODEL, KEY)


class Plain:
    """A captioner that says an image's first pixel, and counts."""

    system = "plain"
    decoding: dict[str, Any] = KEY

    def __init__(self, fail: Sequence[str] = (), kill_after: int | None = None) -> None:
        self.facts = ModelFacts(id="plain", weights_sha256="d" * 64, kind="captioner")
        self.asked: list[str] = []
        self.fail = fail
        self.kill_after = kill_after

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        for item in items:
            if len(self.asked) == self.kill_after:
                os.kill(os.getpid(), 9)
            self.asked.append(item.name)
            bad = item.name in self.fail
            yield [
                Done(item, None if bad else f"pixel {item.image.getpixel((0, 0))[0]}", "it is ugly" if bad else None)
            ]


def split_of(values: Sequence[int], damaged: Sequence[int] = ()) -> Split:
    raws = [b"no image" if n in damaged else np.full((2, 2, 3), value, np.uint8) for n, value in enumerate(values)]
    return Split("test", tuple(f"i{n}" for n in range(len(raws))), np.zeros(len(raws), np.int64), Arrays(tuple(raws)))


def test_the_same_image_is_captioned_once(tmp_path: Path) -> None:
    captioner = Plain()
    found = caption_split(Context(cache_dir=tmp_path), captioner, split_of([7, 8, 7, 7]))
    assert found.captions == {"i0": "pixel 7", "i1": "pixel 8", "i2": "pixel 7", "i3": "pixel 7"}
    assert captioner.asked == ["i0", "i1"]


def test_failures_are_named_and_left_out_or_end_the_run(tmp_path: Path) -> None:
    reporter = Silent()
    context = Context(cache_dir=tmp_path, reporter=reporter)
    split = split_of([1, 2, 3, 4], damaged=[3])
    found = caption_split(context, Plain(fail=["i1"]), split)
    assert list(found.captions) == ["i0", "i2"]
    assert set(found.failed) == {"i1", "i3"}
    assert "i1: it is ugly" in reporter.warnings[0]
    assert "i3" in reporter.warnings[0]
    with pytest.raises(InputError, match="i1"):
        caption_split(context, Plain(fail=["i1"]), split, on_failure="error")
    with pytest.raises(InputError, match="none of the 2 images"):
        caption_split(context, Plain(fail=["i0", "i1"]), split_of([9, 10]))


def test_after_a_kill_the_same_captions_and_nothing_twice(tmp_path: Path) -> None:
    script = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('t', {str(Path(__file__))!r})\n"
        "t = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(t)\n"
        "from pathlib import Path\n"
        "t.caption_split(t.Context(cache_dir=Path(sys.argv[1])), t.Plain(kill_after=6), t.split_of(range(20)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "cache")], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    captioner = Plain()
    found = caption_split(Context(cache_dir=tmp_path / "cache"), captioner, split_of(range(20)))
    assert captioner.asked == [f"i{n}" for n in range(6, 20)]
    assert found.captions == caption_split(Context(cache_dir=tmp_path / "other"), Plain(), split_of(range(20))).captions
    assert list(found.captions) != []
    assert json.loads((tmp_path / "cache/captions").glob("*/key.json").__next__().read_text())["decoding"] == KEY
