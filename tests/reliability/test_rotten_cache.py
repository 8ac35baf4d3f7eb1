"""A byte flipped or a file cut anywhere in the cache is found, told of and made again; a score never moves."""

import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlmbench.captioners.store import CaptionStore
from vlmbench.encoders.base import Scale
from vlmbench.features.store import FeatureEntry, FeatureKey
from vlmbench.features.texts import EMBEDDINGS, TextKey, read_texts, write_texts
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.notes import read_note, vouch, vouched, write_note
from vlmbench.foundations.owned import read_own
from vlmbench.heads.probe_file import Probe, load_probe, save_probe
from vlmbench.heads.spec import LinearHead
from vlmbench.records.result import ModelFacts

FLIPS, CUTS = 120, 30
MODEL = ModelFacts(id="m", weights_sha256="ab" * 32, kind="captioner")
VALUES = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


def damaged(path: Path) -> Any:
    """The file's content with one bit flipped, then cut; the file is put back at the end."""
    sound, chance = path.read_bytes(), random.Random(path.name)
    for _ in range(FLIPS):
        data = bytearray(sound)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        yield
    for length in sorted({0, len(sound) - 1, *(chance.randrange(len(sound)) for _ in range(CUTS))}):
        path.write_bytes(sound[:length])
        yield
    path.write_bytes(sound)


def same(one: Any, other: Any) -> bool:
    """Whether two values, arrays among them, are equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def note(cache: Path) -> tuple[Path, Callable[[], Any]]:
    write_note(cache / "hashes" / "a.json", "ab" * 32)
    return cache / "hashes" / "a.json", lambda: read_note(cache / "hashes" / "a.json")


def shard(cache: Path) -> tuple[Path, Callable[[], Any]]:
    entry = FeatureEntry(cache, FeatureKey("w", "p", "fp32", "f", "test", {"torch": "2"}), 6)
    entry.write_shard(range(6), np.arange(6), {"proj": VALUES})

    def load() -> Any:
        [(covered, tensors)] = entry.shards()
        return None if tensors is None else {"covered": covered, **tensors}

    return next(entry.directory.glob("*.safetensors")), load


def manifest(cache: Path) -> tuple[Path, Callable[[], Any]]:
    entry = FeatureEntry(cache, FeatureKey("w", "p", "fp32", "f", "test", {"torch": "2"}), 6)
    entry.finish(("a",), {"proj": 5})
    return entry.directory / "manifest.json", entry.manifest


def texts(cache: Path) -> tuple[Path, Callable[[], Any]]:
    key = TextKey(EMBEDDINGS, *"wpt", "fp32", "c", {"torch": "2"})
    write_texts(cache, key, VALUES, Scale(100.0, -1.5))
    return next(cache.glob("texts/*")), lambda: read_texts(cache, key)


def probe(cache: Path) -> tuple[Path, Callable[[], Any]]:
    fit = LinearHead(VALUES.astype(np.float64), np.arange(6.0))
    save_probe(cache / "probe.safetensors", Probe(fit, tuple("abcdef"), "m", "w", "proj", False, "d"))

    def load() -> Any:
        try:
            found = load_probe(cache / "probe.safetensors")
        except InputError:
            return None
        return [
            found.head.coef,
            found.head.intercept,
            found.classnames,
            found.model,
            found.normalise,
            found.head.detail["c"],
        ]

    return cache / "probe.safetensors", load


def beside(cache: Path) -> tuple[Path, Callable[[], Any]]:
    part = cache / "part.parquet"
    part.write_bytes(bytes(range(200)))
    vouch(part)
    return part, lambda: part.read_bytes() if vouched(part) else None


@pytest.mark.parametrize("kept", [note, shard, manifest, texts, probe, beside], ids=lambda kept: kept.__name__)
def test_damage_is_found_wherever_it_is(kept: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, read = kept(tmp_path)
    sound = read()
    assert sound is not None
    for _ in damaged(path):
        caplog.clear()
        found = read()
        assert found is None or same(found, sound), "a changed value is believed"
        assert kept is probe or found is not None or "damaged in the cache" in caplog.text
    assert same(read(), sound)


def test_captions_that_changed_are_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = {f"{number:064x}": f"a picture of {number} ducks" for number in range(5)}
    with CaptionStore(tmp_path, MODEL, {}) as store:
        store.add(made)
        path = store.path
    lost = 0
    for _ in damaged(path):
        with CaptionStore(tmp_path, MODEL, {}) as store:
            found = {image: store.get(image) for image in made}
        assert all(caption in (None, made[image]) for image, caption in found.items())
        lost += None in found.values()
    assert lost >= FLIPS
    assert "damaged in the cache" in caplog.text


def test_a_caption_is_not_believed_without_its_checksum(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with CaptionStore(tmp_path, MODEL, {}) as store:
        store.add({"ab" * 32: "a duck"})
        path = store.path
    for key in (b"checksun", b"Checksum"):
        caplog.clear()
        path.write_bytes(path.read_bytes().replace(b"checksum", key))
        with CaptionStore(tmp_path, MODEL, {}) as store:
            assert store.get("ab" * 32) is None
            assert "damaged in the cache" in caplog.text
            path.write_bytes(path.read_bytes().replace(key, b"checksum"))


def test_a_note_of_something_else_is_not_believed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_note(tmp_path / f"{name}.json", name)
    (tmp_path / "a.json").write_bytes((tmp_path / "b.json").read_bytes())
    assert read_note(tmp_path / "a.json") is None


def test_what_another_run_stored_is_not_believed_in_this_one_s_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vlmbench.metrics.captions.meteor.build as build
    from vlmbench.metrics.captions.meteor import native
    from vlmbench.metrics.captions.meteor.index import silent

    def swapped(found: Path, into: Path) -> None:
        caplog.clear()
        into.write_bytes(found.read_bytes())

    versions = {"torch": "2"}
    one, other = (FeatureEntry(tmp_path, FeatureKey(name, "p", "fp32", "f", "test", versions), 6) for name in "ab")
    for entry, values in ((one, VALUES), (other, VALUES + 1)):
        entry.write_shard(range(6), np.arange(6), {"proj": values})
        entry.finish((), {"proj": 5})
    for name in ("manifest.json", "000000000.safetensors"):
        swapped(other.directory / name, one.directory / name)
        assert (one.manifest() if name == "manifest.json" else next(one.shards())[1]) is None
        assert "damaged in the cache" in caplog.text

    keys = [TextKey(EMBEDDINGS, *"wpt", "fp32", content, versions) for content in "cd"]
    for number, key in enumerate(keys):
        write_texts(tmp_path, key, VALUES + number, Scale(100.0, 0.0))
    swapped(*(tmp_path / "texts" / f"{key.name[:32]}.safetensors" for key in reversed(keys)))
    assert read_texts(tmp_path, keys[0]) is None
    assert "damaged in the cache" in caplog.text

    models = [MODEL, ModelFacts(id="m", weights_sha256="cd" * 32, kind="captioner")]
    stores = []
    for model in models:
        with CaptionStore(tmp_path, model, {}) as store:
            store.add({"ef" * 32: f"by {model.weights_sha256}"})
            stores.append(store.path)
    swapped(stores[1], stores[0])
    with CaptionStore(tmp_path, MODEL, {}) as store:
        assert store.get("ef" * 32) is None
    assert "damaged in the cache" in caplog.text

    pytest.importorskip("llvmlite")
    paths = []
    for version in (0, native._FORMAT):
        monkeypatch.setattr(native, "_FORMAT", version)
        monkeypatch.setattr(build, "compile_kernel", lambda: f"of {native._FORMAT}".encode())
        native._code(tmp_path, silent)
        paths.append(max(tmp_path.glob("kernel-*.bin"), key=lambda path: path.stat().st_mtime_ns))
    swapped(*paths)
    monkeypatch.setattr(build, "compile_kernel", lambda: b"compiled anew")
    assert native._code(tmp_path, silent) == b"compiled anew"
    assert "damaged in the cache" in caplog.text


def test_machine_code_of_others_is_not_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "meteor"
    folder.mkdir(mode=0o755)
    code = folder / "kernel.bin"
    code.write_bytes(b"code")
    code.chmod(0o644)
    assert read_own(code) == b"code"
    code.chmod(0o646)
    assert read_own(code) is None
    assert "another user could have written it" in caplog.text
    code.chmod(0o644)
    folder.chmod(0o777)
    assert read_own(code) is None
    folder.chmod(0o777 | stat.S_ISVTX)
    assert read_own(code) == b"code"
    folder.chmod(0o755)
    (folder / "link.bin").symlink_to(code)
    assert read_own(folder / "link.bin") is None
